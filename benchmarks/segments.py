"""How fast a segment is worked out: against SQL written by hand, and only for those who could have changed.

    python -m benchmarks.segments [--customers 1000000] [--events 5000000] [--rounds 5] [--keep FOLDER]

The segment asks for a property, a number of orders and a recent one. The SQL by hand asks the same in the three ways
that one would write it, on the same indexes and with the same memory, and fetches the ids. The evaluation asks the
same, holds the answer against the members, stores who entered and left with their events, and commits. All take turns
within one run; medians. Then 10,000 events come in at a time, of the names that the others have, and the members are
brought up to date, in turns by asking everybody and by asking those whose answer could have changed: either lets in the
hundred or so whom they bring, with their events. At last the same with many segments: those that are shipped, and
twenty such as people write.
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
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.segments_ground import NOW, WRITTEN, fill, happen
from journeys.lifecycle import load as lifecycle_rules
from journeys.segments import Segment, load_all, parse
from records.audience import lifecycle, membership, segments, values
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
DEFINITION = {"segment": "measured", "title": "Measured", "where": WHERE}
SEGMENT = Segment.model_validate(DEFINITION)
ROOT = Path(__file__).parents[1]
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
def filled(customers: int, events: int, kept: Path | None = None) -> Iterator[str]:
    """An embedded server as `waymark up` starts it, with the ground in it; its address. Nothing of it stays, unless it
    is `kept` in a folder: the ground is filled once then, and each run has a copy of it."""
    folder = kept or Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    server = EmbeddedPostgres(folder)
    ground = f"ground_{customers}_{events}"
    try:
        with psycopg.connect(server.start(), autocommit=True) as db:
            there = db.execute("SELECT FROM pg_database WHERE datname = %s", [ground]).fetchone() is not None
        if not there:
            server.drop_database(f"{ground}_begun")  # of a run that was cut off
            _fill(server.create_database(f"{ground}_begun"), customers, events)
            with psycopg.connect(server.url(), autocommit=True) as db:
                db.execute(f"ALTER DATABASE {ground}_begun RENAME TO {ground}")
        server.drop_database("measured")
        yield server.create_database("measured", template=ground) if kept else server.url(ground)
    finally:
        server.stop()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(url: str, customers: int, events: int) -> None:
    migrate(url)
    began = time.perf_counter()
    with psycopg.connect(url) as db:
        fill(db, customers, events)
    print(f"{customers:,} customers and {events:,} events, filled in {time.perf_counter() - began:.0f} s")


async def evaluation(engine: AsyncEngine, name: str = SEGMENT.segment, *, whole: bool) -> tuple[float, Evaluated]:
    """Seconds of one evaluation as a worker does it, its commit included."""
    began = time.perf_counter()
    async with engine.begin() as db:
        done = await (membership.evaluate if whole else membership.catch_up)(db, name, NOW)
    return time.perf_counter() - began, done


def by_hand(db: psycopg.Connection, question: str) -> tuple[float, int]:
    """Seconds of a question, and how many it finds."""
    began = time.perf_counter()
    rows = db.execute(question).fetchall()
    return time.perf_counter() - began, len(rows)


async def measure(url: str, customers: int, rounds: int) -> None:
    """Measure, and print."""
    engine = create_engine(url, ping=False)  # as a worker's
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"SET work_mem = '{MEMORY}'")
        async with engine.begin() as own:
            await segments.put(own, SEGMENT.segment, SEGMENT.title, DEFINITION, "")
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
        await _many(engine, db, customers, rounds)
    await engine.dispose()


async def _incremental(
    engine: AsyncEngine, db: psycopg.Connection, customers: int, rounds: int, vacuumed: float
) -> None:
    full, few, none = list[float](), list[float](), list[float]()
    for number in range(2 * rounds + 2):
        _happen(db, customers, number)
        if number % 2:
            seconds, done = await evaluation(engine, whole=True)
            full.append(seconds)
            print(f"after {NEW:,} events, everybody asked: {seconds * 1000:.1f} ms, {done.entered} entered")
            continue
        seconds, done = await evaluation(engine, whole=False)
        few.append(seconds)
        assert done.asked is not None
        idle, _ = await evaluation(engine, whole=False)
        none.append(idle)
        print(f"after {NEW:,} events, {done.asked:,} looked at: {seconds * 1000:.1f} ms, {done.entered} entered; "
              f"after no event: {idle * 1000:.1f} ms")  # fmt: skip
    # The first find statements not yet prepared, as after the start of a worker.
    whole, some, idle = (statistics.median(one[1:]) for one in (full, few, none))
    print(f"incremental: {some * 1000:.1f} ms, {some / vacuumed:.1%} of the full evaluation of tables just vacuumed")
    print(f"a full one after the same events: {whole * 1000:.0f} ms; the incremental one is {some / whole:.1%} of that")
    print(f"incremental after no event: {idle * 1000:.1f} ms")
    async with engine.connect() as own:
        meets = (await own.execute(membership.question(SEGMENT.where, NOW))).scalars().all()
        kept = (await own.execute(text("SELECT count(*) FROM segment_members"))).scalar_one()
    assert kept == len(meets), "the members are those who meet it"


async def _many(engine: AsyncEngine, db: psycopg.Connection, customers: int, rounds: int) -> None:
    loaded = load_all(ROOT / "definitions" / "segments")
    loaded += [parse(f"segment: s{number}\ntitle: S\nwhere: {where}\n") for number, where in enumerate(WRITTEN)]
    rules = lifecycle_rules(ROOT / "definitions" / "lifecycle.yaml")
    assert rules is not None
    async with engine.begin() as own:
        await values.refresh(own, rules.orders, NOW, ZoneInfo("UTC"))
        await lifecycle.evaluate(own, rules, NOW)
        for one in loaded:
            await segments.put(own, one.name, one.segment.title, one.definition, one.digest)
    names = [one.name for one in loaded]
    await _all(engine, names, whole=True)
    db.execute("VACUUM ANALYZE segment_members")
    db.execute("VACUUM ANALYZE events")
    full, few = list[float](), list[float]()
    for number in range(2 * max(1, rounds // 2) + 2):
        _happen(db, customers, 1_000 + number)
        (full if number % 2 else few).append(await _all(engine, names, whole=bool(number % 2)))
    whole, some = statistics.median(full[1:]), statistics.median(few[1:])
    print(f"{len(names)} segments, after {NEW:,} events: {some * 1000:.0f} ms of {whole * 1000:,.0f} ms, "
          f"{some / whole:.1%} of the full evaluation, {some / len(names) * 1000:.1f} ms each")  # fmt: skip


async def _all(engine: AsyncEngine, names: list[str], *, whole: bool) -> float:
    return sum([(await evaluation(engine, name, whole=whole))[0] for name in names])


def _happen(db: psycopg.Connection, customers: int, number: int) -> None:
    db.autocommit = False
    happen(db, customers, NEW, number)
    db.autocommit = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is filled, and measure on copies of it")
    given = parser.parse_args()
    with filled(given.customers, given.events, given.keep) as url:
        asyncio.run(measure(url, given.customers, given.rounds))


if __name__ == "__main__":
    main()
