"""One real `waymark up` for all end-to-end tests that can share it, and the means to run commands against it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.patience import PATIENCE
from tests.ports import quiet_ports
from tests.terminal import command
from workers import running
from workers.running import Running

ROOT = Path(__file__).parents[2]
HERE = [sys.executable, "-m", "workers"]
PORTS = ("TEMPORAL_PORT", "UI_PORT", "SMTP_PORT", "INBOX_PORT", "SMS_PORT", "CONSOLE_PORT")


def clean_environment(**given: str) -> dict[str, str]:
    """Nothing of the surrounding Waymark or Temporal, and ports that nobody uses."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("WAYMARK_", "TEMPORAL_"))}
    ports = {f"WAYMARK_{name}": str(port) for name, port in zip(PORTS, quiet_ports(len(PORTS)), strict=True)}
    return {**mine, **ports, "TEMPORAL_CONFIG_FILE": "/nonexistent", "WAYMARK_PROCESSES": "1", **given}


@dataclass
class Up:
    """A `waymark up` in a session of its own, as a terminal would run it."""

    home: Path
    command: list[str]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.home.parent / f"{self.home.name}.out"
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [*self.command, "--home", str(self.home), "up"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    @property
    def running(self) -> Running:
        """Where everything is."""
        found = running.read(self.home)
        assert found is not None
        return found

    def wait_until_ready(self) -> Running:
        """Return once all parts run."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"it ended: {self.said}"
            found = running.read(self.home)
            if found is not None and found.ready:
                return found
            time.sleep(0.1)
        raise AssertionError(f"not ready after {PATIENCE:g} s: {self.said}")

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def family(self) -> list[psutil.Process]:
        """Every process that belongs to it: itself, all below it, and the database, which has left the family."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True), *self.databases()]

    def databases(self) -> list[psutil.Process]:
        """The PostgreSQL processes of its home folder."""
        folder = str(self.home / "postgres" / "data")
        servers = [one for one in psutil.process_iter(["cmdline"]) if folder in (one.info["cmdline"] or [])]
        return [process for server in servers for process in (server, *_children(server))]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)

    def waymark(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another command over the same home folder, in another process."""
        given = ("--home", str(self.home), *arguments)
        if self.command == HERE:
            ran = command(*given, environment=self.environment, folder=self.folder)
        else:
            ran = subprocess.run(
                [*self.command, *given], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
        assert ran.returncode == 0 or not check, ran.stderr
        return ran

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints as JSON lines."""
        return [json.loads(line) for line in self.waymark(*arguments, "--json").stdout.splitlines()]


def _children(process: psutil.Process) -> list[psutil.Process]:
    """Those below a process; none when it has ended meanwhile, as initdb's servers do one after another."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


Starter = Callable[..., Up]


@contextmanager
def started() -> Iterator[Starter]:
    """Starts stacks, and stops those that a test left running."""
    all_of_them: list[Up] = []

    def start(
        home: Path,
        *,
        command: list[str] | None = None,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> Up:
        up = Up(home, command or HERE, folder, clean_environment(**(environment or {})))
        all_of_them.append(up)
        return up

    try:
        yield start
    finally:
        for up in all_of_them:
            up.stop()


@pytest.fixture
def start_up() -> Iterator[Starter]:
    """Starts a stack of the test's own."""
    with started() as start:
        yield start


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The stack that end-to-end tests share; each test makes customers of its own.

    The port that its console would take is taken by somebody else.
    """
    with socket.create_server(("127.0.0.1", 0)) as other, started() as start:
        port = str(other.getsockname()[1])
        one = start(tmp_path_factory.mktemp("shared") / "home", environment={"WAYMARK_CONSOLE_PORT": port})
        one.wait_until_ready()
        one.waymark("journeys", "publish")
        yield one


def until(found: Callable[[], Any]) -> Any:
    """What `found` returns as soon as it is something: real servers take a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if result := found():
            return result
        assert time.monotonic() < deadline, f"not seen within {PATIENCE:g} s"
        time.sleep(0.1)
