"""Full names as they are written where their owners live."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func

_EAST = "^[\u3400-\u9fff\uac00-\ud7af]+$"
"""Chinese characters or Hangul only: such names begin with the family's, without a space. Latin letters and kana do
not."""


def full_name(first: str | None, last: str | None) -> str:
    """First and last name; of Chinese and Korean names the last and then the first. Empty where neither is known."""
    if first and last and re.match(_EAST, first) and re.match(_EAST, last):
        return last + first
    return " ".join(part for part in (first, last) if part)


def full_name_of(first: ColumnElement[Any], last: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same of columns; null where neither is known."""
    eastern = and_(first.regexp_match(_EAST), last.regexp_match(_EAST))
    western = func.nullif(func.concat_ws(" ", func.nullif(first, ""), func.nullif(last, "")), "")
    return case((eastern, last.concat(first)), else_=western)
