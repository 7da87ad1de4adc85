"""A person as a page of an import finds and leaves it: rows are laid on it one after the other, as if each was written.

Of what the rows of one person say, the last word counts, also of rows that turn out to be the same person only later:
so the same page again changes nothing. Whom rows name, and what becomes of consents, is what `upserts.upsert`
makes of them row by row; tests/integration/test_import_as_rows.py holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journeys.identities import Key
from records import changes
from records.changes import Change
from records.people.contacts import COLUMNS, IDENTIFIERS
from records.people.reconciling import STRICTER

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
    places: dict[str, int] = field(default_factory=dict)
    """The last row of the page that says something of a column, or of a property (with a dot before its name)."""
    entries: list[tuple[str, bool, str]] = field(default_factory=list)
    """Consents that are not written yet: channel, whether granted, who says so."""
    touched: bool = False
    was: tuple[dict[str, Any], list[str], dict[str, Any]] | None = None
    """Columns, tags and properties before the first row that changed something."""
    updates: int = 0
    """Rows that have changed it since, and were counted for that."""
    into: Person | None = None
    settled: bool = False
    """Whether it is as all rows of the list have left it, because the list was written before."""

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

    def complete(self, at: int, said: Said, fresh: Sequence[Key]) -> bool:
        """Lay the row at this place on it; `fresh` are names of the row that nobody had. Whether anything but consents
        changed."""
        self.settled = False
        stated, tags, properties, _ = said
        news = {name: value for name, value in stated.items() if name not in IDENTIFIERS or self.columns[name] is None}
        written, kept = changes.between({**self.columns, "properties": self.properties}, news, properties)
        added = [word for word in tags if word not in self.tags]
        if self.was is None:
            self.was = (dict(self.columns), list(self.tags), self.properties)
        kept += [Change("tag", word) for word in added]
        further = [(kind, value) for kind, value in fresh if written.get(kind) != value]
        kept += [Change("property", f"another {kind}", None, value) for kind, value in further]
        self.properties = written.pop("properties", self.properties)
        self.columns |= written
        self.places |= _places(at, said)
        self.tags += added
        self.keys += fresh
        self.changes += kept
        self.touched = self.touched or bool(kept)
        return bool(kept)

    def settle(self) -> int:
        """Forget changes that came to nothing: rows that contradict each other leave a person, when they are read
        again, as they left it before. Returns how many rows were counted for them."""
        if not self.id or self.keys or self.was != (self.columns, self.tags, self.properties):
            return 0
        self.changes, self.touched = [], False
        return self.updates

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
        """Become one with somebody who was made by this page and is not written."""
        gone.into = self
        columns, properties = self.newer(gone)
        filled = {
            name: value for name, value in gone.columns.items() if value is not None and self.columns[name] is None
        } | columns
        if self.columns["stage"] == NEW_STAGE and "stage" not in self.places:
            filled["stage"] = gone.columns["stage"]
        properties |= {name: value for name, value in gone.properties.items() if name not in self.properties}
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

    def newer(self, gone: Person) -> tuple[dict[str, Any], dict[str, Any]]:
        """What rows of somebody else said after what rows said of this one: columns and properties. From now on it is
        said of this one."""
        later = {name: at for name, at in gone.places.items() if at > self.places.get(name, -1)}
        self.places |= later
        columns = {name: gone.columns[name] for name in later if not name.startswith(".")}
        return columns, {name[1:]: gone.properties[name[1:]] for name in later if name.startswith(".")}

    def overwrite(self, columns: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Say this of it, whatever was said before."""
        written, kept = changes.between({**self.columns, "properties": self.properties}, columns, properties)
        self.properties = written.pop("properties", self.properties)
        self.columns |= written
        self.changes += kept
        self.touched = self.touched or bool(kept)


def _places(at: int, said: Said) -> dict[str, int]:
    stated, _, properties, _ = said
    names = [name for name in stated if name not in IDENTIFIERS]
    return dict.fromkeys([*names, *(f".{name}" for name in properties)], at)


def made(at: int, said: Said, keys: Sequence[Key]) -> Person:
    """Somebody whom nobody knew: the row at this place of the page is the first to name this person."""
    stated, tags, properties, _ = said
    columns = dict.fromkeys(COLUMNS) | {"stage": NEW_STAGE} | dict(stated)
    return Person(
        0, at, "", columns, list(tags), dict(properties), keys=list(keys), touched=True, places=_places(at, said)
    )
