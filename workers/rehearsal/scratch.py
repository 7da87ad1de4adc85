"""The servers of one rehearsal: a database and a Temporal server of its own, gone when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from journeys import attributes
from records.database import create_engine
from records.migration import migrate
from workers.rehearsal.hearing import Hearing
from workers.server.binary import Notice, find_binary, to_stderr
from workers.server.devserver import DevServer
from workers.server.postgres import EmbeddedPostgres

PREFIX = "waymark-rehearsal-"
CONNECTIONS = 20
LOCK = "in-use"


@dataclass(frozen=True)
class Scratch:
    """Where a rehearsal takes place."""

    folder: Path
    engine: AsyncEngine
    client: Client
    hearing: Hearing


@asynccontextmanager
async def scratch(binary: Path | None, cache: Path, notice: Notice = to_stderr) -> AsyncIterator[Scratch]:
    """Both servers, in a new temporary folder; nothing of them is left at the end, however it comes.

    Raises:
        WaymarkError: one of them does not start.
    """
    await asyncio.to_thread(_clear_away)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = (folder / LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    database = EmbeddedPostgres(folder / "postgres", durable=False)
    starting = asyncio.ensure_future(asyncio.to_thread(_start, database))
    try:
        found = await find_binary(binary, cache=cache / "temporal", notice=notice)
        async with DevServer(
            found, ui=False, search_attributes=attributes.KINDS, log=folder / "temporal.log", notice=notice
        ) as temporal:
            engine = create_engine(await asyncio.shield(starting), pool_size=CONNECTIONS, ping=False)
            hearing = Hearing(engine)
            try:
                client = await Client.connect(temporal.address, interceptors=[hearing], runtime=_silent())
                yield Scratch(folder, engine, client, hearing)
            finally:
                await engine.dispose()
    finally:
        # A start cannot be called off half-way: what has begun is waited for, then stopped.
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.shield(starting)
        await asyncio.to_thread(database.stop)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        lock.close()


@functools.cache
def _silent() -> Runtime:
    """The SDK writes its own log to standard output, where the lines of the rehearsal go."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


def _start(database: EmbeddedPostgres) -> str:
    url = database.start()
    migrate(url)
    return url


def _clear_away() -> None:
    """End what a rehearsal that was killed has left running, and forget its data."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(Exception):
            if _abandoned(folder):
                database = EmbeddedPostgres(folder / "postgres")
                if database.running:
                    database.start()
                    database.stop()
                shutil.rmtree(folder)


def _abandoned(folder: Path) -> bool:
    """Whether the process that made the folder is gone: the system lets go of its lock."""
    lock = folder / LOCK
    if time.time() - folder.stat().st_mtime < 60 or not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
