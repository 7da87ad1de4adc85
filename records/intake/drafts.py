"""A page as it comes from where it was parsed: what is written of it if nobody has its names is ready for COPY, so that
the database waits for nobody while it is made.
"""

from __future__ import annotations

import json
import pickle
from array import array
from bisect import insort
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple

from journeys.identities import IdentityRules
from records.copying import Cells, fields, moment, number, truth, word, words
from records.copying import json as json_cell
from records.intake.folding import NEW_STAGE
from records.intake.pages import Names, Page, empty
from records.people.contacts import COLUMNS, IDENTIFIERS

CUSTOMERS = f"id, created_at, updated_at, sharing, {', '.join(COLUMNS)}, tags, properties"
IDENTITIES = "kind, value, customer_id, since"
CONSENTS = "customer_id, channel, granted, source, at"


class Rows(NamedTuple):
    """Rows of a table as COPY takes them, with the length of each, and the customer whom it is of."""

    data: bytes = b""
    sizes: array[int] = array("I")
    owners: array[int] = array("q")

    def without(self, ids: Collection[int]) -> Rows:
        """Those that are of nobody of these numbers."""
        kept = [(one, owner) for one, owner in zip(self._split(), self.owners, strict=True) if owner not in ids]
        return _rows([one for one, _ in kept], [owner for _, owner in kept])

    def among(self, names: Sequence[bytes]) -> bytes:
        """These rows of identities with others, in the order of names."""
        if not names:
            return self.data
        found = self._split()
        for one in names:
            insort(found, one, key=_name)
        return b"".join(found)

    def _split(self) -> list[bytes]:
        found, at = [], 0
        for size in self.sizes:
            found.append(self.data[at : at + size])
            at += size
        return found


class Draft(NamedTuple):
    """Customers who are somebody new each, with their names (in the order of these) and consents."""

    customers: Rows = Rows()
    identities: Rows = Rows()
    consents: Rows = Rows()

    def without(self, ids: Collection[int]) -> Draft:
        """Those whose numbers are not among these."""
        return Draft._make(one.without(ids) for one in self) if ids else self


class Sheet(NamedTuple):
    """A page, packed: most rows of most pages are somebody new, and nobody has to look at them again.

    The row at place n has the number `first` + n, should it become a customer. Without a draft the rows have no
    numbers yet.
    """

    rows: int
    begins: int
    """The line of the first row."""
    packed: bytes
    first: int = 0
    draft: Draft | None = None
    """The rows that are alone in the page in naming somebody."""
    places: Sequence[int] = ()
    others: bytes = b""
    """The rows at these places, packed: those that are not in the draft."""

    def after(self, line: int) -> Sheet:
        """The rows that begin behind this line."""
        return self if self.begins > line else pack(self.open().after(line))

    def open(self) -> Page:
        """All rows."""
        return _unpacked(self.packed)

    def open_others(self) -> Page:
        """The rows that are not in the draft."""
        return _unpacked(self.others)


def pack(page: Page) -> Sheet:
    """A page without a draft."""
    return Sheet(len(page.lines), page.lines[0] if page.lines else 0, _packed(page))


def drafted(page: Page, rules: IdentityRules, first: int, *, now: datetime, source: str) -> Sheet:
    """A page with its draft, in which the rows get the numbers from `first` on."""
    names = page.names(rules)
    plain, others = names.sort(len(page.lines))
    made = draft(page, names, plain, [first + at for at in plain], now=now, source=source)
    return pack(page)._replace(first=first, draft=made, places=others, others=_packed(page.only(others)))


def draft(
    page: Page, names: Names, places: Sequence[int], ids: Sequence[int], *, now: datetime, source: str
) -> Draft:  # fmt: skip
    """The rows at these places as customers of these numbers, who have the names that join."""
    if len(places) < len(page.lines):
        page, names = page.only(places), names.only(places)
    since, cells, stages, tags = moment(now), Cells(), Cells({None: word(NEW_STAGE)}), _Tags()
    numbers = [number(one) for one in ids]
    keys = [[word(value) for value in values] for values in (page.external_ids, page.emails, page.phones)]
    columns = (
        [fields(6 + len(COLUMNS))] * len(ids),
        numbers,
        [since + since] * len(ids),
        [truth(one) for one in names.sharing(page)],
        *keys,
        [b"".join((*map(cells.__getitem__, said[:-1]), stages[said[-1]])) for said in page.others],
        [tags[tagged] for tagged in page.tags],
        [properties(stated) for stated in page.properties],
    )
    people = list(map(b"".join, zip(*columns, strict=True)))
    named: list[bytes] = []
    namesakes: list[int] = []
    for kind, cell_of in sorted(zip(IDENTIFIERS, keys, strict=True)):
        values, head = names.first[kind], fields(4) + word(kind)
        there = [at for at, value in enumerate(values) if value is not None]
        there.sort(key=values.__getitem__)  # type: ignore[arg-type]
        named += [head + cell_of[at] + numbers[at] + since for at in there]
        namesakes += [ids[at] for at in there]
    begin, end = fields(5), word(source) + since
    said = [
        (begin + one + cells[channel] + truth(granted) + end, owner)
        for one, owner, stated in zip(numbers, ids, page.consents, strict=True)
        for channel, granted in stated.items()
    ]
    return Draft(
        _rows(people, ids), _rows(named, namesakes), _rows([one for one, _ in said], [owner for _, owner in said])
    )  # fmt: skip


def _name(row: bytes) -> tuple[bytes, bytes]:
    """The kind and the value of a row of identities."""
    value = 6 + int.from_bytes(row[2:6], "big")
    end = value + 4 + int.from_bytes(row[value : value + 4], "big")
    return row[6:value], row[value + 4 : end]


def _rows(made: Sequence[bytes], owners: Sequence[int]) -> Rows:
    return Rows(b"".join(made), array("I", map(len, made)), array("q", owners))


class _Tags(dict[tuple[str, ...], bytes]):
    def __missing__(self, value: tuple[str, ...]) -> bytes:
        made = self[value] = words(value)
        return made


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_ENCODE: Mapping[type, Callable[[Any], str]] = {str: quoted, int: str}


def properties(stated: Mapping[str, Any]) -> bytes:
    """Properties as a cell."""
    plain = [f"{quoted(name)}: {_ENCODE.get(type(value), _encode)(value)}" for name, value in stated.items()]
    return json_cell("{" + ", ".join(plain) + "}")


def _packed(page: Page) -> bytes:
    return pickle.dumps(tuple(page), pickle.HIGHEST_PROTOCOL) if page.lines else b""


def _unpacked(packed: bytes) -> Page:
    return Page._make(pickle.loads(packed)) if packed else empty()  # noqa: S301 (our own)
