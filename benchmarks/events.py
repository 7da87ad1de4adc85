"""How many events a second are taken in and carried to journeys, while many runs are open.

    python -m benchmarks.events [--runs 100000] [--events 20000] [--real 400]

So many runs are on the books as rows, each of a contact of its own and awaiting an order; no workflow stands behind
them, as starting that many takes an hour. `real` runs besides are real: workflows that one worker process serves, in
Temporal's own time. Then, one after the other, on PostgreSQL and a Temporal server of the benchmark's own:

- ingest: lists of 1,000 as the API takes them, and a CSV file as `waymark events import` does, of events whose names
  no journey listens to: stored, and with that routed;
- passing over: events that were stored unrouted, of a name that no journey listens to, and of one to which journeys
  listen but no run of these contacts; for those every open run of the contacts is looked at, and locked;
- a mixed file: 2 % of its rows wake a real run, 1 % start one, half of the rest have the name that must be looked at.
  Stored, then routed by the process that imports; then until the last of these runs has come to its end.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import text

from activities.entering.entrance import Entrance
from activities.entering.herds import PAGE, Coming, Herds
from activities.entering.ingesting import Ingesting
from activities.intake.event_files import EventFile, Reading
from activities.intake.event_import import EventImport
from activities.intake.event_report import EventReport
from activities.intake.incoming import read_event
from activities.turns.programs import Programs
from benchmarks.ground import Ground, ground, run
from benchmarks.workers import Task, journey_worker
from records import events
from records.runs import versions

WAITS = """
journey: waits
title: Waits
enter: api
steps:
  - wait_for: {any: [{on: order.placed}, {on: cart.updated, with: {kind: never}}], up_to: 90d}
"""
BOOKS = WAITS.replace("waits", "books").replace("order.placed", "order.paid").replace("cart.updated", "cart.emptied")
THANKS = """
journey: thanks
title: Thanks
enter: {on: customer.signed_up, with: {source: web}}
steps:
  - tag: member
"""
PEOPLE = """
WITH made AS (
    INSERT INTO customers (external_id, created_at, updated_at)
    SELECT 'c' || n, now(), now() FROM generate_series(1, :count) n RETURNING id, external_id
), named AS (
    INSERT INTO identities (kind, value, customer_id, since)
    SELECT 'external_id', external_id, id, now() FROM made
)
INSERT INTO enrolments (customer_id, journey, version, entry, status, source, enrolled_at, begins_at, launched_at, turn,
                        instruction, cursor, step, because, wakes_at, awaiting, workflow)
SELECT id, 'books', 1, 1, 'active', 'api', now(), now(), now(), 1,
       '{"act": "wait", "turn": 1, "step": "wait-order-paid", "summary": "wait", "status": "waiting"}',
       '{"step": "wait-order-paid", "visits": {"wait-order-paid": 1}}', 'wait-order-paid', 'waits',
       now() + interval '90 days', '{order.paid,cart.emptied}', 'journey/books/' || id || '/1' FROM made
"""


async def measure(runs: int, count: int, real: int) -> None:
    """Build the ground and print the figures."""
    async with ground() as here:
        await here.publish(WAITS, BOOKS, THANKS)
        async with here.parts.engine.begin() as db:
            await db.execute(text(PEOPLE), {"count": runs})
        async with here.parts.engine.connect() as db:
            await (await db.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
        task = Task(here.server.address, here.database, here.folder, here.folder / "stop", quick=False)
        here.start(journey_worker, task)
        await _enter(here, real)
        print(f"open runs                           {runs:,} as rows, {real:,} with a workflow", flush=True)
        ingesting = Ingesting(here.parts.engine, here.parts.audience.router)
        await _lists(ingesting, runs, count)
        await _file(here, ingesting, "file, nobody listens", _nobody(runs, count))
        await _passed_over(here, "no name that is heard", "page.seen", count)
        await _passed_over(here, "runs are looked at", "order.paid", count, "cart.emptied")
        began = time.monotonic()
        report = await _file(here, ingesting, "mixed file", _mixed(runs, count, real))
        while await _left(here):  # noqa: ASYNC110 (another process works)
            await asyncio.sleep(0.1)
        moved = report.began + report.woken
        took = time.monotonic() - began
        print(f"mixed file, to the end              {count:,} events and {moved:,} runs in {took:.1f} s", flush=True)


async def _lists(ingesting: Ingesting, runs: int, count: int) -> None:
    """As the API: 1,000 in one transaction, each list after the other."""
    now = datetime.now(UTC)
    began = time.monotonic()
    for first in range(0, count, 1000):
        said = (
            {
                "customer": f"c{n % runs + 1}",
                "event": "page.seen",
                "at": now.isoformat(),
                "key": f"list/{n}",
                "value": n,
            }
            for n in range(first, min(first + 1000, count))
        )
        told = [read_event(one, {"page": "start", "visit": 3}, now=now) for one in said]
        batch = await ingesting.take(told, now=now, unknown="refuse")
        assert {one.status for one in batch.outcomes} == {"stored"}
    _say("lists of 1,000", count, time.monotonic() - began)


async def _file(here: Ground, ingesting: Ingesting, what: str, rows: Iterable[str]) -> EventReport:
    path = Path(here.folder / f"{what.replace(' ', '-').replace(',', '')}.csv")
    path.write_text("customer,event,at,value,key,page,source\n" + "".join(rows))
    stored_at = 0.0

    def tell(reached: object) -> None:
        nonlocal stored_at
        if getattr(reached, "doing", "") == "stored":
            stored_at = time.monotonic()

    began, now = time.monotonic(), datetime.now(UTC)
    opened = EventFile(path, Reading(ZoneInfo("UTC"), {}), now)
    after = here.parts.audience.look_after
    report = await EventImport(ingesting, opened, unknown="refuse", afterwards=after).run(now, tell)
    ended = time.monotonic()
    assert report.stored == report.rows, report
    _say(what, report.rows, stored_at - began)
    if report.heard:
        _say(f"{what}, routed", report.rows, ended - stored_at)
        share = f"{report.began} runs began, {report.woken} were woken; {report.heard} events were looked at"
        print(f"{'':36}{share}", flush=True)
    return report


def _nobody(runs: int, count: int) -> Iterable[str]:
    at = datetime.now(UTC).isoformat()
    return (f"c{n % runs + 1},page.seen,{at},{n},file/{n},start,web\n" for n in range(count))


def _mixed(runs: int, count: int, real: int) -> Iterable[str]:
    at = datetime.now(UTC).isoformat()
    woken = min(real, count // 50)
    for n in range(count):
        if n < woken:
            yield f"w{n},order.placed,{at},5,mixed/{n},start,web\n"
        elif n < woken + count // 100:
            yield f"c{n + 1},customer.signed_up,{at},,mixed/{n},start,web\n"
        else:
            yield f"c{n % runs + 1},{'cart.updated' if n % 2 else 'page.seen'},{at},,mixed/{n},start,web\n"


async def _passed_over(here: Ground, what: str, name: str, count: int, other: str | None = None) -> None:
    """Route events that were stored without being routed, in pages of 2,000 as the sweep does.

    A name that runs on the books await would concern them: `other` is one that their journey listens to, too, and
    they do not await any more.
    """
    router, now = here.parts.audience.router, datetime.now(UTC)
    insert = (
        "INSERT INTO events (customer_id, name, occurred_at, received_at) SELECT c.id, :name, now(), now() "
        "FROM (SELECT id FROM customers ORDER BY id LIMIT :count) c"
    )
    async with here.parts.engine.begin() as db:
        if other is not None:
            await db.execute(text("UPDATE enrolments SET awaiting = '{order.paid}' WHERE journey = 'books'"))
        await db.execute(text(insert), {"name": other or name, "count": count})
        stored = (await db.execute(text("SELECT count(*) FROM events WHERE routed_at IS NULL"))).scalar_one()
    began, after = time.monotonic(), 0
    while True:
        async with here.parts.engine.connect() as db:
            page = await events.unrouted(db, limit=2000, older_than=datetime.now(UTC), after=after)
        if not page:
            break
        assert await router.route_page(page, now) == []
        after = page[-1].id
    _say(f"passed over, {what}", stored, time.monotonic() - began)


async def _enter(here: Ground, real: int) -> None:
    """Contacts w0, w1 ... who wait with workflows of their own."""
    query = (
        "WITH made AS (INSERT INTO customers (external_id, created_at, updated_at) SELECT 'w' || n, now(), now() "
        "FROM generate_series(0, :last) n RETURNING id, external_id), named AS (INSERT INTO identities (kind, value, "
        "customer_id, since) SELECT 'external_id', external_id, id, now() FROM made) SELECT id FROM made"
    )
    async with here.parts.engine.begin() as db:
        people = list((await db.execute(text(query), {"last": real - 1})).scalars())
    programs = Programs()
    async with here.parts.engine.connect() as db:
        live = await versions.live(db, "waits")
        assert live is not None
        program = await programs.get(db, "waits", live.version)
    herds = Herds(here.parts.engine, here.parts.audience.router, Entrance(programs, "UTC"))
    for first in range(0, len(people), PAGE):
        now = datetime.now(UTC)
        await herds.enter(
            program, live.version, "api", [Coming(one, now, now, "b") for one in people[first : first + PAGE]]
        )
    query = "SELECT count(*) FROM enrolments WHERE journey = 'waits' AND turn = 0"
    async with here.parts.engine.connect() as db:
        while (await db.execute(text(query))).scalar_one():  # noqa: ASYNC110 (another process works)
            await asyncio.sleep(0.1)


async def _left(here: Ground) -> int:
    """Runs that have been woken or started by the mixed file and have not ended."""
    query = (
        "SELECT count(*) FROM enrolments e WHERE e.status IN ('pending', 'active') AND (e.journey = 'thanks' OR EXISTS "
        "(SELECT 1 FROM events v WHERE v.customer_id = e.customer_id AND v.name = 'order.placed'))"
    )
    async with here.parts.engine.connect() as db:
        return int((await db.execute(text(query))).scalar_one())


def _say(what: str, count: int, took: float) -> None:
    print(f"{what:<36}{count:,} in {took:.2f} s, {count / took:,.0f} a second", flush=True)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000, help="open runs on the books (default 100,000)")
    parser.add_argument("--events", type=int, default=20_000, help="events of each measurement (default 20,000)")
    parser.add_argument("--real", type=int, default=400, help="runs with workflows that wait (default 400)")
    given = parser.parse_args()
    run(measure(given.runs, given.events, given.real))


if __name__ == "__main__":
    main()
