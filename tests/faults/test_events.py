"""A real process that imports events, and one that carries them to journeys, killed by SIGKILL at every point."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from records.runs import enrolments
from records.runs.enrolments import Enrolment
from tests.faults.mortal_import import ROUTING, STORING
from tests.workflow.stage import ROOT, staged

PEOPLE = 40
SEEN = 4
"""Events of each contact that concern nobody."""
THANKS = """
journey: thanks
title: Thanks
enter: {on: order.placed}
re_enter: always
steps:
  - tag: buyer
"""
WAITS = """
journey: waits
title: Waits
enter: api
steps:
  - wait_for: {on: order.placed, up_to: 30d}
    then: [{finish: heard}]
"""


def rows(began: datetime) -> str:
    """For each contact two equal orders of one second, and pages that it saw; the half of them is not known yet."""
    told = ["customer,event,at,value"]
    for n in range(PEOPLE):
        told += [f"c{n},order.placed,{began.isoformat()},5"] * 2
        told += [f"c{n},page.seen,{(began - timedelta(days=day)).isoformat()},{day}" for day in range(SEEN)]
    return "\n".join(told) + "\n"


class Lives:
    """Starts process after process over one database."""

    def __init__(self, asked: asyncio.StreamWriter, ended: asyncio.StreamReader) -> None:
        self._asked, self._ended = asked, ended

    async def one(self, what: str, point: str = "", times: int = 0) -> int:
        """One life; returns how it ended: -9 by death."""
        self._asked.write(f"{what} {times} {point}\n".encode())
        return int(await asyncio.wait_for(self._ended.readline(), 120))


@asynccontextmanager
async def mortals(client: Client, database_url: str, folder: Path) -> AsyncIterator[Lives]:
    """Who is told of each life, for the length of the block."""
    target = (client.service_client.config.target_host, client.namespace, database_url)
    with (folder / "lives.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.mortal_import", *target, folder / "events.csv", folder),
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Lives(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        await process.wait()


async def ask(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as db:
        return list(await db.execute(text(query)))


async def runs(engine: AsyncEngine, journey: str) -> list[Enrolment]:
    async with engine.connect() as db:
        return await enrolments.listing(db, journey=journey, limit=10_000)


async def test_nothing_is_lost_and_nothing_is_routed_twice_when_imports_and_sweeps_are_killed(
    engine: AsyncEngine, database_url: str, client: Client, tmp_path: Path
) -> None:
    died = -signal.SIGKILL
    async with staged(engine, client, tmp_path) as stage, mortals(client, database_url, tmp_path) as lives:
        (tmp_path / "events.csv").write_text(rows(stage.start + timedelta(hours=1)))
        await stage.publish(THANKS)
        await stage.publish(WAITS)
        people = [await stage.customer(f"C{n}", external_id=f"c{n}") for n in range(PEOPLE // 2)]
        waiting = [await stage.enrol(customer, "waits") for customer in people]
        for point in STORING:
            assert await lives.one("import", point, 2) == died, point
        assert await lives.one("import", ROUTING[0], 3) == died
        for point in ROUTING:
            assert await lives.one("sweep", point, 2) == died, (point, (tmp_path / "lives.log").read_text()[-2000:])
        assert [await lives.one(what) for what in ("import", "sweep")] == [0, 0]
        assert [await stage.handle(run).result() for run in waiting] == ["heard"] * len(waiting)
        thanked = await runs(engine, "thanks")
        assert {await stage.handle(run).result() for run in thanked} == {"completed"}

    counts = dict(await ask(engine, "SELECT name, count(*) FROM events WHERE key LIKE 'file/%' GROUP BY name"))
    assert counts == {"order.placed": 2 * PEOPLE, "page.seen": SEEN * PEOPLE}
    assert await ask(engine, "SELECT 1 FROM events WHERE routed_at IS NULL") == []
    assert await ask(engine, "SELECT 1 FROM enrolments WHERE launched_at IS NULL") == []
    orders = {row.id for row in await ask(engine, "SELECT id FROM events WHERE name = 'order.placed'")}
    assert sorted(run.event_id or 0 for run in thanked) == sorted(orders), "each order enrolled its customer once"
    assert len(await ask(engine, "SELECT 1 FROM customers")) == PEOPLE
    [report] = await ask(
        engine, "SELECT rows_done, report FROM imports WHERE report ->> 'stored' <> '0' AND finished_at IS NOT NULL"
    )
    assert (report.rows_done, report.report["stored"]) == ((2 + SEEN) * PEOPLE, (2 + SEEN) * PEOPLE)
