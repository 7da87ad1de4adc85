"""Trials: several wordings of one broadcast are tried on a share of its contacts, and the rest get the best."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from journeys.conditions import MessageName, Model, Name, PositiveDuration, Slug, Text

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_SHARE = re.compile(r"([0-9]{1,3})\s*%")


def read_share(value: object) -> float:
    """A share from `20%`, more than nothing and less than all.

    Raises:
        ValueError: it is none.
    """
    found = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{str(value)[:40]!r} is no share: write it like 20%")
    if not 1 <= int(found[1]) <= 99:
        raise ValueError(f"a share of {value} leaves nobody to try it on, or nobody for the winner: write 1% to 99%")
    return int(found[1]) / 100


class Conversion(Model):
    """Who did `conversion`, an event, after getting the message."""

    conversion: Name


def _read_locale(value: object) -> str:
    if not isinstance(value, str) or _LOCALE.fullmatch(value) is None:
        raise ValueError(f"{str(value)[:40]!r} is no locale: write it like en or zh-CN")
    return value


def _kind_of_subject(value: object) -> str:
    return "translated" if isinstance(value, dict) else "one"


def _kind_of_measure(value: object) -> str:
    return "conversion" if isinstance(value, dict | Conversion) else "receipts"


LocaleTag = Annotated[str, BeforeValidator(_read_locale)]
Subject = Annotated[
    Annotated[Text, Tag("one")] | Annotated[dict[LocaleTag, Text], Field(min_length=1), Tag("translated")],
    Discriminator(_kind_of_subject),
]
"""A subject, or one for each locale in which its message is written."""

Measure = Annotated[
    Annotated[Literal["clicks", "opens"], Tag("receipts")] | Annotated[Conversion, Tag("conversion")],
    Discriminator(_kind_of_measure),
]


class Trial(Model):
    """An A/B test: `share` of the contacts get one of the wordings each, and after a time the rest get the best.

    The wordings are whole messages (`arms`) or subjects of one message. The first of them, by name, wins a tie.
    """

    share: Annotated[float, BeforeValidator(read_share)]
    arms: dict[Slug, MessageName] | None = None
    subjects: dict[Slug, Subject] | None = None
    winner: Measure
    after: PositiveDuration

    @model_validator(mode="after")
    def _has_arms(self) -> Self:
        if (self.arms is None) == (self.subjects is None):
            raise ValueError("needs arms (whole messages) or subjects, and not both")
        if not 2 <= len(self.names) <= 6:
            raise ValueError(f"needs two to six wordings to compare, found {len(self.names)}")
        words = [str(one) for one in (self.arms or self.subjects or {}).values()]
        if len(set(words)) < len(words):
            raise ValueError("two of the wordings are the same: nothing would be learned")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The arms, by name: JSON keeps no other order."""
        return tuple(sorted(self.arms or self.subjects or ()))

    @property
    def measure(self) -> str:
        """What is counted: clicks, opens, or the event of a conversion."""
        return self.winner if isinstance(self.winner, str) else self.winner.conversion
