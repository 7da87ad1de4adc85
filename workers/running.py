"""What runs locally, and where: `<home>/running.json`, written by `waymark up`, read by every other command.

The file counts only while the process that wrote it lives. A process is known by its id *and* its start time,
because ids are used again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import psutil
from pydantic import SecretStr

from journeys.errors import WaymarkError
from workers.settings import Settings

NAME = "running.json"


class AlreadyRunningError(WaymarkError):
    """Another `waymark up` owns this home folder. Use it, or stop it (Ctrl-C there), or give another --home."""


@dataclass(frozen=True)
class Process:
    """One process of the local stack: what it is, and what identifies it (start time in seconds since 1970)."""

    name: str
    pid: int
    started: float

    @classmethod
    def of(cls, name: str, pid: int) -> Self:
        """Describe a living process; raises psutil.NoSuchProcess when it has ended."""
        return cls(name, pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process itself, or None when it ended (even if its id lives on in another)."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


@dataclass(frozen=True)
class Running:
    """A running local stack: `settings` that other commands need to use it, and the pages that it serves to people.

    An address is None where the environment named that part instead.
    """

    pid: int
    started: float
    ready: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    temporal_address: str | None = None
    temporal_ui: str | None = None
    inbox_url: str | None = None
    sms_url: str | None = None
    console_url: str | None = None
    processes: list[Process] = field(default_factory=list)

    @property
    def owner(self) -> Process:
        """The `waymark up` that wrote the file."""
        return Process("waymark up", self.pid, self.started)


def read(home: Path) -> Running | None:
    """The stack that runs over this home folder now, or None."""
    found = read_stale(home)
    return found if found and found.owner.find() else None


def resolve(settings: Settings) -> Settings:
    """The settings, completed by the stack that runs over the home folder: what is given comes first, then that."""
    local = read(settings.home)
    if local is None or not local.ready:
        return settings
    provider_given = settings.twilio_account_sid is not None
    found = {
        name: SecretStr(value) if name == "twilio_auth_token" else value
        for name, value in local.settings.items()
        if (not provider_given if name.startswith("twilio_") else getattr(settings, name) is None)
    }
    return settings.model_copy(update=found)


def read_stale(home: Path) -> Running | None:
    """What the file says, even if its writer is gone (killed, or the machine restarted)."""
    try:
        document = json.loads((home / NAME).read_text())
        processes = [Process(**process) for process in document.pop("processes", [])]
        return Running(**document, processes=processes)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write(home: Path, running: Running) -> None:
    """Put the file in place in one move, so that no reader sees half of it; readable by its owner only."""
    draft = home / f"{NAME}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(running), file, indent=2)
    draft.replace(home / NAME)


@contextmanager
def owning(home: Path) -> Iterator[Running]:
    """Own the home folder: yields an empty `Running` of this process; the file is removed at the end.

    The lock belongs to this process alone and goes with it, however it ends. Raises AlreadyRunningError.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise already_running(home) from None
        me = Process.of("waymark up", os.getpid())
        try:
            yield Running(pid=me.pid, started=me.started)
        finally:
            (home / NAME).unlink(missing_ok=True)


def already_running(home: Path) -> AlreadyRunningError:
    """The error for a second `up`, with what is known of the first."""
    found = read(home)
    where = f", process {found.pid}" if found else ""
    console = f" (console {found.console_url})" if found and found.console_url else ""
    return AlreadyRunningError(
        f"Waymark is already running over {home}{where}{console}",
        hint="Use it from another terminal, stop it there with Ctrl-C, or give another folder with --home.",
    )


def ready(running: Running) -> Running:
    """The same stack, marked as complete: every part answers."""
    return replace(running, ready=True)
