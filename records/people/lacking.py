"""What is not known of contacts: how many lack a field, and whose fields are longest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import STANDARD_FIELDS, Condition
from records.conditions import compile_condition
from records.people.customers import Customer
from records.tables import customers, shown


@dataclass(frozen=True, slots=True)
class Lacking:
    """How many contacts there are, and how many of them lack each field."""

    contacts: int
    fields: Mapping[str, int]


async def lacking(db: AsyncConnection, fields: Collection[str], among: Condition | None, now: datetime) -> Lacking:
    """Count those who lack these fields among the customers who meet a condition (None: all)."""
    names = list(fields)
    counts = [func.count().filter(_length(name) == 0) for name in names]
    query = select(func.count(), *counts).select_from(customers).where(_meet(among, now))
    total, *missing = (await db.execute(query)).one()
    return Lacking(int(total), dict(zip(names, map(int, missing), strict=True)))


async def longest(
    db: AsyncConnection, fields: Collection[str], among: Condition | None, now: datetime, *, limit: int
) -> list[Customer]:
    """The customers who meet a condition and whose fields, taken together, are longest in UTF-8: letters beyond ASCII
    weigh more, as they do in a text message."""
    length: Any = sum((_length(name, func.octet_length) for name in fields), start=cast(0, customers.c.id.type))
    query = select(*shown(customers)).where(_meet(among, now)).order_by(length.desc(), customers.c.id).limit(limit)
    return [Customer(**row._mapping) for row in await db.execute(query)]


def _meet(among: Condition | None, now: datetime) -> ColumnElement[bool]:
    return true() if among is None else compile_condition(among, now)


def _length(name: str, measure: Callable[..., Any] = func.length) -> ColumnElement[int]:
    """The length of a field's text; 0 when nothing is known."""
    if name == "name":
        return _length("first_name", measure) + _length("last_name", measure)
    known = name in STANDARD_FIELDS
    words = cast(customers.c[name], Text) if known else customers.c.properties[name].astext
    return func.coalesce(measure(func.trim(words)), 0)
