"""A person as a page of an import finds and leaves it: rows are laid on it one after the other, as if each was written.

What is worked out here is what `records.customers.upsert` does row by row; tests/integration/test_import_as_rows.py
holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journeys.identities import Key
from records import changes
from records.changes import Change
from records.contacts import COLUMNS, IDENTIFIERS
from records.reconciling import STRICTER

OTHERS = COLUMNS[len(IDENTIFIERS) :]
"""The columns that name nobody."""
Said = tuple[Mapping[str, str], Sequence[str], Mapping[str, Any], Mapping[str, bool]]
"""What a row says: columns, tags, properties, consents (channel → granted)."""
NEW_STAGE = "new"


@dataclass(slots=True, eq=False)
class Person:
    """One person. `id` is 0 until the row is written; `at` is the place in the page of the row that made it; `seen`
    is the transaction (`xmin`) that wrote the row as it was read; `into` is who it has become."""

    id: int
    at: int
    seen: str
    columns: dict[str, Any]
    tags: list[str]
    properties: dict[str, Any]
    consents: dict[str, bool] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    """Names that are not written yet."""
    changes: list[Change] = field(default_factory=list)
    entries: list[tuple[str, bool, str]] = field(default_factory=list)
    """Consents that are not written yet: channel, whether granted, who says so."""
    touched: bool = False
    into: Person | None = None

    @property
    def order(self) -> tuple[bool, int]:
        """The oldest comes first."""
        return (self.id == 0, self.id or self.at)

    @property
    def pending(self) -> bool:
        """Whether something of it has to be written."""
        return self.touched or bool(self.keys or self.entries)

    def current(self) -> Person:
        """Who it is by now."""
        return self if self.into is None else self.into.current()

    def complete(self, said: Said, fresh: Sequence[Key]) -> bool:
        """Lay a row on it; `fresh` are names of the row that nobody had. Whether anything but consents changed."""
        stated, tags, properties, _ = said
        news = {name: value for name, value in stated.items() if name not in IDENTIFIERS or self.columns[name] is None}
        written, kept = changes.between({**self.columns, "properties": self.properties}, news, properties)
        added = [word for word in tags if word not in self.tags]
        kept += [Change("tag", word) for word in added]
        kept += [Change("property", f"another {kind}", None, value) for kind, value in fresh if kind not in written]
        self.properties = written.pop("properties", self.properties)
        self.columns |= written
        self.tags += added
        self.keys += fresh
        self.changes += kept
        self.touched = self.touched or bool(kept)
        return bool(kept)

    def declare(self, stated: Mapping[str, bool], source: str) -> tuple[bool, bool]:
        """Note what a row says of consents; a withdrawal stands. Whether anything was noted, and whether one stood."""
        noted = stood = False
        for channel, granted in stated.items():
            known = self.consents.get(channel)
            if known is granted:
                continue
            if granted and known is not None:
                stood = True
                continue
            self.consents[channel] = granted
            self.entries.append((channel, granted, source))
            noted = True
        return noted, stood

    def absorb(self, gone: Person) -> None:
        """Become one with somebody who was made by this page and is not written: what is here stands."""
        gone.into = self
        filled = {
            name: value for name, value in gone.columns.items() if value is not None and self.columns[name] is None
        }
        if self.columns["stage"] == NEW_STAGE != gone.columns["stage"]:
            filled["stage"] = gone.columns["stage"]
        properties = {name: value for name, value in gone.properties.items() if name not in self.properties}
        tags = [tag for tag in gone.tags if tag not in self.tags]
        if self.id:
            _, kept = changes.between({**self.columns, "properties": self.properties}, filled, properties)
            self.changes += [*kept, *(Change("tag", tag) for tag in tags)]
        self.changes += gone.changes
        self.columns |= filled
        self.properties = {**self.properties, **properties}
        self.tags += tags
        self.keys += gone.keys
        self.entries += gone.entries
        for channel, granted in gone.consents.items():
            known = self.consents.setdefault(channel, granted)
            if known is not granted:
                self.consents[channel] = False
                if granted:
                    # The newest entry would be the grant: what either has withdrawn stays withdrawn.
                    self.entries.append((channel, False, STRICTER))
        self.touched = True


def made(at: int, said: Said, keys: Sequence[Key]) -> Person:
    """Somebody whom nobody knew: the row at this place of the page is the first to name this person."""
    stated, tags, properties, _ = said
    columns = dict.fromkeys(COLUMNS) | {"stage": NEW_STAGE} | dict(stated)
    return Person(0, at, "", columns, list(tags), dict(properties), keys=list(keys), touched=True)
