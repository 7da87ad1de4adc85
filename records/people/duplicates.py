"""Where records that may be one person meet: a working table, filled and read in pages, gone with the transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import customers, merges

_SAID = ("id", "first_name", "last_name", "email", "phone", "properties")


async def prepare(db: AsyncConnection) -> None:
    """Make the working table."""
    await db.execute(text("CREATE TEMP TABLE meetings (block bigint NOT NULL, id bigint NOT NULL) ON COMMIT DROP"))


async def page(db: AsyncConnection, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Customers by number, as far as they are compared."""
    columns = [customers.c[name] for name in _SAID]
    query = select(*columns).where(customers.c.id > after).order_by(customers.c.id).limit(limit)
    return [dict(row._mapping) for row in await db.execute(query)]


async def these(db: AsyncConnection, ids: Iterable[int]) -> list[dict[str, Any]]:
    """Customers of these numbers, as far as they are compared."""
    columns = [customers.c[name] for name in _SAID]
    return [dict(row._mapping) for row in await db.execute(select(*columns).where(customers.c.id.in_(list(ids))))]


async def meet(db: AsyncConnection, rows: Iterable[tuple[int, int]]) -> None:
    """Write down where customers meet others: block and number."""
    raw = await db.get_raw_connection()
    assert raw.driver_connection is not None
    async with raw.driver_connection.cursor() as cursor, cursor.copy("COPY meetings FROM STDIN") as copy:
        for row in rows:
            await copy.write_row(row)


async def met(db: AsyncConnection, *, page: int) -> AsyncGenerator[list[tuple[int, int]], None]:
    """Blocks with more than one customer, as rows of block and number, those of a block next to each other."""
    await db.execute(text("ANALYZE meetings"))
    together = text(
        "SELECT block, id FROM (SELECT block, id, count(*) OVER (PARTITION BY block) AS many FROM meetings) AS b "
        "WHERE many > 1 ORDER BY block, id"
    )
    rows = await db.stream(together.execution_options(yield_per=page))
    async for part in rows.partitions(page):
        yield [(row.block, row.id) for row in part]


async def told_apart(db: AsyncConnection) -> set[tuple[int, int]]:
    """Pairs that somebody has merged and separated again: they are two people, and are not proposed."""
    query = select(merges.c.kept_id, merges.c.gone_id).where(merges.c.undone_at.is_not(None))
    return {(min(row), max(row)) for row in (tuple(one) for one in await db.execute(query))}
