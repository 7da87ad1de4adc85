"""The fields of two customers who are one: who has the word, what fills a blank, and how that is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from json import dumps
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.contacts import COLUMNS
from records.tables import customers

Before = dict[str, Any]
"""The part of the past that a merge keeps to be undone."""
AS_JSON = func.to_jsonb(customers.table_valued()).label("json")
_COLUMNS = [column.name for column in customers.c if column.name != "written"]
_NEW = "new"
_KEPT = {"id", "tags", "properties", "score", "fit", "created_at", "updated_at", "stage", "sharing"}
"""The columns with a rule of their own; of the others a blank is filled."""


async def fill(
    db: AsyncConnection, kept: Mapping[str, Any], gone: Mapping[str, Any], now: datetime, *, prefer_newer: bool
) -> Before:
    """Give the one who is kept what it lacked: the value of the other for a blank, its tags, its points."""
    newer = prefer_newer and datetime.fromisoformat(gone["updated_at"]) > datetime.fromisoformat(kept["updated_at"])
    filled = {
        name: gone[name]
        for name in _COLUMNS
        if name not in _KEPT and gone[name] is not None and (kept[name] is None or (newer and name in COLUMNS))
    }
    # Whoever is new has no stage that anybody gave.
    if gone["stage"] != _NEW and (newer or kept["stage"] == _NEW):
        filled["stage"] = gone["stage"]
    if gone["score"] != gone["fit"]:
        filled["score"] = kept["score"] + gone["score"] - gone["fit"]
    filled["sharing"] = kept["sharing"] or gone["sharing"]
    filled["created_at"] = min(kept["created_at"], gone["created_at"], key=datetime.fromisoformat)
    filled["updated_at"] = now.isoformat()
    tags = [tag for tag in gone["tags"] if tag not in kept["tags"]]
    properties = {
        name: [kept["properties"].get(name), value]
        for name, value in gone["properties"].items()
        if newer or name not in kept["properties"]
    }
    news = {name: value for name, (_, value) in properties.items()}
    written = {"tags": [*kept["tags"], *tags], "properties": {**kept["properties"], **news}}
    after = await _write(db, kept["id"], {**filled, **written})
    fields = {name: [kept[name], after[name]] for name in filled if kept[name] != after[name]}
    # What was gained meanwhile may be shared, too: whoever once had a shared key is looked for by all.
    fields.pop("sharing", None)
    return {"fields": fields, "tags": tags, "properties": properties}


async def empty(db: AsyncConnection, before: Before, kept_id: int, gone_id: int) -> None:
    """Undo `fill`: what was filled and is still as it was filled is taken away again."""
    there = (await db.execute(select(AS_JSON).where(customers.c.id == kept_id))).scalar_one()
    back = {name: old for name, (old, new) in before["fields"].items() if there[name] == new}
    if "score" in before["fields"]:
        old, new = before["fields"]["score"]
        back["score"] = there["score"] - (new - old)
    back["tags"] = [tag for tag in there["tags"] if tag not in before["tags"]]
    properties = dict(there["properties"])
    for name, (old, new) in before["properties"].items():
        if properties.get(name) == new:
            properties[name] = old
    back["properties"] = {name: value for name, value in properties.items() if value is not None}
    await _write(db, kept_id, back)


async def insert_customer(db: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Put the row of a customer back, under its own number."""
    await insert_row(db, customers.name, _COLUMNS, row)


async def _write(db: AsyncConnection, customer_id: int, values: Mapping[str, Any]) -> dict[str, Any]:
    said = ", ".join(f"{name} = said.{name}" for name in values)
    statement = text(
        f"UPDATE customers SET {said} FROM jsonb_populate_record(NULL::customers, CAST(:values AS jsonb)) AS said "  # noqa: S608 (names of our own columns)
        "WHERE customers.id = :id RETURNING to_jsonb(customers)"
    )
    written = await db.execute(statement, {"values": dumps(values), "id": customer_id})
    return dict(written.scalar_one())


async def insert_row(db: AsyncConnection, table: str, names: Sequence[str], row: Mapping[str, Any]) -> None:
    """Put a row back into a table, as it was written down."""
    columns = ", ".join(names)
    statement = text(
        f"INSERT INTO {table} ({columns}) "  # noqa: S608 (names of our own columns)
        f"SELECT {columns} FROM jsonb_populate_record(NULL::{table}, CAST(:row AS jsonb))"
    )
    await db.execute(statement, {"row": dumps(row)})
