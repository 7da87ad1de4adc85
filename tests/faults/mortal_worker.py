"""A worker that dies by SIGKILL at a random point of a delivery, again and again.

`python -m tests.faults.mortal_worker ADDRESS NAMESPACE DATABASE SMTP FOLDER CHANCE SEED`

The parent imports everything once and forks a worker; when it dies, it forks the next. Before a worker kills itself it
notes the point in `FOLDER/kills`. A file `FOLDER/mercy` makes the present and all later workers immortal; a file
`FOLDER/stop` ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client

from activities.channels.channel import Message, Receipt
from activities.channels.email import EmailChannel
from activities.deliveries.delivery import Delivery, Outcome
from activities.turns.taken import Taken
from journeys.sending import SendingRules
from records.database import create_engine
from records.messages import ledger
from records.messages.ledger import Slot
from workers import worker
from workers.composition import compose
from workers.settings import Settings

POINTS = {"before the claim": 0.6, "after the claim": 0.8, "after the reply": 1.0, "after the record": 1.6}
"""And how much likelier than the mean death is at each: few come to the last, past all others."""


class Death:
    """Strikes with a fixed chance whenever a delivery passes a point."""

    def __init__(self, folder: Path, chance: float, seed: int) -> None:
        self.folder, self.chance, self.random = folder, chance, random.Random(seed)

    def passing(self, point: str) -> None:
        chance = self.chance * POINTS.get(point, 1.0)
        if self.random.random() < chance and not (self.folder / "mercy").exists():
            with (self.folder / "kills").open("a") as kills:
                kills.write(point + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


class MortalChannel(EmailChannel):
    """The real channel, with death before it sends and after the relay has answered."""

    death: Death

    async def send(self, message: Message) -> Receipt:
        self.death.passing("after the claim")
        receipt = await super().send(message)
        self.death.passing("after the reply")
        return receipt


def beset(death: Death) -> None:
    """Let death wait before the claim and after the record, too."""
    claim, record = ledger.claim, Delivery._record

    async def mortal_claim(db: AsyncConnection, slot: Slot, values: dict[str, Any]) -> None:
        death.passing("before the claim")
        await claim(db, slot, values)

    async def mortal_record(self: Delivery, taken: Taken, message: Message, outcome: Outcome) -> Taken:
        recorded = await record(self, taken, message, outcome)
        death.passing("after the record")
        return recorded

    ledger.claim = mortal_claim
    Delivery._record = mortal_record  # type: ignore[method-assign]


async def live(address: str, namespace: str, database: str, smtp: str, death: Death) -> None:
    """One worker's life."""
    beset(death)
    settings = Settings(home=death.folder, secret="a secret for tests only")
    channel = MortalChannel(smtp, settings.mail_from)
    channel.death = death
    engine = create_engine(database, pool_size=5)
    client = await Client.connect(address, namespace=namespace)
    # What a worker holds when it dies waits for a time-out: it holds little, and its runs are soon let go.
    limits: dict[str, Any] = {
        "max_concurrent_workflow_tasks": 5,
        "max_concurrent_activities": 3,
        "sticky_queue_schedule_to_start_timeout": timedelta(seconds=1),
    }
    async with (
        compose(settings, engine=engine, client=client, channels={"email": channel}, rules=SendingRules()) as parts,
        worker.working(parts, **limits),
    ):
        while not (death.folder / "stop").exists():
            await asyncio.sleep(0.05)


def born(live: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """One life, in a process that has everything imported already: a fork. Returns how it ended: -9 by death.

    A life that fails prints why, and ends with 1.
    """
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(live())
        except Exception:
            logging.exception("a life ended by itself")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lives(folder: Path, live: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Bring worker after worker into the world, until told to stop; each is told the how-manieth it is."""
    life = 0
    while not (folder / "stop").exists():
        life += 1
        if born(partial(live, life)) > 0:
            sys.exit("a worker ended by itself; see above")


def main(address: str, namespace: str, database: str, smtp: str, folder: str, chance: str, seed: str) -> None:
    def one(life: int) -> Coroutine[Any, Any, None]:
        death = Death(Path(folder), float(chance), int(seed) * 100_003 + life)
        return live(address, namespace, database, smtp, death)

    lives(Path(folder), one)


if __name__ == "__main__":
    main(*sys.argv[1:])
