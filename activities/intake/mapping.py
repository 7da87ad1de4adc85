"""Which column of a list is which field of a contact: as it was said, by name in many languages, or nearly by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from activities.intake.contacts import COLUMNS
from activities.intake.encodings import UnreadableTable
from activities.intake.headers import HALF, HALVES, OTHERS, SELDOM, Meaning, meaning, word, words
from journeys.fields import Fields
from journeys.nearest import unknown_word

REPORTED = ("line", "field", "reason")
"""The columns that a file of rejected rows has in front; when it is imported again, they say nothing."""
NOTHING = ("", "-")
"""What leaves a column out: `--map "Old e-mail=-"`."""
FURTHER = {"email": "other_email", "phone": "other_phone"}
"""Of these a contact may have several, each in a column of its own."""
SEVERAL = frozenset(FURTHER.values())
_LIKENESS = 0.9
_NAMING = frozenset({"external_id", "email", "phone"})
_IDS = ("customer", "client", "contact", "user", "客户")
"""Columns that hold ids where nothing else says who somebody is: histories of orders name their customers so."""
_GUESSED = frozenset({*COLUMNS, "full_name"}) - {"external_id", "consent_email", "consent_sms"}
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_NUMBERED = re.compile(r"#(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column of the header means (None: it is left out), and how that was found."""

    header: list[str]
    columns: list[str | None]
    guessed: dict[str, str] = field(default_factory=dict)
    """Columns that were taken for the field that is written most like them, or whose cells look like it."""
    unknown: dict[str, str | None] = field(default_factory=dict)
    """Columns that are left out, with the nearest field if there is one."""

    def shown(self) -> dict[str, str | None]:
        """Column → field, in the order of the file."""
        return {
            cell.strip() or f"#{at}": name
            for at, (cell, name) in enumerate(zip(self.header, self.columns, strict=True), 1)
        }


def names_somebody(header: Sequence[str], fields: Fields) -> bool:
    """Whether a line has a column by which somebody is known, so that it is the header of a list."""
    return any((found := _meaning(cell, fields)) and found.field in {*_NAMING, SELDOM} for cell in header)


def propose(
    header: Sequence[str], fields: Fields, said: Mapping[str, str], place: str, rows: Sequence[Sequence[str]] = ()
) -> Columns:
    """The meaning of a header; `said` (column → field) goes before what is proposed. `#3` is the third column. `rows`
    are some of those below, where no name says what they hold.

    Raises:
        UnreadableTable: two columns mean one field, none names a contact, or `said` names what is not there.
    """
    columns: list[str | None] = [None] * len(header)
    reported = len(REPORTED) if tuple(cell.strip() for cell in header[: len(REPORTED)]) == REPORTED else 0
    chosen = _chosen(header, fields, said, place, reported)
    for at, name in chosen.items():
        columns[at] = name
    free = [at for at in range(len(header)) if at not in chosen and at >= reported]
    _by_name(header, columns, free, fields, place)
    guessed: dict[str, str] = {}
    for at in free:
        if columns[at] is None and (likely := _likely(header[at], fields)) and likely not in columns:
            columns[at] = likely
            guessed[header[at].strip()] = likely
    if not _NAMING & set(columns):
        addresses = [at for at in free if columns[at] is None and _holds_addresses(rows, at)]
        if addresses:
            columns[addresses[0]] = "email"
            guessed[header[addresses[0]].strip() or f"#{addresses[0] + 1}"] = "email"
        elif ids := [at for at in free if word(header[at]) in _IDS]:
            # In a list with addresses it would be a name as likely: of a company, say.
            columns[ids[0]] = "external_id"
    _check(header, columns, place)
    unknown = {
        header[at].strip(): _nearest(header[at], fields, columns)
        for at in free
        if columns[at] is None and header[at].strip()
    }
    return Columns(list(header), columns, guessed, unknown)


def _by_name(header: Sequence[str], columns: list[str | None], free: list[int], fields: Fields, place: str) -> None:
    """Give each field the column that names it most plainly, and what a contact may have several of, all of them."""
    found: dict[str, list[tuple[Meaning, int]]] = {}
    for at in free:
        if (one := _meaning(header[at], fields)) is not None:
            found.setdefault(one.field, []).append((one, at))
    seldom, halves = found.pop(SELDOM, []), found.pop(HALF, [])
    if "phone" not in found and seldom:
        found["phone"] = seldom[:1]
    given = {name for name in columns if name} | found.keys()
    if halves and given.isdisjoint({"full_name"}) and (wanted := _half(given)):
        found[wanted] = halves
    for name, candidates in found.items():
        if name in columns and name not in SEVERAL:
            continue
        candidates.sort(key=lambda one: (one[0].rank if name != "email" else one[0].rank > 0, one[0].number, one[1]))
        first, *rest = (at for _, at in candidates)
        columns[first] = name
        for at in rest:
            if word(header[at]) == word(header[first]) and name not in SEVERAL:
                _refuse([(first, header[first]), (at, header[at])], name, place)
            columns[at] = name if name in SEVERAL else FURTHER.get(name)


def _half(given: set[str]) -> str | None:
    """What a column called just `Name` is: the half that no other column holds, or the whole."""
    lacking = [half for half in HALVES if half not in given]
    return "full_name" if len(lacking) == 2 else lacking[0] if lacking else None


def _meaning(cell: str, fields: Fields) -> Meaning | None:
    said = word(cell)
    if not said:
        return None
    for name in (*COLUMNS, *OTHERS, *fields):
        if said == word(name):
            return Meaning(name, 0)
    for name, one in fields.items():
        if said == word(one.title):
            return Meaning(name, 0)
    found = meaning(cell)
    return found if found and (found.field in (*COLUMNS, *OTHERS, *fields, SELDOM, HALF)) else None


def _chosen(
    header: Sequence[str], fields: Fields, said: Mapping[str, str], place: str, reported: int
) -> dict[int, str | None]:
    places: dict[str, list[int]] = {}
    for at, cell in enumerate(header):
        places.setdefault(word(cell) or cell.strip(), []).append(at)
    chosen: dict[int, str | None] = {}
    for column, name in said.items():
        number = _NUMBERED.fullmatch(column.strip())
        # In a file of rejected rows the columns are those of the list, behind what is reported.
        found = [int(number[1]) - 1 + reported] if number else places.get(word(column) or column.strip(), [])
        if not found or not reported <= found[0] < len(header):
            what = (
                f"the file has {len(header) - reported} columns"
                if number
                else f"found {', '.join(map(str.strip, header))[:200]}"
            )
            raise UnreadableTable(
                f"{place}: --map: there is no column {column!r}; {what}", hint="Write --map 'column=field'."
            )
        if len(found) > 1:
            numbers = " or ".join(f"#{at + 1 - reported}" for at in found)
            raise UnreadableTable(
                f"{place}: --map: {len(found)} columns are named {column!r}",
                hint=f"Write {numbers} instead of the name.",
            )
        if found[0] in chosen:
            raise UnreadableTable(
                f"{place}: --map names the column {header[found[0]].strip()!r} twice", hint="Say once what it is."
            )
        chosen[found[0]] = None if name.strip() in NOTHING else _field(column, name.strip(), fields, place)
    return chosen


def _field(column: str, name: str, fields: Fields, place: str) -> str:
    known = [*COLUMNS, *OTHERS, *fields]
    found = name if name in known else (one := _meaning(name, fields)) and one.field
    if found not in known:
        raise UnreadableTable(
            f"{place}: --map {column}={name}: {unknown_word(name, known, 'is no field of a contact')}",
            hint="The fields are " + ", ".join(known) + ".",
        )
    return str(found)


def _check(header: Sequence[str], columns: Sequence[str | None], place: str) -> None:
    known = [column for column in columns if column and column not in SEVERAL]
    if twice := next((column for column in known if known.count(column) > 1), None):
        _refuse([(at, cell) for at, cell in enumerate(header) if columns[at] == twice], twice, place)
    if not {*_NAMING, *SEVERAL} & {*columns}:
        raise UnreadableTable(
            f"{place}: no column is an email or a phone, or an external id; "
            f"found {', '.join(map(str.strip, header))[:200]}",
            hint="Name one of them email, phone or external_id, or say which it is: --map 'column=email'.",
        )


def _refuse(found: Sequence[tuple[int, str]], name: str, place: str) -> None:
    further = f" or make it a further one: --map '#{found[1][0] + 1}={FURTHER[name]}'" if name in FURTHER else ""
    raise UnreadableTable(
        f"{place}: {' and '.join(repr(cell.strip()) for _, cell in found)} both mean {name}",
        hint=f"Keep one of them, or leave one out: --map '#{found[1][0] + 1}=-'{',' + further if further else '.'}",
    )


def _likely(cell: str, fields: Fields) -> str | None:
    """The field of which the column is a slip of the pen."""
    said = word(cell)
    known = {**words(), **{word(name): name for name in (*COLUMNS, *OTHERS, *fields)}}
    near = get_close_matches(said, (one for one in known if len(one) > 4), n=1, cutoff=_LIKENESS)
    name = known[near[0]] if near else None
    if name not in {*_GUESSED, *fields} or re.sub(r"\D", "", said) != re.sub(r"\D", "", near[0]):
        return None
    return name


def _nearest(cell: str, fields: Fields, columns: Sequence[str | None]) -> str | None:
    """The field that a column which is left out might be."""
    found = _meaning(cell, fields)
    if found is not None and found.field in ("email", "phone", SELDOM):
        return FURTHER["email" if found.field == "email" else "phone"]
    known = {word(name): name for name in (*COLUMNS, *OTHERS, *fields) if name not in columns}
    near = get_close_matches(word(cell), known, n=1, cutoff=0.7)
    return known[near[0]] if near else None


def _holds_addresses(rows: Sequence[Sequence[str]], at: int) -> bool:
    said = [cell for row in rows if at < len(row) and (cell := row[at].strip())]
    return bool(said) and sum(_ADDRESS.search(cell) is not None for cell in said) * 2 > len(said)
