"""A real process that imports events, and one that carries them to journeys, killed by SIGKILL at every point."""

from __future__ import annotations

import asyncio
import signal
import sys
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

    def __init__(self, client: Client, database_url: str, folder: Path) -> None:
        self.folder = folder
        config = client.service_client.config
        self.target = (config.target_host, client.namespace, database_url, str(folder / "events.csv"), str(folder))

    async def one(self, what: str, point: str = "", times: int = 0) -> int:
        """One life; returns how it ended: -9 by death."""
        with (self.folder / "lives.log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.mortal_import", what, *self.target, point, str(times),
                cwd=ROOT, stderr=log,
            )  # fmt: skip
            return await asyncio.wait_for(process.wait(), 120)


async def ask(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as db:
        return list(await db.execute(text(query)))


async def runs(engine: AsyncEngine, journey: str) -> list[Enrolment]:
    async with engine.connect() as db:
        return await enrolments.listing(db, journey=journey, limit=10_000)


async def test_nothing_is_lost_and_nothing_is_routed_twice_when_imports_and_sweeps_are_killed(
    engine: AsyncEngine, database_url: str, client: Client, tmp_path: Path
) -> None:
    lives, died = Lives(client, database_url, tmp_path), -signal.SIGKILL
    async with staged(engine, client, tmp_path) as stage:
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
