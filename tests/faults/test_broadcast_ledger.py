"""Worker processes that are killed in the middle of a broadcast, and what the ledger and the mailboxes say then."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from journeys.broadcast import touch_key, workflow_id
from journeys.broadcast_files import parse
from journeys.sending import SendingRules
from records.people import upserts
from records.people.contacts import Contact
from records.tables import touches
from tests.faults.mortal_broadcaster import POINTS
from tests.faults.test_ledger import killed, mail_server
from tests.patience import PATIENCE
from tests.workflow.stage import ROOT
from workers.composition import compose
from workers.settings import Settings

CONTACTS = 600
CHANCE = 0.05
ENOUGH = 12
"""Deaths after which workers are left alone."""
BROADCAST = "broadcast: spring\ntitle: Spring\nwhere: {tag: reader}\nsend: email/whats_new\n"


@contextmanager
def mortals(*arguments: str, folder: Path) -> Iterator[None]:
    """A worker process that dies and comes back, for the length of the block."""
    command = [sys.executable, "-m", "tests.faults.mortal_broadcaster", *arguments, "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=(folder / "worker.log").open("w"))
    try:
        yield
        assert process.poll() is None, (folder / "worker.log").read_text()
    finally:
        (folder / "mercy").touch()
        (folder / "stop").touch()
        process.wait(PATIENCE)


async def test_nobody_gets_two_and_only_what_was_leaving_is_in_doubt_when_workers_are_killed(
    engine: AsyncEngine, database_url: str, client: Client, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with engine.begin() as db:
        for number in range(CONTACTS):
            contact = Contact(email=f"c{number}@customers.example", tags=("reader",), consents={"email": True})
            await upserts.upsert(db, contact, now=now)
    settings = Settings(home=tmp_path / "home", secret="a secret for tests only")
    async with (
        mail_server() as (mailbox, smtp),
        compose(settings, engine=engine, client=client, channels={}, rules=SendingRules()) as parts,
    ):
        target = (client.service_client.config.target_host, client.namespace, database_url, smtp)
        with mortals(*target, str(tmp_path), str(CHANCE), folder=tmp_path):
            row = await parts.studio.start(parse(BROADCAST), at=None, by="test", now=now)
            handle = client.get_workflow_handle(workflow_id(row.name, row.id))
            ending = asyncio.ensure_future(handle.result())
            async with asyncio.timeout(540):
                while not ending.done():
                    if killed(tmp_path).total() >= ENOUGH:
                        (tmp_path / "mercy").touch()
                    await asyncio.sleep(0.5)
            assert await ending == "finished"
    async with engine.connect() as db:
        found = await db.execute(select(touches.c.key, touches.c.status, touches.c.customer_id))
        ledger = {one.key: one for one in found}
    went = Counter(str(mail["Message-ID"]).strip("<>").split("@")[0] for mail in mailbox.messages)
    assert killed(tmp_path).total() >= ENOUGH // 2, "too few died for a test"
    assert set(killed(tmp_path)) <= set(POINTS)
    assert max(went.values()) == 1, "somebody got two"
    assert len(ledger) == CONTACTS, "somebody was passed over"
    assert {one.status for one in ledger.values()} <= {"sent", "uncertain"}
    assert all(one.key == touch_key(row.id, one.customer_id) for one in ledger.values())
    assert all(went[key] == 1 for key, one in ledger.items() if one.status == "sent"), "a sent message did not go"
    doubtful = sum(one.status == "uncertain" for one in ledger.values())
    assert doubtful <= 8 * killed(tmp_path).total(), "more is in doubt than was leaving"
