"""How fast a segment is worked out: against SQL written by hand, and only for those who could have changed.

    python -m benchmarks.segments [--customers 1000000] [--events 5000000] [--rounds 5]

The segment asks for a property, a number of orders and a recent one. The SQL by hand asks the same in the three ways
that one would write it, on the same indexes and with the same memory, and fetches the ids. The evaluation asks the
same, holds the answer against the members, stores who entered and left with their events, and commits. All take turns
within one run; medians. Then 10,000 events come in at a time, and the members are brought up to date.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.segments_ground import NOW, fill, happen
from journeys.segments import Segment
from records.audience import membership, segments
from records.audience.membership import MEMORY, Evaluated
from records.database import create_engine
from records.migration import migrate
from workers.server.postgres import EmbeddedPostgres

WHERE = {
    "all": [
        {"field": {"name": "plan", "is": "team"}},
        {"event": {"name": "order.placed", "at_least": 3}},
        {"event": {"name": "order.placed", "within": "90d"}},
    ]
}
SEGMENT = Segment.model_validate({"segment": "measured", "title": "Measured", "where": WHERE})
_SINCE = ">= timestamptz '2026-11-01T00:00:00Z' - interval '90 days'"
_TEAM = "FROM customers c WHERE c.properties->>'plan' = 'team'"
_MINE = "FROM events e WHERE e.customer_id = c.id AND e.name = 'order.placed'"
BY_HAND = {
    "counted for each": f"SELECT c.id {_TEAM} AND (SELECT count(*) {_MINE}) >= 3 "
    f"AND EXISTS (SELECT 1 {_MINE} AND e.occurred_at {_SINCE})",
    "IN and EXISTS": f"SELECT c.id {_TEAM} AND EXISTS (SELECT 1 {_MINE} AND e.occurred_at {_SINCE}) "
    "AND c.id IN (SELECT customer_id FROM events WHERE name = 'order.placed' "
    "GROUP BY customer_id HAVING count(*) >= 3)",
    "one group": f"SELECT c.id {_TEAM} AND c.id IN (SELECT customer_id FROM events WHERE name = 'order.placed' "
    f"GROUP BY customer_id HAVING count(*) >= 3 AND max(occurred_at) {_SINCE})",
}
NEW = 10_000


@contextmanager
def filled(customers: int, events: int) -> Iterator[str]:
    """An embedded server as `waymark up` starts it, with the ground in it; its address. Nothing of it stays."""
    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
        migrate(url)
        began = time.perf_counter()
        with psycopg.connect(url) as db:
            fill(db, customers, events)
        print(f"{customers:,} customers and {events:,} events, filled in {time.perf_counter() - began:.0f} s")
        yield url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def evaluation(engine: AsyncEngine, *, whole: bool) -> tuple[float, Evaluated]:
    """Seconds of one evaluation, its commit included."""
    began = time.perf_counter()
    async with engine.begin() as db:
        done = await (membership.evaluate if whole else membership.catch_up)(db, SEGMENT, NOW)
    return time.perf_counter() - began, done


def by_hand(db: psycopg.Connection, question: str) -> tuple[float, int]:
    """Seconds of a question, and how many it finds."""
    began = time.perf_counter()
    rows = db.execute(question).fetchall()
    return time.perf_counter() - began, len(rows)


async def measure(url: str, customers: int, rounds: int) -> None:
    """Measure, and print."""
    engine = create_engine(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"SET work_mem = '{MEMORY}'")
        async with engine.begin() as own:
            await segments.put(own, SEGMENT.segment, SEGMENT.title, {}, "")
        first, done = await evaluation(engine, whole=True)
        print(f"first evaluation: {first:.2f} s, {done.entered:,} entered, each with an event")
        db.execute("VACUUM ANALYZE segment_members")
        db.execute("VACUUM events")
        times: dict[str, list[float]] = {name: [] for name in (*BY_HAND, "evaluation")}
        for number in range(rounds + 1):
            for name, question in BY_HAND.items():
                seconds, found = by_hand(db, question)
                assert found == done.entered, f"{name} finds {found}"
                times[name].append(seconds)
            seconds, again = await evaluation(engine, whole=True)
            assert (again.entered, again.left) == (0, 0)
            times["evaluation"].append(seconds)
            if number == 0:  # so that all find the server's memory equally warm
                times = {name: [] for name in times}
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        whole = medians.pop("evaluation")
        for name, seconds in medians.items():
            print(f"by hand, {name}: {seconds * 1000:.0f} ms; the evaluation has {seconds / whole:.2f} of its speed")
        print(f"evaluation: {whole * 1000:.0f} ms; {min(medians.values()) / whole:.2f} of the fastest by hand")
        await _incremental(engine, db, customers, rounds, whole)
    await engine.dispose()


async def _incremental(engine: AsyncEngine, db: psycopg.Connection, customers: int, rounds: int, whole: float) -> None:
    taken = []
    for number in range(rounds + 1):
        db.autocommit = False
        happen(db, customers, NEW, number)
        db.autocommit = True
        seconds, done = await evaluation(engine, whole=False)
        assert done.asked is not None
        idle, _ = await evaluation(engine, whole=False)
        if number > 0:  # the first one finds its statements not yet prepared, as after the start of a worker
            taken.append(seconds)
        print(f"after {NEW:,} events: {seconds * 1000:.1f} ms, {done.asked:,} asked, {done.entered} entered; "
              f"after none: {idle * 1000:.1f} ms")  # fmt: skip
    median = statistics.median(taken)
    print(f"incremental: {median * 1000:.1f} ms, {median / whole:.1%} of the full evaluation")
    async with engine.connect() as own:
        meets = (await own.execute(membership.question(SEGMENT.where, NOW))).scalars().all()
        kept = (await own.execute(text("SELECT count(*) FROM segment_members"))).scalar_one()
    assert kept == len(meets), "the members are those who meet it"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with filled(given.customers, given.events) as url:
        asyncio.run(measure(url, given.customers, given.rounds))


if __name__ == "__main__":
    main()
