"""What changed about a customer, kept with the reason: the timeline reads it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records import tables


@dataclass(frozen=True, slots=True)
class Change:
    """One field before and after, as text; None where there was or is nothing."""

    kind: Literal["stage", "property", "tag", "untag"]
    name: str
    old: str | None = None
    new: str | None = None


def between(
    row: Mapping[str, Any], columns: Mapping[str, Any], properties: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Change]]:
    """The values to write and the changes to keep, so that `row` of customers says `columns` and `properties`.

    A property of None goes away. Values are expected cleaned.
    """
    values: dict[str, Any] = {}
    changes: list[Change] = []
    for name, new in columns.items():
        if row[name] != new:
            values[name] = new
            changes.append(Change("stage" if name == "stage" else "property", name, row[name], new))
    merged = dict(row["properties"])
    for name, new in properties.items():
        old = merged.get(name)
        if old != new or type(old) is not type(new):
            changes.append(Change("property", name, _words(old), _words(new)))
            merged[name] = new
    if merged != row["properties"]:
        values["properties"] = {name: value for name, value in merged.items() if value is not None}
    return values, changes


async def keep(
    db: AsyncConnection,
    customer_id: int,
    changes: Sequence[Change],
    *,
    because: str | None,
    enrolment_id: int | None,
    at: datetime,
) -> None:
    """Writes the changes down, in one statement."""
    shared = {"customer_id": customer_id, "because": because, "enrolment_id": enrolment_id, "at": at}
    rows = [shared | {"kind": c.kind, "name": c.name, "old": c.old, "new": c.new} for c in changes]
    if rows:
        await db.execute(insert(tables.changes).values(rows))


def _words(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
