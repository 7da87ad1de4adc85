"""A process of the local stack: started apart from the terminal, watched, and stopped in order."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from journeys.errors import WaymarkError
from workers.running import Process

PARENT = "WAYMARK_PARENT_PROCESS"
"""Environment variable that tells a child to end when its parent has gone; never set by people."""


class Child:
    """One child process, which prints one line of JSON on its standard output when it is ready.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches it only through `stop`, in its turn. What it
    prints besides goes to `log`.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = {**os.environ, **(environment or {}), PARENT: str(os.getpid())}
        self.answer: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def describe(self) -> Process | None:
        """What identifies the process later, even after this one was killed."""
        with suppress(Exception):
            return Process.of(self.name, self.pid) if self.pid else None
        return None

    async def start(self, *, timeout: float = 60.0) -> dict[str, Any]:
        """Start it and return what its line of JSON said. `timeout` is in seconds.

        Raises WaymarkError with the last lines of its log when it ends or stays silent instead.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            begin = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(timeout):
                self.answer = await self._ready_line()
        except (TimeoutError, EOFError) as error:
            await self.stop()
            how = (
                f"was not ready after {timeout:g} seconds" if isinstance(error, TimeoutError) else "ended as it started"
            )
            last = _tail(self.log, begin)
            raise WaymarkError(
                f"The {self.name} {how}" + (f": {last}" if last else "."), hint=f"See {self.log}"
            ) from None
        except BaseException:
            await self.stop()
            raise
        self._drain = asyncio.create_task(self._drained())
        return self.answer

    async def wait(self) -> int:
        """Wait for its end; its return code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self, *, timeout: float = 15.0) -> None:
        """Ask it to end (SIGTERM), and kill it after `timeout` seconds. Harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._drain is not None:
            await asyncio.wait([self._drain], timeout=1)
            self._drain.cancel()
            self._drain = None

    async def _ready_line(self) -> dict[str, Any]:
        stream = self._stream()
        while line := await stream.readline():
            with suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        raise EOFError

    async def _drained(self) -> None:
        # A full pipe would stop the child.
        stream = self._stream()
        while chunk := await stream.read(65536):
            with self.log.open("ab") as output:
                output.write(chunk)

    def _stream(self) -> asyncio.StreamReader:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        return self._process.stdout


def program(*arguments: str) -> list[str]:
    """The command line of another process of this program."""
    return [sys.executable, "-m", *arguments]


def announce(**facts: Any) -> None:
    """Tell the parent that this process is ready: the one line of JSON that `Child.start` waits for."""
    sys.stdout.write(json.dumps({"ready": True, "pid": os.getpid(), **facts}) + "\n")
    sys.stdout.flush()


async def until_told_to_stop(ready: Callable[[], None] = lambda: None) -> None:
    """Return at SIGTERM, at SIGINT, or when the parent that started this process as a `Child` has gone.

    `ready` is called as soon as these are listened for: who says so earlier can be ended by the answer to it.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    ready()
    parent = os.environ.get(PARENT)
    while not told.is_set():
        if parent is not None and str(os.getppid()) != parent:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), 1 if parent is not None else None)


def _tail(log: Path, begin: int, lines: int = 3) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read().decode(errors="replace")
    return "; ".join(line.strip() for line in text.strip().splitlines()[-lines:])
