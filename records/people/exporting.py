"""Every customer as others may take it over: all names, all fields, consents, tags, and where it stands."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.consents import LATEST
from records.tables import consents, customers, identities

FIELDS = ("first_name", "last_name", "country", "locale", "time_zone")
"""The standard fields that say something about the person."""
STANDING = ("stage", "lifecycle", "score", "grade", "owner", "tags", "created_at", "updated_at")
PAGE = 1000
"""Customers fetched at a time, by a cursor of the server: the memory stays the same however many there are."""


async def exported(db: AsyncConnection) -> AsyncGenerator[dict[str, Any], None]:
    """All customers by number, each as the export prints it. `fields` holds the standard and the custom fields."""
    named = func.jsonb_build_array(identities.c.kind, identities.c.value)
    order = aggregate_order_by(named, identities.c.since, identities.c.value)
    names = select(func.jsonb_agg(order)).where(identities.c.customer_id == customers.c.id).scalar_subquery()
    latest = (
        select(consents.c.channel, consents.c.granted)
        .where(consents.c.customer_id == customers.c.id)
        .ext(distinct_on(consents.c.channel))
        .order_by(consents.c.channel, *LATEST)
        .correlate(customers)
        .lateral()
    )
    said = select(func.jsonb_object_agg(latest.c.channel, latest.c.granted)).scalar_subquery()
    columns = ("id", "external_id", "email", "phone", "properties", *FIELDS, *STANDING)
    query = select(*(customers.c[name] for name in columns), names.label("names"), said.label("consents"))
    rows = await db.stream(query.order_by(customers.c.id).execution_options(yield_per=PAGE))
    async for row in rows:
        yield _exported(dict(row._mapping))


def _exported(row: dict[str, Any]) -> dict[str, Any]:
    custom, names = row.pop("properties"), row.pop("names") or []
    listed = {
        f"{kind}s": list(dict.fromkeys([*([row[kind]] if row[kind] else []), *(v for k, v in names if k == kind)]))
        for kind in ("external_id", "email", "phone")
    }
    fields = {**{name: row.pop(name) for name in FIELDS}, **custom}
    return {
        **fields,
        "id": row.pop("id"),
        "external_ids": listed["external_ids"],
        "email": row.pop("email"),
        "phone": row.pop("phone"),
        "emails": listed["emails"],
        "phones": listed["phones"],
        "fields": fields,
        "consents": row.pop("consents") or {},
        **{name: row[name] for name in STANDING},
    }
