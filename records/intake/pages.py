"""A page of an import: some thousand rows that were read and checked, on their way into the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from journeys.identities import Key
from records.copying import NOTHING, escaped, texts
from records.intake.folding import NEW_STAGE, Said
from records.people.contacts import COLUMNS


class Page(NamedTuple):
    """Rows of an import, column by column: lines, the three keys, what else each row says, and all of it as a line of
    COPY (`as_line`)."""

    lines: list[int]
    external_ids: list[str | None]
    emails: list[str | None]
    phones: list[str | None]
    further: list[tuple[Key, ...]]
    """More addresses and numbers of the same contact."""
    others: list[tuple[str | None, ...]]
    """The values of `records.intake.folding.OTHERS`."""
    tags: list[tuple[str, ...]]
    properties: list[dict[str, Any]]
    consents: list[dict[str, bool]]
    copies: list[str]

    def after(self, line: int) -> Page:
        """The rows that begin behind this line."""
        start = next((at for at, one in enumerate(self.lines) if one > line), len(self.lines))
        return Page._make(column[start:] for column in self) if start else self

    def said(self, at: int) -> Said:
        """What one row says."""
        names = (self.external_ids[at], self.emails[at], self.phones[at], *self.others[at])
        stated = {name: value for name, value in zip(COLUMNS, names, strict=True) if value is not None}
        return stated, self.tags[at], self.properties[at], self.consents[at]


@dataclass
class Done:
    """What became of the rows of a page."""

    created: int = 0
    updated: int = 0
    merged: int = 0
    unchanged: int = 0
    still_withdrawn: int = 0


_BLANK = "\0"


def as_line(columns: Sequence[str | None], tags: Sequence[str] = (), properties: str = "{}") -> str:
    """What a row says as COPY takes it: the values of `records.people.contacts.COLUMNS`, tags, properties (as JSON)."""
    words = [_BLANK if value is None else value for value in columns]
    if columns[-1] is None:
        words[-1] = NEW_STAGE
    line = "\t".join(words)
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(words):
        line = "\t".join([value if value == _BLANK else escaped(value) for value in words])
    stored = properties if "\\" not in properties else escaped(properties)
    return f"{line.replace(_BLANK, NOTHING)}\t{texts(tags) if tags else '{}'}\t{stored}"


def as_json(properties: Mapping[str, Any]) -> str:
    """Properties as the records keep them."""
    return _encode(properties) if properties else "{}"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
