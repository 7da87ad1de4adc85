"""The processes that do the work which is measured. Each ends when a file named `stop` is there."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.channels.channel import Channel, Message, Receipt
from activities.channels.email import EmailChannel
from benchmarks.barest import PAUSE, Barest, nothing
from benchmarks.counting import Counter
from benchmarks.usage import give_back
from journeys import interpreter
from journeys.sending import SendingRules
from records.database import create_engine
from workers import schedules, worker
from workers.composition import compose
from workers.leaving import leave
from workers.settings import Settings


def settings(folder: Path) -> Settings:
    """Settings of an installation with the definitions and the templates that Waymark brings."""
    return Settings(home=folder, secret="a secret of the benchmark")


@dataclass(frozen=True)
class Task:
    """What a worker of journeys is to do.

    Args:
        address: of the Temporal server.
        database: the address of PostgreSQL.
        folder: home folder.
        stop: the worker ends when this file is there.
        smtp: relay to send mail by; without one the channel is empty.
        counter: counts the statements and transactions of its engine.
        quick: every wait lasts PAUSE, because the map language has no unit below the minute.
        schedules: keep Waymark's own schedules, too, as `waymark worker` does.
        anew: when this file is there, its Temporal workers are closed and opened again, which empties the workflow
            cache, and the file is removed.
        cache: the most workflows in that cache; None is the SDK's own number.
    """

    address: str
    database: str
    folder: Path
    stop: Path
    smtp: str | None = None
    counter: Counter | None = None
    quick: bool = True
    schedules: bool = False
    anew: Path | None = None
    cache: int | None = None


class Empty:
    """A channel that takes everything and does nothing."""

    name = "email"

    async def send(self, message: Message) -> Receipt:
        return Receipt(None, "")

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        pass


def barest_worker(address: str, stop: Path) -> None:
    """The worker process of the barest workflow."""

    async def work() -> None:
        client = await Client.connect(address)
        async with Worker(client, task_queue="barest", workflows=[Barest], activities=[nothing]):
            await _appears(stop)

    asyncio.run(work())
    leave(0)


def journey_worker(task: Task) -> None:
    """The worker process of journeys: what `waymark worker` runs."""
    if task.quick:
        # From the clock, not from the turn's nominal time: each wait is a real timer of that length under any load.
        interpreter.moment_of = lambda *_: (datetime.now(UTC) + PAUSE, "wait")  # type: ignore[attr-defined]

    async def work() -> None:
        own = settings(task.folder)
        engine = create_engine(task.database, ping=False)
        if task.counter is not None:
            task.counter.listen(engine)
        email: Channel = EmailChannel(task.smtp, own.mail_from) if task.smtp else Empty()
        client = await Client.connect(task.address)
        if task.schedules:
            await schedules.ensure(client)
        limits: dict[str, Any] = {} if task.cache is None else {"max_cached_workflows": task.cache}
        async with compose(own, engine=engine, client=client, channels={"email": email}, rules=SendingRules()) as parts:
            while not task.stop.exists():
                async with worker.working(parts, **limits):
                    if task.anew is not None:
                        give_back()
                        task.anew.unlink(missing_ok=True)
                    await _appears(*filter(None, (task.stop, task.anew)))
        await email.close()
        await engine.dispose()

    asyncio.run(work())
    leave(0)


def mail_sink(port: multiprocessing.Queue[int], stop: Path) -> None:
    """An SMTP server that takes everything and keeps nothing."""
    from aiosmtpd.smtp import SMTP

    class Sink:
        async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
            self, server: object, session: object, envelope: object
        ) -> str:
            return "250 OK"

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(Sink()), "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await _appears(stop)
        server.close()

    asyncio.run(serve())


async def _appears(*files: Path) -> None:
    while not any(file.exists() for file in files):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
