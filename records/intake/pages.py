"""A page of an import: some thousand rows that were read and checked, on their way into the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from journeys.identities import KINDS, IdentityRules, Key
from records.intake.folding import Said
from records.people.contacts import COLUMNS, IDENTIFIERS


@dataclass(frozen=True, slots=True)
class Names:
    """What the rows of a page give as names, where they join: the first of each kind, row by row, and further ones."""

    first: Mapping[str, Sequence[str | None]]
    further: Mapping[int, Sequence[Key]]
    """By the place of the row."""

    def of(self, at: int) -> list[Key]:
        """The names that one row gives."""
        keys = [(kind, value) for kind in KINDS if (value := self.first[kind][at]) is not None]
        return [*keys, *(key for key in self.further.get(at, ()) if key not in keys)]

    def only(self, places: Sequence[int]) -> Names:
        """Those of the rows at these places, without further ones."""
        return Names({kind: [values[at] for at in places] for kind, values in self.first.items()}, {})

    def sharing(self, page: Page) -> Sequence[bool]:
        """Whether a row of this page gives a key that does not join."""
        said = zip(IDENTIFIERS, (page.external_ids, page.emails, page.phones), strict=True)
        shared = [
            {at for at, value in enumerate(values) if value is not None and self.first[kind][at] is None}
            for kind, values in said
            if self.first[kind] is not values and self.first[kind] != values
        ]
        at_places = set[int]().union(*shared)
        return [at in at_places for at in range(len(page.lines))]

    def all(self, kind: str) -> list[str]:
        """All of one kind."""
        found = [value for value in self.first[kind] if value is not None]
        return found + [value for keys in self.further.values() for one, value in keys if one == kind]

    def sort(self, count: int, owned: Collection[Key] = ()) -> tuple[list[int], list[int]]:
        """The places of the rows that are alone in naming somebody, of whom no name is `owned`, and those of the
        others."""
        others = {at for at, row in enumerate(zip(*self.first.values(), strict=True)) if row == (None, None, None)}
        others.update(self.further)
        for kind, values in self.first.items():
            told = {value for owner, value in owned if owner == kind}
            told.update(value for keys in self.further.values() for one, value in keys if one == kind)
            blank = values.count(None)
            if len(set(values)) + blank - (blank > 0) < count:
                told.update(value for value, times in Counter(values).items() if times > 1 and value is not None)
            if told:
                others |= {at for at, value in enumerate(values) if value in told}
        if not others:
            return list(range(count)), []
        return [at for at in range(count) if at not in others], sorted(others)


class Page(NamedTuple):
    """Rows of an import, column by column: lines, the three keys, and what else each row says."""

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

    def after(self, line: int) -> Page:
        """The rows that begin behind this line."""
        start = next((at for at, one in enumerate(self.lines) if one > line), len(self.lines))
        return Page._make(column[start:] for column in self) if start else self

    def only(self, places: Sequence[int]) -> Page:
        """The rows at these places."""
        return Page._make([column[at] for at in places] for column in self)

    def said(self, at: int) -> Said:
        """What one row says."""
        names = (self.external_ids[at], self.emails[at], self.phones[at], *self.others[at])
        stated = {name: value for name, value in zip(COLUMNS, names, strict=True) if value is not None}
        return stated, self.tags[at], self.properties[at], self.consents[at]

    def names(self, rules: IdentityRules) -> Names:
        """What its rows give as names, where they join."""
        stated = zip(IDENTIFIERS, (self.external_ids, self.emails, self.phones), strict=True)
        further = {at: rules.joining(keys) for at, keys in enumerate(self.further) if keys}
        return Names({kind: _joining(rules, kind, values) for kind, values in stated}, further)


@dataclass
class Done:
    """What became of the rows of a page."""

    created: int = 0
    updated: int = 0
    merged: int = 0
    unchanged: int = 0
    still_withdrawn: int = 0


def empty() -> Page:
    """A page that rows can be added to."""
    return Page._make([] for _ in Page._fields)


def _joining(rules: IdentityRules, kind: str, values: list[str | None]) -> list[str | None]:
    if kind != "external_id" and kind not in rules.join_by:
        return [None] * len(values)
    apart = rules.shared.get(kind)
    return [None if value in apart else value for value in values] if apart else values
