"""`up`, `worker`, `console`, `demo`: commands that run until they are stopped."""

import asyncio
import logging
import signal
import time
from typing import Annotated

import typer
from rich.status import Status

from workers import serving, temporal
from workers.child import until_told_to_stop
from workers.commands.shared import Home, err, notice, run, settings
from workers.composition import resolve
from workers.fleet import Fleet
from workers.running import Running
from workers.settings import Settings, unknown_variables
from workers.stack import running_stack

Processes = Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes. Default: one per core.")]


class Progress:
    """The start of a stack at the terminal: what runs already, line by line, and below it what is still starting."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._status = Status("Starting ...", console=err) if err.is_terminal else None

    def begin(self, part: str) -> None:
        """This part is being started."""
        self._waiting.append(part)
        self._show()

    def done(self, part: str, detail: str, seconds: float) -> None:
        """This part runs."""
        self._waiting.remove(part)
        err.print(f"[green]✓[/] {part:<11} {detail}  [dim]{seconds:.1f} s[/]", soft_wrap=True)
        self._show()

    def notice(self, line: str) -> None:
        """Something to know."""
        err.print(f"[yellow]![/] {line}", soft_wrap=True)

    def progress(self, part: str, line: str) -> None:
        """How far a part that takes long is; without a terminal, now and then."""
        if self._status is not None:
            self._status.update(line)
        elif time.monotonic() - getattr(self, "_told", 0.0) > 15:
            self._told = time.monotonic()
            notice(line)

    def stop(self) -> None:
        """No more to show."""
        if self._status is not None:
            self._status.stop()

    def _show(self) -> None:
        if self._status is None:
            return
        if self._waiting:
            self._status.update(f"Starting {', '.join(self._waiting)} ...")
            self._status.start()
        else:
            self._status.stop()


def up(home: Home = None, processes: Processes = None) -> None:
    """Start everything needed for local work, until Ctrl-C.

    PostgreSQL, Temporal with its Web UI, a mail and an SMS catcher, the console and workers: each only where the
    environment does not name one already.
    """
    of = settings(home=home, processes=processes)
    for name, near in unknown_variables().items():
        notice(f"{name} is no setting" + (f"; did you mean {near}?" if near else ""))
    run(_up(of))


async def _up(of: Settings) -> None:
    progress = Progress()
    stopped = Stopping()
    try:
        async with running_stack(of, progress) as stack:
            assert stack.running is not None
            show_addresses(stack.running)
            await stack.watch()
    except asyncio.CancelledError:
        if not stopped.asked:
            raise
    finally:
        progress.stop()
        stopped.end()
    notice("Stopped. Everything is kept; `waymark up` goes on where it was.")


class Stopping:
    """Turns the first Ctrl-C or SIGTERM into an orderly end of the current task, whatever it is doing."""

    def __init__(self) -> None:
        self.asked = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self.asked:
            notice("Still stopping: what is being sent is finished first.")
            return
        self.asked = True
        notice("Stopping ...")
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        """Leave the signals as they were."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.remove_signal_handler(number)


def show_addresses(running: Running) -> None:
    """Where a person finds what runs."""
    pages = {
        "Inbox": running.inbox_url,
        "Text messages": running.sms_url,
        "Temporal UI": running.temporal_ui,
        "Console (API)": running.console_url,
    }
    err.print()
    for name, url in pages.items():
        if url:
            err.print(f"  {name:<14} {url}", soft_wrap=True)
    err.print("\nUp. Press Ctrl-C to stop.")


def worker(processes: Processes = None) -> None:
    """Run worker processes, until Ctrl-C or SIGTERM; one that dies is started again."""
    of = settings(processes=processes)
    temporal.config(of)
    run(_worker(of))


async def _worker(of: Settings) -> None:
    full = resolve(of)
    fleet = Fleet.of_workers(of.processes, logs=of.home / "logs", environment=full.environment(), notice=notice)
    stop = asyncio.ensure_future(until_told_to_stop())
    starting = asyncio.ensure_future(fleet.start(timeout=3600))
    try:
        await asyncio.wait([stop, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            notice(f"{of.processes} worker processes run; their logs are in {of.home / 'logs'}.")
            await stop
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        notice("Stopping: what is being sent is finished first.")
        await fleet.stop()


def console(
    host: Annotated[str | None, typer.Option(help="Address to listen on (WAYMARK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port (WAYMARK_CONSOLE_PORT).")] = None,
) -> None:
    """Serve the console alone: HTTP API, links in messages, provider callbacks."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    of = settings(host=host, console_port=port)
    run(serving.serve(of, ready=lambda url: notice(f"The console listens at {url}. Press Ctrl-C to stop.")))


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the summary instead of staying up.")] = False,
    home: Home = None,
) -> None:
    """Show the main job: 200 contacts, four journeys, 45 days in about a minute; then stay up until Ctrl-C."""
    # Imported late, because nothing else needs what it brings.
    from workers import demo as show

    show.run(home=home, once=once)
