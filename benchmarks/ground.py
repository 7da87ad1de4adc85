"""What every measurement stands on: a Temporal server and a PostgreSQL of its own, and processes that end with it."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.publishing import publish
from benchmarks.workers import settings
from journeys import attributes
from journeys.loading import parse
from journeys.sending import SendingRules
from records.database import create_engine
from records.migration import migrate
from records.people import upserts
from records.people.contacts import Contact
from workers.composition import Composition, compose
from workers.server.binary import find_binary
from workers.server.devserver import DevServer
from workers.server.postgres import EmbeddedPostgres

context = multiprocessing.get_context("spawn")
PAGE = 500
"""How many contacts are written by one transaction."""


@dataclass
class Ground:
    """The servers, the parts of a process that publishes and enrols, and the processes that were started."""

    folder: Path
    postgres: EmbeddedPostgres
    server: DevServer
    database: str
    parts: Composition
    processes: list[SpawnProcess] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, target: Callable[..., None], *arguments: object) -> SpawnProcess:
        """A process that works until it ends by itself, or for as long as the ground is there."""
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self.processes.append(process)
        return process

    async def publish(self, *maps: str) -> None:
        """Make these maps live."""
        async with self.parts.engine.begin() as db:
            await publish(db, [parse(map_) for map_ in maps], now=datetime.now(UTC), by="bench")

    async def people(self, count: int, told: Callable[[int], None] = lambda written: None) -> list[int]:
        """So many new contacts who may be written to, by their numbers; `told` hears how many there are."""
        made: list[int] = []
        while len(made) < count:
            async with self.parts.engine.begin() as db:
                for _ in range(min(PAGE, count - len(made))):
                    contact = Contact(email=f"c{next(self._numbers)}@x.example", consents={"email": True})
                    made.append((await upserts.upsert(db, contact, now=datetime.now(UTC))).id)
            told(len(made))
        return made


@asynccontextmanager
async def ground(*, temporal_file: bool = False) -> AsyncIterator[Ground]:
    """The ground for the length of the block. `temporal_file`: the Temporal server keeps its data in SQLite on disk,
    as that of `waymark up` does, and not in memory.

    Everything ends with it, and nothing of it stays on disk.
    """
    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    postgres = EmbeddedPostgres(folder / "postgres")
    database = postgres.start()
    file = folder / "temporal.sqlite" if temporal_file else None
    processes: list[SpawnProcess] = []
    try:
        migrate(database)
        engine = create_engine(database)
        async with DevServer(
            await find_binary(), ui=False, search_attributes=attributes.KINDS, database=file
        ) as server:
            client = await Client.connect(server.address)
            async with compose(
                settings(folder), engine=engine, client=client, channels={}, rules=SendingRules()
            ) as parts:
                try:
                    yield Ground(folder, postgres, server, database, parts, processes)
                finally:
                    (folder / "stop").touch()
                    for process in processes:
                        process.join(30)
                        process.kill()
        await engine.dispose()
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(measurement: Coroutine[Any, Any, None]) -> None:
    """Make a measurement; asked to end (Ctrl-C, SIGTERM), it leaves nothing running."""

    async def stoppable() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await measurement

    try:
        asyncio.run(stoppable())
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("stopped")
