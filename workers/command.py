"""The command `waymark`: everything that people do with it at a terminal.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 70 an unexpected error, 130 interrupted.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from workers.commands.options import options
from workers.commands.tree import COMMANDS
from workers.leaving import leave

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


command: Any = get_command(app)
"""The command with all that it can do."""
command.commands.update(COMMANDS)


def main() -> None:
    """Run the command and exit with its code; errors are one line and what to do next."""
    code = 0
    try:
        command()
        sys.stdout.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 (the last place that can word an error)
        # What words errors knows the database and Temporal, which take their time to import.
        from workers.commands.failing import report

        code = report(error)
    leave(code)
