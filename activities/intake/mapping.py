"""Which column of a list is which field of a contact: as it was said, by name in many languages, or nearly by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from activities.intake.contacts import ALIASES, COLUMNS, column_name, nearest_column
from activities.intake.encodings import UnreadableTable
from journeys.fields import Fields
from journeys.nearest import unknown_word

REPORTED = ("line", "field", "reason")
"""The columns that a file of rejected rows has in front; when it is imported again, they say nothing."""
NOTHING = ("", "-")
"""What leaves a column out: `--map "Old e-mail=-"`."""
_LIKENESS = 0.9
_NAMING = frozenset({"external_id", "email", "phone"})
_IDS = ("customer", "client", "contact", "user", "客户")
"""Columns that hold ids where nothing else says who somebody is: histories of orders name their customers so."""
_NEVER_GUESSED = ("external_id", "consent_email", "consent_sms")


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column of the header means (None: it is left out), and how that was found."""

    header: list[str]
    columns: list[str | None]
    guessed: dict[str, str] = field(default_factory=dict)
    """Columns that were taken for the field that is written most like them."""
    unknown: dict[str, str | None] = field(default_factory=dict)
    """Columns that are left out, with the nearest field if there is one."""

    def shown(self) -> dict[str, str | None]:
        """Column → field, in the order of the file."""
        return {
            cell.strip() or f"#{at}": name
            for at, (cell, name) in enumerate(zip(self.header, self.columns, strict=True), 1)
        }


def propose(header: Sequence[str], fields: Fields, said: Mapping[str, str], place: str) -> Columns:
    """The meaning of a header; `said` (column → field) goes before what is proposed. `#3` is the third column.

    Raises:
        UnreadableTable: two columns mean one field, none names a contact, or `said` names what is not there.
    """
    chosen = _chosen(header, fields, said, place)
    taken = {name for name in chosen.values() if name}
    columns = [
        chosen[at] if at in chosen else None if (name := column_name(cell, fields)) in taken else name
        for at, cell in enumerate(header)
    ]
    if tuple(cell.strip() for cell in header[: len(REPORTED)]) == REPORTED:
        columns[: len(REPORTED)] = [chosen.get(at) for at in range(len(REPORTED))]
        skipped = set(range(len(REPORTED))) - chosen.keys()
    else:
        skipped = set()
    guessed: dict[str, str] = {}
    for at, cell in enumerate(header):
        likely = _likely(cell, fields) if columns[at] is None and at not in chosen and at not in skipped else None
        if likely is not None and likely not in columns:
            columns[at] = likely
            guessed[cell.strip()] = likely
    if not _NAMING & set(columns) and (ids := [at for at, cell in enumerate(header) if _word(cell) in _IDS]):
        # In a list with addresses it would be a name as likely: of a company, say.
        columns[ids[0]] = "external_id" if ids[0] not in chosen else columns[ids[0]]
    _check(header, columns, place)
    unknown = {
        cell.strip(): nearest_column(cell, fields)
        for at, cell in enumerate(header)
        if columns[at] is None and at not in chosen and at not in skipped and cell.strip()
    }
    return Columns(list(header), columns, guessed, unknown)


def _chosen(header: Sequence[str], fields: Fields, said: Mapping[str, str], place: str) -> dict[int, str | None]:
    places: dict[str, list[int]] = {}
    for at, cell in enumerate(header):
        places.setdefault(_word(cell), []).append(at)
    chosen: dict[int, str | None] = {}
    for column, name in said.items():
        number = re.fullmatch(r"#(\d{1,4})", column.strip())
        found = [int(number[1]) - 1] if number else places.get(_word(column), [])
        if not found or not 0 <= found[0] < len(header):
            what = (
                f"the file has {len(header)} columns" if number else f"found {', '.join(map(str.strip, header))[:200]}"
            )
            raise UnreadableTable(
                f"{place}: --map: there is no column {column!r}; {what}", hint="Write --map 'column=field'."
            )
        if len(found) > 1:
            numbers = " or ".join(f"#{at + 1}" for at in found)
            raise UnreadableTable(
                f"{place}: --map: {len(found)} columns are named {column!r}",
                hint=f"Write {numbers} instead of the name.",
            )
        if name.strip() in NOTHING:
            chosen[found[0]] = None
            continue
        field_name = name.strip() if name.strip() in (*COLUMNS, *fields) else column_name(name, fields)
        if field_name is None:
            known = [*COLUMNS, *fields]
            raise UnreadableTable(
                f"{place}: --map {column}={name}: {unknown_word(name, known, 'is no field of a contact')}",
                hint="The fields are " + ", ".join(known) + ".",
            )
        chosen[found[0]] = field_name
    return chosen


def _check(header: Sequence[str], columns: Sequence[str | None], place: str) -> None:
    known = [column for column in columns if column]
    if twice := next((column for column in known if known.count(column) > 1), None):
        found = [
            (at, cell.strip()) for at, (cell, one) in enumerate(zip(header, columns, strict=True), 1) if one == twice
        ]
        raise UnreadableTable(
            f"{place}: {' and '.join(repr(cell) for _, cell in found)} both mean {twice}",
            hint=f"Keep one of them, or leave one out: --map '#{found[1][0]}=-'.",
        )
    if not _NAMING & set(known):
        raise UnreadableTable(
            f"{place}: no column is an email or a phone, or an external id; "
            f"found {', '.join(map(str.strip, header))[:200]}",
            hint="Name one of them email, phone or external_id, or say which it is: --map 'column=email'.",
        )


def _likely(cell: str, fields: Fields) -> str | None:
    """The field of which the column is a slip of the pen."""
    word = _word(cell)
    near = get_close_matches(word, [*COLUMNS, *fields, *_aliases()], n=1, cutoff=_LIKENESS)
    name = column_name(near[0], fields) if near else None
    if name is None or name in _NEVER_GUESSED or re.sub(r"\D", "", word) != re.sub(r"\D", "", near[0]):
        return None
    return name


def _aliases() -> list[str]:
    return [alias for aliases in ALIASES.values() for alias in aliases.split() if len(alias) > 4]


def _word(cell: str) -> str:
    return re.sub(r"[\W_]+", "_", cell.strip().lower()).strip("_")
