"""Child processes that are kept alive: the workers of one machine, and the other servers of a local stack."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from journeys.errors import WaymarkError
from workers.child import Child, program
from workers.running import Process

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds before a process that ended is started again; one that lived for STEADY begins anew at FIRST_PAUSE."""

log = logging.getLogger(__name__)


class Fleet:
    """Some child processes, each started again when it dies, after a pause that grows."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        notice: Callable[[str], None] = log.warning,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`notice` gets a line when a child dies; `changed` is called when the processes are others than before."""
        self.children = list(children)
        self._notice = notice
        self._changed = changed
        self._keepers: list[asyncio.Task[None]] = []

    @classmethod
    def of_workers(
        cls,
        size: int,
        *,
        logs: Path,
        environment: Mapping[str, str] | None = None,
        notice: Callable[[str], None] = log.warning,
        changed: Callable[[], None] = lambda: None,
    ) -> Self:
        """`size` worker processes, whose output goes to files in `logs`."""
        command = program("workers.worker")
        workers = [
            Child(f"worker {number}", command, log=logs / f"worker-{number}.log", environment=environment)
            for number in range(1, size + 1)
        ]
        return cls(workers, notice=notice, changed=changed)

    @property
    def processes(self) -> list[Process]:
        """The living children."""
        return [process for child in self.children if (process := child.describe())]

    async def start(self, *, timeout: float = 60.0) -> None:
        """Start all; returns when each says that it is ready. Raises WaymarkError when one cannot start."""
        try:
            # Where one cannot start, the others are called off: none is left that begins after the stop.
            async with asyncio.TaskGroup() as together:
                for child in self.children:
                    together.create_task(child.start(timeout=timeout))
        except BaseExceptionGroup as group:
            await self.stop()
            raise group.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise
        self._keepers = [asyncio.create_task(self._keep(child)) for child in self.children]
        self._changed()

    async def stop(self, *, timeout: float = 30.0) -> None:
        """Stop all at once: each takes nothing new, finishes what it does within `timeout` seconds, and ends."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        await asyncio.gather(*(child.stop(timeout=timeout) for child in self.children))

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            code = await child.wait()
            if time.monotonic() - started > STEADY:
                pause = FIRST_PAUSE
            self._notice(f"The {child.name} ended (code {code}); starting it again in {pause:g} s. See {child.log}")
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                try:
                    await child.start()
                    break
                except WaymarkError as error:
                    self._notice(f"{error.message} Trying again in {pause:g} s.")
            self._changed()
