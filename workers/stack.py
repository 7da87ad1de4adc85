"""Everything that local work needs, in one process tree: started in parallel, watched, stopped in parallel.

A part that the environment names (a database, a Temporal cluster, a relay, a provider) is used and not started.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import anyio.to_thread
import psutil

from journeys import attributes
from journeys.errors import WaymarkError
from records import migration
from workers import catching, running, temporal
from workers.child import Child, program
from workers.databases import embedded
from workers.fleet import Fleet
from workers.running import Process, Running
from workers.server.binary import find_binary
from workers.server.build import BuildProgress
from workers.server.devserver import DevServer
from workers.server.ports import Claims
from workers.settings import Settings, variable

Start = Coroutine[None, None, None]
"""Starts a part, when it is awaited."""
Stops = list[Callable[[], Awaitable[None]]]
"""How the parts of one stage are stopped."""


class Display(Protocol):
    """Shows a person how the start goes."""

    def begin(self, part: str) -> None:
        """This part is being started."""

    def done(self, part: str, detail: str, seconds: float) -> None:
        """This part runs."""

    def notice(self, line: str) -> None:
        """Something to know, in one line. May be called from another thread."""

    def progress(self, part: str, line: str) -> None:
        """How far a part that takes long is. May be called from another thread."""


class Stack:
    """The local servers of one home folder. Use `running_stack`: the servers stop after those that use them."""

    def __init__(
        self, settings: Settings, display: Display, *, processes: int | None = None, durable: bool = True
    ) -> None:
        """`processes` workers are run (default: as the settings say; 0 for none). Without `durable`, an embedded
        database may be lost with the machine."""
        self.settings = settings
        self._display = display
        self._size = settings.processes if processes is None else processes
        self._durable = durable
        self._logs = settings.home / "logs"
        self._environment = settings.environment() | {"WAYMARK_HOME": str(settings.home)}
        self._fleets: list[Fleet] = []
        self._server: DevServer | None = None
        self._ports = Claims(settings.host)
        self._console_url = ""
        self.running: Running | None = None

    async def start(self, closing: AsyncExitStack, running_: Running) -> Running:
        """Start every part; what was started is registered with `closing`. Returns where everything is."""
        self.running = running_
        closing.callback(self._ports.release)
        # Workers make links to the console, and the SMS catcher posts to it, so its address is settled first.
        port = self._port("console", self.settings.console_port)
        # An address that means "all" is listened on, and reached by one of them.
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(self.settings.host, self.settings.host)  # noqa: S104
        self._console_url = f"http://{host}:{port}"
        self._environment["WAYMARK_CONSOLE_PORT"] = str(port)
        self._share(console_url=self.settings.console_url or self._console_url)
        self._found(console_url=self._console_url)
        for stage in ((self._database, self._temporal, self._mail, self._sms), (self._console, self._workers)):
            # Registered before they start, so that they are stopped however the start ends: the second stage first.
            stops: Stops = []
            closing.push_async_callback(_stop_all, stops)
            async with _all_or_first_error() as together:
                for part in stage:
                    together.create_task(part(stops))
        self.running = running.ready(self.running)
        self._write()
        return self.running

    async def watch(self) -> None:
        """Return never, unless the Temporal server ends by itself: then raise WaymarkError."""
        while self._server is None or self._server.running:  # noqa: ASYNC110 (a process sets no event)
            await asyncio.sleep(0.5)
        raise WaymarkError(
            "The Temporal server ended by itself; everything else is stopped too.",
            hint=f"See {self._logs / 'temporal.log'}, then start again: nothing is lost.",
        )

    # The parts: each registers how it is stopped, and returns what starts it.

    def _database(self, stops: Stops) -> Start:
        given = self.settings.database_url
        server = embedded(self.settings, durable=self._durable)
        if given is None:
            stops.append(lambda: anyio.to_thread.run_sync(server.stop))

        async def start() -> None:
            with self._timed("PostgreSQL") as say:
                url = given if given is not None else await anyio.to_thread.run_sync(lambda: server.start())
                applied = await anyio.to_thread.run_sync(migration.migrate, url)
                self._share(database_url=url)
                news = f", {len(applied)} migrations applied" if applied else ""
                say(("given by WAYMARK_DATABASE_URL" if given else "embedded") + news)

        return start()

    def _temporal(self, stops: Stops) -> Start:
        async def given() -> None:
            with self._timed("Temporal") as say:
                client = await temporal.connect(self.settings)
                await temporal.ensure_search_attributes(client)
                say(f"given: {client.service_client.config.target_host}, namespace {client.namespace}")

        if temporal.server_is_given():
            return given()

        async def start() -> None:
            with self._timed("Temporal") as say:
                binary = await find_binary(
                    self.settings.temporal_binary,
                    cache=self.settings.cache / "temporal",
                    notice=self._display.notice,
                    watch=self._show_build,
                )
                server = DevServer(
                    binary,
                    ip=self.settings.host,
                    port=self.settings.temporal_port,
                    ui_port=self.settings.ui_port,
                    namespace=temporal.namespace(),
                    search_attributes=attributes.KINDS,
                    database=self.settings.home / "temporal.sqlite",
                    log=self._logs / "temporal.log",
                    notice=self._display.notice,
                )
                self._server = server
                await server.start()
                self._environment |= {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": temporal.namespace()}
                self._found(temporal_address=server.address, temporal_ui=server.ui_url)
                say(f"Web UI {server.ui_url}")

        async def stop() -> None:
            if self._server is not None:
                server, self._server = self._server, None
                await server.stop()

        stops.append(stop)
        return start()

    def _mail(self, stops: Stops) -> Start:
        if self.settings.smtp_url:
            return self._given("Mail", "given by WAYMARK_SMTP_URL")
        smtp, inbox = self._port("mail (SMTP)", self.settings.smtp_port), self._port("inbox", self.settings.inbox_port)
        child = catching.mail(self.settings, smtp, inbox, log=self._logs / "mail.log")

        def found(answer: catching.Answer) -> str:
            self._share(smtp_url=answer.send)
            self._found(inbox_url=answer.page)
            return f"caught, inbox {answer.page}"

        return self._catcher(stops, "Mail", child, found)

    def _sms(self, stops: Stops) -> Start:
        if self.settings.twilio_account_sid:
            return self._given("SMS", "given by WAYMARK_TWILIO_ACCOUNT_SID")
        port = self._port("SMS", self.settings.sms_port)
        child = catching.sms(self.settings, port, console_url=self._console_url, log=self._logs / "sms.log")

        def found(answer: catching.Answer) -> str:
            self._share(**catching.provider(answer.send))
            self._found(sms_url=answer.page)
            return f"caught, {answer.page}"

        return self._catcher(stops, "SMS", child, found)

    def _console(self, stops: Stops) -> Start:
        child = Child(
            "console", program("workers.serving"), log=self._logs / "console.log", environment=self._environment
        )
        return self._start_fleet("Console", self._fleet(stops, [child]), lambda: self._console_url)

    def _workers(self, stops: Stops) -> Start:
        fleet = Fleet.of_workers(
            self._size,
            logs=self._logs,
            environment=self._environment,
            notice=self._display.notice,
            changed=self._write,
        )
        self._register(stops, fleet)
        noun = "process" if self._size == 1 else "processes"
        return self._start_fleet("Workers", fleet, lambda: f"{self._size} {noun}") if self._size else _nothing()

    # Helpers

    def _catcher(self, stops: Stops, part: str, child: Child, found: Callable[[catching.Answer], str]) -> Start:
        return self._start_fleet(part, self._fleet(stops, [child]), lambda: found(catching.Answer.of(child.answer)))

    def _fleet(self, stops: Stops, children: list[Child]) -> Fleet:
        fleet = Fleet(children, notice=self._display.notice, changed=self._write)
        self._register(stops, fleet)
        return fleet

    def _register(self, stops: Stops, fleet: Fleet) -> None:
        self._fleets.append(fleet)
        stops.append(fleet.stop)

    async def _start_fleet(self, part: str, fleet: Fleet, detail: Callable[[], str]) -> None:
        with self._timed(part) as say:
            await fleet.start()
            say(detail())

    async def _given(self, part: str, detail: str) -> None:
        with self._timed(part) as say:
            say(detail)

    def _timed(self, part: str) -> "_Timed":
        return _Timed(self._display, part)

    def _port(self, what: str, wanted: int) -> int:
        port = self._ports.take(wanted)
        if port != wanted:
            self._display.notice(f"Port {wanted} for the {what} is in use; using {port}.")
        return port

    def _show_build(self, progress: BuildProgress) -> None:
        self._display.progress("Temporal", str(progress))

    def _share(self, **settings: str) -> None:
        """Settings of the parts that were started here: for the children, and for other commands over this home."""
        assert self.running is not None
        self._environment |= {variable(name): value for name, value in settings.items()}
        self.running = replace(self.running, settings=self.running.settings | settings)
        self._write()

    def _found(self, **addresses: str | None) -> None:
        assert self.running is not None
        self.running = replace(self.running, **addresses)  # type: ignore[arg-type]
        self._write()

    def _write(self) -> None:
        if self.running is None:
            return
        processes = [process for fleet in self._fleets for process in fleet.processes]
        with suppress(WaymarkError, psutil.Error):
            if self._server is not None and self._server.running:
                processes.append(Process.of("Temporal", self._server.pid))
        self.running = replace(self.running, processes=processes)
        running.write(self.settings.home, self.running)


@asynccontextmanager
async def running_stack(
    settings: Settings, display: Display, *, processes: int | None = None, durable: bool = True
) -> AsyncIterator[Stack]:
    """The whole local stack, up for as long as the context lasts; nothing is left running after it.

    Raises AlreadyRunningError when another stack owns the home folder, and WaymarkError when a part does not start.
    """
    if not settings.loopback and settings.api_key is None:
        raise WaymarkError(
            f"The console would listen on {settings.host}, beyond this machine, without a key.",
            hint="Set WAYMARK_API_KEY, or leave WAYMARK_HOST at 127.0.0.1.",
        )
    with running.owning(settings.home) as mine:
        await _clear_away(settings.home, display)
        async with AsyncExitStack() as closing:
            stack = Stack(settings, display, processes=processes, durable=durable)
            await stack.start(closing, mine)
            yield stack


async def _clear_away(home: Path, display: Display) -> None:
    """Stop what an `up` that was killed has left: its children, known by id and start time."""
    stale = running.read_stale(home)
    if stale is None:
        return
    left = [process for entry in stale.processes if (process := entry.find())]
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    _, stubborn = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(left, timeout=20))
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    also = f"; {len(left)} processes that it left were stopped" if left else ""
    display.notice(f"The last `waymark up` here did not end in order{also}. Nothing is lost.")


class _Timed:
    """Tells the display when a part begins and when it runs."""

    def __init__(self, display: Display, part: str) -> None:
        self._display, self._part = display, part
        self._began = time.monotonic()

    def __enter__(self) -> Callable[[str], None]:
        self._display.begin(self._part)
        return lambda detail: self._display.done(self._part, detail, time.monotonic() - self._began)

    def __exit__(self, *_: object) -> None:
        pass


async def _nothing() -> None:
    pass


async def _stop_all(stops: Stops) -> None:
    """Stop parts side by side. One that fails keeps no other from ending in order."""
    ended = await asyncio.gather(*(stop() for stop in stops), return_exceptions=True)
    for failure in filter(None, ended):
        raise failure


@asynccontextmanager
async def _all_or_first_error() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first WaymarkError is raised as itself."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise next((e for e in group.exceptions if isinstance(e, WaymarkError)), group.exceptions[0]) from None
