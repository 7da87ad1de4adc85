"""The Temporal development server as a child process."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.service import ConnectConfig, RPCError, RPCStatusCode, ServiceClient

from journeys.errors import WaymarkError
from workers.server.binary import Binary, Notice, to_stderr
from workers.server.ports import Claims

Setting = bool | int | float | str

SETTINGS: Final[Mapping[str, Setting]] = {
    "frontend.WorkflowTimeSkippingEnabled": True,
    "frontend.WorkflowTimeSkippingMaxSkipPerSession": 100_000,
    # A timer fires this late at most. At the usual second, every skip of time costs a second of real time.
    "history.timerProcessorMaxTimeShift": "10ms",
    # The usual second between a run and its continuation is counted wrongly in skipped time: days are lost.
    "history.workflowIdReuseMinimalInterval": "0s",
}
"""Server settings that Waymark relies on; skipping time still happens only where a client asks for it."""

# Runs a program that the kernel terminates together with its parent (Linux only).
_TIED_TO_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)


class DevServer:
    """One Temporal server with its Web UI, for this machine, that lives no longer than its parent process.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches it only through `stop`, after the workers
    are done. Use it as an asynchronous context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        binary: Binary,
        *,
        ip: str = "127.0.0.1",
        port: int | None = None,
        ui_port: int | None = None,
        ui: bool = True,
        strict: bool = False,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        settings: Mapping[str, Setting] | None = None,
        database: Path | None = None,
        log: Path | None = None,
        log_level: str = "warn",
        notice: Notice = to_stderr,
    ) -> None:
        """Say what to run; nothing is started yet.

        `port` and `ui_port` are taken if they are free. Where they are not, `strict` makes `start` fail; otherwise
        another port is used and `notice` told. None or 0 is any free port. `search_attributes` maps names to types
        ("Keyword", "Int", "Datetime"); missing ones are added to the namespace at every start. `settings` are the
        server's dynamic configuration, on top of `SETTINGS`. `database` is an SQLite file, or None for a server
        that forgets everything. `log` receives what the server prints; without it a temporary file does.
        """
        self._binary = binary
        self._ip = ip
        self._wanted = {"gRPC API": port or 0} | ({"Web UI": ui_port or 0} if ui else {})
        self._strict = strict
        self._namespace = namespace
        self._search_attributes = dict(search_attributes or {})
        self._settings = {**SETTINGS, **(settings or {})}
        self._database = database
        self._log = log
        self._log_level = log_level
        self._notice = notice
        self._ports: dict[str, int] = {}
        self._claims = Claims(ip)
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary_log: Path | None = None

    @property
    def address(self) -> str:
        """`host:port` that clients connect to. Raises `WaymarkError` before `start`."""
        return self._location("gRPC API")

    @property
    def ui_url(self) -> str | None:
        """Where the Web UI is, or None without one. Raises `WaymarkError` before `start`."""
        return f"http://{self._location('Web UI')}" if "Web UI" in self._wanted else None

    @property
    def pid(self) -> int:
        """The id of the server's process. Raises `WaymarkError` while there is none."""
        if self._process is None:
            raise WaymarkError("the Temporal server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; false after a crash, too."""
        return self._process is not None and self._process.poll() is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, *, timeout: float = 60.0) -> None:
        """Start the server, and return once it answers and knows the search attributes.

        Raises `WaymarkError` if a port that `strict` insists on is taken, if the process ends (with the last lines
        that it printed), or if it is not ready after `timeout` seconds. Nothing is left running then.
        """
        if self.running:
            return
        deadline = time.monotonic() + timeout
        for attempt in range(3):
            self._ports = self._choose_ports()
            printed = self._spawn()
            try:
                await self._until_ready(deadline)
            except _EndedError:
                last, taken = _tail(printed), "address already in use" in _all(printed)
                await self.stop()
                # Another process may have taken a port, also one that the server chose for its own inside. One that
                # is insisted on is looked at again first.
                if taken and attempt < 2:
                    continue
                raise WaymarkError(f"the Temporal server ended as it started: {last}") from None
            except TimeoutError:
                last = _tail(printed)
                await self.stop()
                raise WaymarkError(
                    f"the Temporal server was not ready after {timeout:g} seconds" + (last and f": {last}")
                ) from None
            except BaseException:
                await self.stop()
                raise
            return

    async def stop(self, *, timeout: float = 10.0) -> None:
        """Ask the server to end, and kill it if it has not after `timeout` seconds. Harmless when it is not running.

        One that forgets everything is killed at once: there is nothing that it could bring to an end.
        """
        process, self._process = self._process, None
        self._claims.release()
        if process is not None:
            if process.poll() is None:
                (process.kill if self._database is None else process.terminate)()
            try:
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, timeout)
            finally:
                if process.poll() is None:
                    process.kill()
                    await asyncio.to_thread(process.wait)
        if self._temporary_log is not None:
            self._temporary_log.unlink(missing_ok=True)
            self._temporary_log = None

    def _location(self, what: str) -> str:
        if what not in self._ports:
            raise WaymarkError("the Temporal server has not been started")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._ip, self._ip)  # noqa: S104
        return f"[{host}]:{self._ports[what]}" if ":" in host else f"{host}:{self._ports[what]}"

    def _choose_ports(self) -> dict[str, int]:
        self._claims.release()
        ports: dict[str, int] = {}
        for what, wanted in self._wanted.items():
            ports[what] = self._claims.take(wanted)
            if not wanted or ports[what] == wanted:
                continue
            if self._strict:
                self._claims.release()
                raise WaymarkError(
                    f"port {wanted} of {self._ip}, for Temporal's {what}, is in use",
                    hint="Stop what uses it, or choose another port.",
                )
            self._notice(f"Port {wanted} for Temporal's {what} is in use; using {ports[what]}.")
        return ports

    def _spawn(self) -> tuple[Path, int]:
        """Start the process; returns its log and where in it this start begins."""
        log = self._log
        if log is None:
            handle, name = tempfile.mkstemp(prefix="waymark-temporal-", suffix=".log")
            os.close(handle)
            log = self._temporary_log = Path(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        if self._database is not None:
            self._database.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            begin = output.tell()
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        return log, begin

    def _command(self) -> list[str]:
        command = [
            *(str(self._binary.path), "server", "start-dev"),
            *("--ip", self._ip, "--port", str(self._ports["gRPC API"])),
            *("--namespace", self._namespace),
            *("--log-format", "pretty", "--log-level", self._log_level),
        ]
        command += ["--ui-port", str(self._ports["Web UI"])] if "Web UI" in self._ports else ["--headless"]
        if self._database is not None:
            command += ["--db-filename", str(self._database)]
        for name, kind in self._search_attributes.items():
            command += ["--search-attribute", f"{name}={kind}"]
        for key, value in self._settings.items():
            command += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
        if self._binary.follows_parent:
            return [*command, "--exit-with-parent", str(os.getpid())]
        if sys.platform == "linux":
            return [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *command]
        return command

    async def _until_ready(self, deadline: float) -> None:
        config = ConnectConfig(target_host=self.address)
        async with asyncio.timeout(deadline - time.monotonic()):
            while True:
                if not self.running:
                    raise _EndedError
                try:
                    await self._register_search_attributes(await ServiceClient.connect(config))
                    break
                except (RuntimeError, RPCError) as error:  # RuntimeError: nothing listens yet
                    if isinstance(error, RPCError) and error.status is RPCStatusCode.INVALID_ARGUMENT:
                        raise WaymarkError(f"Temporal refuses the search attributes: {error.message}") from error
                await asyncio.sleep(0.05)

    async def _register_search_attributes(self, service: ServiceClient) -> None:
        """Add what the namespace lacks: one that was created by an earlier version may have fewer."""
        listing = ListSearchAttributesRequest(namespace=self._namespace)
        while True:
            known = (await service.operator_service.list_search_attributes(listing)).custom_attributes
            missing = {name: kind for name, kind in self._search_attributes.items() if name not in known}
            if not missing:
                return
            await service.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=self._namespace,
                    search_attributes={name: _value_type(kind) for name, kind in missing.items()},
                )
            )
            await asyncio.sleep(0.05)


class _EndedError(Exception):
    """The server's process is gone."""


def _value_type(kind: str) -> IndexedValueType.ValueType:
    words = "".join("_" + letter if letter.isupper() else letter for letter in kind).upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE{words}")


def _tail(printed: tuple[Path, int], lines: int = 5) -> str:
    """The last lines that a start printed, joined to one."""
    return "; ".join(line.strip() for line in _all(printed).strip().splitlines()[-lines:])


def _all(printed: tuple[Path, int]) -> str:
    """What a start printed. What ends it may stand above a long trace."""
    path, begin = printed
    with path.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")
