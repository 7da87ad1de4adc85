"""What finding people costs among a million: search, one customer with a long timeline, export, possible duplicates.

    python -m benchmarks.finding [--customers 1000000] [--entries 5000] [--duplicates]

PostgreSQL is the embedded one, as durable as that of `waymark up`. One of the customers has so many events, touches and
points as is asked for; the others have three events each. Each question is asked a few times, on one connection, and
the median is printed. The export is counted in customers a second, printed to nowhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.people.duplicates import propose
from benchmarks.usage import MB, Memory
from console.documents import document
from records.database import create_engine
from records.migration import migrate
from records.people import consents, customers, identities, merging, search
from records.people.exporting import exported
from records.people.timeline import timeline
from workers.server.postgres import EmbeddedPostgres

TIMES = 15
PEOPLE = """
INSERT INTO customers (external_id, email, phone, first_name, last_name, properties, created_at, updated_at)
SELECT 'c-' || n, f.name || '.' || l.name || n || '@'
           || (ARRAY['gmail.com', 'gmx.de', 'acme' || n % 5000 || '.example'])[n % 3 + 1],
       '+49151' || (10000000 + n * 7 % 89999999), initcap(f.name), initcap(l.name),
       jsonb_build_object('city', 'Town ' || n % 3000), now(), now()
FROM generate_series(1, :people) n,
     LATERAL (SELECT substr('annabenoclaudiodoraemilfritzgretahelmutidajonas', n * 31 % 40 + 1, 6) AS name) f,
     LATERAL (SELECT substr(translate(md5((n * 17 % 50000)::text), '0123456789', 'klmnoprstu'), 1, 7) AS name) l
"""
NAMES = """
INSERT INTO identities (kind, value, customer_id, since)
SELECT k.kind, k.value, c.id, now() FROM customers c,
    LATERAL (VALUES ('external_id', c.external_id), ('email', c.email), ('phone', c.phone)) AS k(kind, value)
ON CONFLICT DO NOTHING
"""
LIFE = [
    (
        "INSERT INTO events (customer_id, name, occurred_at, received_at, routed_at) SELECT id, 'page.seen', now() "
        "- k * interval '1 day', now(), now() FROM customers, generate_series(1, 3) k"
    ),
    (
        "INSERT INTO events (customer_id, name, occurred_at, received_at, routed_at) SELECT 17, 'page.seen', "
        "now() - k * interval '1 hour', now(), now() FROM generate_series(1, :entries) k"
    ),
    (
        "INSERT INTO touches (customer_id, channel, message, key, claimed_at, status) SELECT 17, 'email', 'email/x', "
        "'k' || k, now() - k * interval '3 hours', 'sent' FROM generate_series(1, :entries / 5) k"
    ),
    (
        "INSERT INTO score_entries (customer_id, points, because, at) SELECT 17, 1, 'x', now() - k * interval '1 hour' "
        "FROM generate_series(1, :entries / 5) k"
    ),
]
SEARCHES = ["c-777", "anna", "0151 1234", "+49 151 10000", "anna k", "claudi.klm", "no such name"]


async def fill(engine: AsyncEngine, people: int, entries: int) -> None:
    """A database as large as is asked for, analysed."""
    for statement in (PEOPLE, NAMES, *LIFE):
        async with engine.begin() as db:
            given = {
                name: value for name, value in (("people", people), ("entries", entries)) if f":{name}" in statement
            }
            await db.execute(text(statement), given)
    async with engine.connect() as db:
        await (await db.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))


async def median(what: str, ask: Callable[[], Awaitable[object]]) -> None:
    """Ask a few times, and print the median in milliseconds."""
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    print(f"{what:<58} {statistics.median(times) * 1000:8.1f} ms", flush=True)


async def show(db: AsyncConnection, reference: str, limit: int) -> int:
    """All that `customers show` asks."""
    found = await customers.find(db, reference)
    await consents.history(db, found.id)
    await identities.of(db, found.id)
    await merging.listing(db, found.id)
    return len(await timeline(db, found.id, limit=limit))


async def measure(url: str, people: int, entries: int, with_duplicates: bool) -> None:
    """Fill, ask, print."""
    engine = create_engine(url)
    began = time.perf_counter()
    await fill(engine, people, entries)
    print(f"{people:,} customers written in {time.perf_counter() - began:.0f} s", flush=True)
    async with engine.connect() as db:
        for sought in SEARCHES:
            await median(f"search {sought!r}", lambda sought=sought: search.list_page(db, search=sought))  # type: ignore[misc]
        await median(f"show the newest 100 of {entries * 7 // 5:,} entries", lambda: show(db, "c-17", 101))
        await median("show all of them", lambda: show(db, "c-17", 100_000))
    began, many = time.perf_counter(), 0
    async with engine.connect() as db:
        async for row in exported(db):
            json.dumps(document(row), ensure_ascii=False)
            many += 1
    print(f"export: {many / (time.perf_counter() - began):,.0f} customers a second", flush=True)
    if with_duplicates:
        began = time.perf_counter()
        found = await propose(engine, limit=1000)
        print(f"duplicates: {time.perf_counter() - began:.0f} s, {len(found):,} pairs of at most 1,000", flush=True)
    print(f"memory of this process: {Memory.of(os.getpid()).own / MB:,.0f} MB", flush=True)
    await engine.dispose()


def main() -> None:
    """Run it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--customers", type=int, default=1_000_000)
    arguments.add_argument("--entries", type=int, default=5000)
    arguments.add_argument("--duplicates", action="store_true")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="waymark-finding-"))
    server = EmbeddedPostgres(folder)
    url = server.start()
    try:
        migrate(url)
        asyncio.run(measure(url, given.customers, given.entries, given.duplicates))
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
