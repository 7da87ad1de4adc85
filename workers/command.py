"""The command `waymark`: everything that people do with it at a terminal.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 70 an unexpected error, 130 interrupted.
"""

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError
from temporalio.service import RPCError

from journeys.errors import WaymarkError
from workers.child import leave
from workers.commands import (
    broadcasts,
    checking,
    customers,
    enrolling,
    entries,
    events,
    holding,
    importing,
    publishing,
    rehearsing,
    replaying,
    reporting,
    running,
    scores,
    segments,
    selling,
    setup,
    tasks,
    worth,
)
from workers.commands.runs import app as runs
from workers.commands.shared import err, options
from workers.composition import away

app = typer.Typer(
    name="waymark",
    help="Customer journeys as durable workflows: email, SMS, lead scoring and sales handoff.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            number = version("waymark")
        except PackageNotFoundError:
            number = "unknown (not installed)"
        sys.stdout.write(f"waymark {number}\n")
        raise typer.Exit


@app.callback()
def start(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    home: Annotated[Path | None, typer.Option(help="Folder of all local state (WAYMARK_HOME).", metavar="DIR")] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""
    options.debug = debug
    options.home = home


app.command("demo")(running.demo)
app.command("up")(running.up)
app.command("worker")(running.worker)
app.command("console")(running.console)
app.command("migrate")(setup.migrate)
app.command("init")(setup.init)
app.command("doctor")(checking.doctor)
app.command("rehearse")(rehearsing.rehearse)
app.command("replay")(replaying.replay)
app.command("import")(importing.import_)
app.add_typer(customers.app, name="customers")
app.add_typer(events.app, name="events")
app.command("enrol")(enrolling.enrol)
publishing.app.command("entries")(entries.entries)
app.add_typer(publishing.app, name="journeys")
app.add_typer(segments.app, name="segments")
app.add_typer(broadcasts.app, name="broadcasts")
reporting.app.command("forecast")(selling.forecast)
reporting.app.command("sales-day")(selling.sales_day)
reporting.app.command("rfm")(worth.rfm)
reporting.app.command("lifecycle")(worth.lifecycle_)
app.add_typer(reporting.app, name="report")
app.add_typer(scores.app, name="scores")
app.command("pause")(holding.pause)
app.command("resume")(holding.resume)
app.command("stop")(holding.stop)
app.command("holds")(holding.holds)
app.add_typer(runs, name="runs")
app.add_typer(tasks.app, name="tasks")


def main() -> None:
    """Run the command and exit with its code; errors are one line and what to do next."""
    code = 0
    try:
        app()
        sys.stdout.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 (the last place that can word an error)
        code = report(error)
    leave(code)


def report(error: BaseException) -> int:
    """Tell the person at the terminal what went wrong; returns the exit code."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if options.debug:
        traceback.print_exception(error)
    known = _known(error)
    if known is not None:
        err.print(f"waymark: {known.message}", markup=False, soft_wrap=True)
        if known.hint:
            err.print(f"  {known.hint}", markup=False, soft_wrap=True)
        return 1
    what = str(error).strip().splitlines() or [""]
    err.print(f"waymark: unexpected {type(error).__name__}: {what[0][:300]}", markup=False, soft_wrap=True)
    if not options.debug:
        err.print("  Run it again as `waymark --debug ...` for the traceback.", markup=False, soft_wrap=True)
    return 70


def _known(error: BaseException) -> WaymarkError | None:
    match error:
        case WaymarkError():
            return error
        case RPCError():
            return WaymarkError(
                f"Temporal refused: {error.message}", hint="Check TEMPORAL_ADDRESS, or start `waymark up`."
            )
        case DBAPIError() if type(error).__name__ in {"OperationalError", "InterfaceError"}:
            return away(error)
        case PermissionError() | FileNotFoundError() | IsADirectoryError() | NotADirectoryError() if error.filename:
            return WaymarkError(f"{error.filename}: {error.strerror}", hint="Check the path and its permissions.")
    return None
