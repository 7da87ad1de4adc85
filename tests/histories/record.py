"""Record histories that later releases replay: `python -m tests.histories.record [RELEASE]`, by hand.

Each walk of `WALKS` is written to `RELEASE/NAME.json` beside this file; what is there stays as it is: runs of that
shape may still be under way. To keep another kind of run, add a walk and call this again. RELEASE is the installed one,
such as 0.1, unless given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from temporalio.client import Client, WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.testing import TimeSkipper

from activities.channels.email import EmailChannel
from activities.sales import keepers
from journeys import attributes
from journeys.instruction import Event
from records.database import create_engine
from records.migration import migrate
from records.runs import holds, orders
from records.runs.enrolments import Enrolment
from records.tables import customers
from tests.relay import ScriptedRelay, relay
from tests.workflow.broadcasting import start_skipping
from tests.workflow.stage import Stage, staged
from workers.server.binary import find_binary
from workers.server.devserver import DevServer
from workers.server.postgres import EmbeddedPostgres

FOLDER = Path(__file__).parent
DAY = timedelta(days=1)
Workflow = WorkflowHandle[Any, Any]
Walk = Callable[[Stage, ScriptedRelay, Enrolment], Awaitable[list[Workflow] | None]]
"""Takes a run somewhere; returns the other workflows that came of it."""

MAP = """
journey: recorded
title: Recorded
enter: api
re_enter: always
exit: [{on: customer.left, as: gone}]
steps:
  - send: email/welcome
  - wait: 2d
  - score: {points: 5, because: stayed}
  - wait: 1d
  - send: email/brew_guide
  - wait_for: {on: email.clicked, message: email/brew_guide, up_to: 40d}
    then: [{tag: clicked}]
    else: [{tag: silent}]
  - wait: 2d
"""
LEAD = """
journey: lead
title: Lead
enter: api
steps:
  - score: {points: 70, because: asked for a call}
"""
NEWS = """
broadcast: news
title: News
where: {tag: reader}
send: email/whats_new
ab:
  share: 50%
  subjects: {a: Spring, b: A warm spring}
  winner: clicks
  after: 4h
"""


async def clicked(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """Timers, mails, and an event that ends a wait."""
    await stage.event(run.customer_id, "email.clicked", 5 * DAY, message="email/brew_guide")
    await stage.pass_time(run.customer_id, 9 * DAY)


async def left(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """An event that does not matter, one that ends the run in the middle of a wait, and a repeat."""
    waiting = await stage.run(run.id)
    for _again in range(2):
        await stage.handle(run).signal("happened", Event("weather", "weather.changed", stage.start))
    await stage.time.moved([waiting])
    await stage.event(run.customer_id, "customer.left", 6 * DAY)


async def put_off(stage: Stage, scripted: ScriptedRelay, run: Enrolment) -> None:
    """A mail that is put off, and goes later."""
    scripted.answers = {"rcpt": "450 4.2.1 busy"}
    await stage.pass_time(run.customer_id, 3 * DAY + timedelta(minutes=2))
    scripted.answers = {}
    await stage.pass_time(run.customer_id, 4 * DAY)
    await left(stage, scripted, run)


async def month(stage: Stage, scripted: ScriptedRelay, run: Enrolment) -> None:
    """A run that starts afresh after a month of waiting, and one more time to its end."""
    await stage.pass_time(run.customer_id, 60 * DAY)


async def erased(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """A run whose customer is gone."""
    async with stage.engine.begin() as db:
        await db.execute(delete(customers).where(customers.c.id == run.customer_id))
    await stage.handle(run).signal("happened", Event("1", "customer.left", stage.start))
    await stage.handle(run).result()


async def under_way(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """A run that rests in a wait."""
    await TimeSkipper(stage.client).fast_forward(stage.handle(run), 4 * DAY)


async def ordered(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """A run that is told what makes no sense, to skip a wait, to go back, and to end."""
    with contextlib.suppress(WorkflowUpdateFailedError):
        await tell(stage, run, "retry")
    await tell(stage, run, "skip")
    await tell(stage, run, "move", to="wait-2d")
    await tell(stage, run, "exit", outcome="stopped")


async def paused(stage: Stage, _: ScriptedRelay, run: Enrolment) -> None:
    """A run that is held when its wait is over, is resumed, and is moved to another version of its map."""
    async with stage.engine.begin() as db:
        await holds.hold(db, "customer", str(run.customer_id), by="somebody", because=None, now=stage.start)
    await stage.pass_time(run.customer_id, 3 * DAY)
    async with stage.engine.begin() as db:
        await holds.release(db, "customer", str(run.customer_id))
    span = {"since": stage.start.isoformat(), "at": (stage.start + 3 * DAY).isoformat()}
    await tell(stage, run, "resume", mode="spread", over=3600, **span)
    await stage.publish(MAP.replace("40d", "20d"))
    await tell(stage, run, "migrate", version=2, map={})
    await stage.pass_time(run.customer_id, 30 * DAY)


async def promised(stage: Stage, _: ScriptedRelay, run: Enrolment) -> list[Workflow]:
    """A lead whose task rests, is put off, and is done."""
    await stage.publish(LEAD)
    await stage.enrol(run.customer_id, "lead")
    [task] = [task for task in await stage.tasks() if task.customer_id == run.customer_id]
    handle: Workflow = stage.client.get_workflow_handle(keepers.workflow_id(task.id))
    await stage.parts.desk.snooze(task.id, "somebody", task.created_at + 3 * DAY, task.created_at + timedelta(hours=1))
    await stage.parts.desk.finish(task.id, "somebody", "won", now=task.created_at + timedelta(hours=2))
    await handle.result()
    return [handle]


async def told_to_many(stage: Stage, _: ScriptedRelay, run: Enrolment) -> list[Workflow]:
    """A broadcast with a trial."""
    for name in ("ann", "bob", "cat", "dan"):
        await stage.customer(name, tags=("reader",))
    handle = (await start_skipping(stage, NEWS))[1]
    await handle.result()
    return [handle]


async def tell(stage: Stage, run: Enrolment, kind: orders.Kind, **args: Any) -> None:
    """Give an order to a run, as the command does."""
    async with stage.engine.begin() as db:
        number = await orders.give(db, run.id, kind, args, by="somebody", now=stage.start)
    await stage.handle(run).execute_update("order", number)


WALKS: tuple[Walk, ...] = (clicked, left, put_off, month, erased, under_way, ordered, paused, promised, told_to_many)


async def record(stage: Stage, scripted: ScriptedRelay, walks: Iterable[Walk], folder: Path) -> None:
    """Take each walk and keep the histories of all its executions."""
    await stage.publish(MAP)
    for walk in walks:
        run = await stage.enrol(await stage.customer(walk.__name__), "recorded")
        first = (await stage.handle(run).describe()).run_id
        others = await walk(stage, scripted, run) or []
        last = (await stage.handle(run).describe()).run_id
        own = [
            stage.client.get_workflow_handle(stage.handle(run).id, run_id=one) for one in dict.fromkeys((first, last))
        ]
        for number, handle in enumerate([*own, *others], 1):
            name = walk.__name__ if len(own) + len(others) == 1 else f"{walk.__name__}_{number}"
            (folder / f"{name}.json").write_text(brief(await handle.fetch_history()))


def brief(history: WorkflowHistory) -> str:
    """A history in JSON, an event a line, without the names and the paths of the processes that made it."""
    events = [json.dumps(_nameless(event), separators=(",", ":")) for event in json.loads(history.to_json())["events"]]
    return '{"events":[\n' + ",\n".join(events) + "\n]}\n"


NOT_KEPT = ("identity", "workerInstanceKey", "stackTrace")
"""What tells of one machine, and nothing of a run."""


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nameless(inner) for key, inner in value.items() if key not in NOT_KEPT}
    if isinstance(value, str) and "@" in value:
        return "worker"  # a queue of one process, named after its machine
    return [_nameless(inner) for inner in value] if isinstance(value, list) else value


def missing(folder: Path) -> list[Walk]:
    """The walks of which a folder has no history."""
    there = {path.stem.removesuffix("_1") for path in folder.glob("*.json")}
    return [walk for walk in WALKS if walk.__name__ not in there]


async def main(folder: Path, walks: Sequence[Walk]) -> None:
    """Everything that a record needs, for as long as it takes."""
    scratch = Path(tempfile.mkdtemp(prefix="waymark-record-"))
    postgres = EmbeddedPostgres(scratch, durable=False)
    postgres.start()
    migrate(postgres.create_database("record"))
    engine = create_engine(postgres.url("record"))
    try:
        async with (
            DevServer(await find_binary(), ui=False, search_attributes=attributes.KINDS) as server,
            relay() as to,
        ):
            client = await Client.connect(server.address)
            email = EmailChannel(to.url, "Waymark <hello@waymark.example>")
            async with staged(engine, client, scratch, channels={"email": email}) as stage:
                await record(stage, to, walks, folder)
            await email.close()
    finally:
        await engine.dispose()
        postgres.stop()
        shutil.rmtree(scratch)


if __name__ == "__main__":
    release = sys.argv[1] if len(sys.argv) > 1 else ".".join(version("waymark").split(".")[:2])
    to_record = missing(FOLDER / release)
    names = ", ".join(walk.__name__ for walk in to_record)
    sys.stderr.write(f"{release}: recording {names}\n" if names else f"{release}: every walk is recorded\n")
    if to_record:
        (FOLDER / release).mkdir(exist_ok=True)
        asyncio.run(main(FOLDER / release, to_record))
