"""Real worker processes, killed by SIGKILL at each point of a delivery, sixty times and more for 80 contacts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from activities.calendar import Calendar
from activities.deliveries.settling import Verdict, settle_by_hand
from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from activities.publishing import publish
from activities.turns.programs import Programs
from journeys.loading import parse
from records.messages import touches
from records.people import upserts
from records.people.contacts import Contact
from records.runs import enrolments
from records.runs.enrolments import OPEN, Enrolment
from tests.faults.mortal_worker import POINTS
from tests.patience import PATIENCE
from tests.workflow.stage import ROOT, Mailbox

CONTACTS = 80
CHANCE = 0.2
ENOUGH, EACH = 60, 6
"""Deaths after which workers are left alone: in all, and at each point, which not every sixty reach by chance."""
JOURNEY = """
journey: three_mails
title: Three mails
enter: api
steps:
  - {send: email/welcome, id: first}
  - {send: email/brew_guide, id: second}
  - wait: 1d
  - {send: email/order_reminder, id: third}
"""


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[Mailbox, str]]:
    """A real SMTP server that outlives the workers."""
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    yield mailbox, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@contextmanager
def mortal_workers(count: int, *arguments: str, folder: Path) -> Iterator[None]:
    """Worker processes that die and come back, for the length of the block."""
    command = [sys.executable, "-m", "tests.faults.mortal_worker", *arguments]
    processes = [
        subprocess.Popen([*command, str(seed)], cwd=ROOT, stderr=(folder / f"worker-{seed}.log").open("w"))
        for seed in range(count)
    ]
    try:
        yield
        assert all(process.poll() is None for process in processes), (folder / "worker-0.log").read_text()
    finally:
        (folder / "mercy").touch()
        (folder / "stop").touch()
        for process in processes:
            process.wait(PATIENCE)


async def at_rest(engine: AsyncEngine, folder: Path) -> list[Enrolment]:
    """The runs, once each has ended or is held for somebody to decide. Enough deaths, and no worker dies any more."""
    async with asyncio.timeout(500):
        while True:
            if enough(killed(folder)):
                (folder / "mercy").touch()
            async with engine.connect() as db:
                runs = await enrolments.listing(db, limit=CONTACTS)
                if all([run.status not in OPEN or await in_doubt(db, run) for run in runs]):
                    return runs
            await asyncio.sleep(0.2)


async def in_doubt(db: AsyncConnection, run: Enrolment) -> bool:
    """Whether a run is held for a doubt. A worker that was only slow, and taken for dead, settles the doubt itself, and
    its run goes on a moment later."""
    held = (run.instruction or {}).get("status") == "held"
    return held and "uncertain" in [one.status for one in await touches.for_customer(db, run.customer_id)]


def killed(folder: Path) -> Counter[str]:
    """How many workers died at each point."""
    kills = folder / "kills"
    return Counter(kills.read_text().splitlines() if kills.exists() else [])


def enough(kills: Counter[str]) -> bool:
    return kills.total() >= ENOUGH and all(kills[point] >= EACH for point in POINTS)


async def test_nothing_is_lost_and_nothing_is_sent_twice_when_workers_are_killed_in_the_middle_of_deliveries(
    engine: AsyncEngine, database_url: str, client: Client, tmp_path: Path
) -> None:
    programs = Programs()
    router = Router(engine, TimeSkipper(client).client, programs, Entrance(programs, "UTC"), Calendar())
    now = datetime.now(UTC)
    async with engine.begin() as db:
        await publish(db, [parse(JOURNEY)], now=now, by="test")
        contacts = [Contact(email=f"c{n}@customers.example", consents={"email": True}) for n in range(CONTACTS)]
        people = [(await upserts.upsert(db, contact, now=now)).id for contact in contacts]
    async with mail_server() as (mailbox, smtp):
        target = (client.service_client.config.target_host, client.namespace, database_url, smtp)
        with mortal_workers(2, *target, str(tmp_path), str(CHANCE), folder=tmp_path):
            for one in people:
                await router.enrol(one, "three_mails", source="api", now=now)
            while held := await check(engine, mailbox, await at_rest(engine, tmp_path)):
                assert listed_as_uncertain(database_url, tmp_path) == {run.id for run in held}
                # An operator looks into the mail server's log and says what became of each.
                for run in held:
                    verdict: Verdict = "sent" if await went(engine, mailbox, run) else "resend"
                    await settle_by_hand(engine, router, run.id, verdict, now=datetime.now(UTC))
                await moved_on(engine, held)
    kills = killed(tmp_path)
    assert enough(kills), kills
    received = Counter((str(mail["To"]), str(mail["Subject"])) for mail in mailbox.messages)
    assert len(received) == 3 * CONTACTS
    assert set(received.values()) == {1}


async def check(engine: AsyncEngine, mailbox: Mailbox, runs: list[Enrolment]) -> list[Enrolment]:
    """Hold the ledger against what the mail server took in; returns the runs that are held."""
    async with engine.connect() as db:
        ledger = [touch for run in runs for touch in await touches.for_customer(db, run.customer_id)]
    sent = Counter(str(mail["Message-ID"]).strip("<>").split("@")[0] for mail in mailbox.messages)
    assert max(sent.values()) == 1, "a message was sent twice"
    assert {touch.status for touch in ledger} <= {"sent", "uncertain"}
    assert all(sent[touch.key] == 1 for touch in ledger if touch.status == "sent"), "a sent message did not go"
    assert set(sent) <= {touch.key for touch in ledger}, "a message went that the ledger does not know"
    for run in runs:
        mine = [touch for touch in ledger if touch.enrolment_id == run.id]
        doubtful = [touch.step for touch in mine if touch.status == "uncertain"]
        if run.status in OPEN:
            assert doubtful == [run.step], "a run is held for another reason than a doubt"
        else:
            assert (run.status, doubtful, len(mine)) == ("finished", [], 3), "a message was lost"
    return [run for run in runs if run.status in OPEN]


async def went(engine: AsyncEngine, mailbox: Mailbox, run: Enrolment) -> bool:
    """Whether the message at which the run is held reached the mail server."""
    async with engine.connect() as db:
        mine = await touches.for_customer(db, run.customer_id)
    doubt = next(touch for touch in mine if touch.status == "uncertain")
    return any(doubt.key in str(mail["Message-ID"]) for mail in mailbox.messages)


async def moved_on(engine: AsyncEngine, runs: list[Enrolment]) -> None:
    """Return when each run has taken a turn since."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with engine.connect() as db:
                if all([(await enrolments.get(db, run.id)).turn > run.turn for run in runs]):
                    return
            await asyncio.sleep(0.05)


def listed_as_uncertain(database_url: str, home: Path) -> set[int]:
    """What `waymark runs list --uncertain --json` prints."""
    command = [sys.executable, "-m", "workers", "runs", "list", "--uncertain", "--limit", "1000", "--json"]
    environment = {**os.environ, "WAYMARK_DATABASE_URL": database_url, "WAYMARK_HOME": str(home / "home")}
    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    return {json.loads(line)["id"] for line in printed.splitlines()}
