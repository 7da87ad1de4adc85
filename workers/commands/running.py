"""`up`, `worker`, `console`, `demo`: commands that run until they are stopped.

What each runs is imported when it is to run, as it takes a second that the others, and help, need not wait for.
"""

import asyncio
import logging
from typing import Annotated

import typer

from workers.child import until_told_to_stop
from workers.commands.shared import Home, run, settings
from workers.commands.terminal import notice
from workers.display import Progress, Stopping, show_addresses
from workers.fleet import Fleet
from workers.running import resolve
from workers.settings import Settings, unknown_variables

app = typer.Typer()

Processes = Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes. Default: one per core.")]


@app.command("up")
def up(home: Home = None, processes: Processes = None) -> None:
    """Start everything needed for local work, until Ctrl-C.

    PostgreSQL, Temporal with its Web UI, a mail and an SMS catcher, the console and workers: each only where the
    environment does not name one already.
    """
    of = settings(home=home, processes=processes)
    _tell_slips()
    run(_up(of))


def _tell_slips() -> None:
    for name, near in unknown_variables().items():
        notice(f"{name} is no setting" + (f"; did you mean {near}?" if near else ""))


async def _up(of: Settings) -> None:
    from workers.stack import running_stack

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


@app.command("worker")
def worker(processes: Processes = None) -> None:
    """Run worker processes, until Ctrl-C or SIGTERM; one that dies is started again."""
    from workers import temporal

    of = settings(processes=processes)
    _tell_slips()
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


@app.command("console")
def console(
    host: Annotated[str | None, typer.Option(help="Address to listen on (WAYMARK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port (WAYMARK_CONSOLE_PORT).")] = None,
) -> None:
    """Serve the console alone: HTTP API, links in messages, provider callbacks."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    of = settings(host=host, console_port=port)
    _tell_slips()
    from workers import serving

    run(serving.serve(of, ready=lambda url: notice(f"The console listens at {url}. Press Ctrl-C to stop.")))


@app.command("demo")
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the summary instead of staying up.")] = False,
    home: Home = None,
) -> None:
    """Show the main job: 200 contacts, nine journeys, 45 days in a minute or two; then stay up until Ctrl-C."""
    from workers import demo as showing

    showing.run(home=home, once=once)
