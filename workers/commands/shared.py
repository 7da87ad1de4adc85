"""What all commands share: settings, records, and the two streams. Data goes to stdout; everything else to stderr."""

import asyncio
import getpass
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from console.documents import document
from workers.commands.options import options
from workers.databases import database
from workers.settings import Settings, load_settings

Result = TypeVar("Result")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output: one document, or one a line.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")]
Home = Annotated[Path | None, typer.Option(help="Folder of all local state (WAYMARK_HOME).", metavar="DIR")]


def settings(**given: Any) -> Settings:
    """The settings of this call. Raises SettingsError."""
    return load_settings(**{"home": options.home, **{key: value for key, value in given.items() if value is not None}})


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's asynchronous part."""
    return asyncio.run(work)


@asynccontextmanager
async def records(of: Settings | None = None) -> AsyncIterator[AsyncEngine]:
    """The database, for commands that need nothing else; the embedded one is started for as long as it is needed."""
    async with database(of or settings()) as engine:
        yield engine


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document(value), ensure_ascii=False, indent=2) + "\n")


def print_lines(values: Iterable[object]) -> None:
    """One JSON document a line on standard output."""
    for value in values:
        sys.stdout.write(json.dumps(document(value), ensure_ascii=False) + "\n")


def notice(line: str) -> None:
    """A line for the person at the terminal, not part of the output."""
    err.print(line, markup=False, soft_wrap=True)


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A plain table that fits 80 columns; the columns in `right` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        numbers = column in set(right)
        made.add_column(column, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    return made


class Clock:
    """Writes moments in the workspace's time zone, always with the zone."""

    def __init__(self, of: Settings) -> None:
        self._zone = ZoneInfo(of.workspace_time_zone)

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself."""
        return self._zone

    def __call__(self, moment: datetime | None) -> str:
        if moment is None:
            return "—"
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M %Z}"

    def short(self, moment: datetime) -> str:
        """Without date and zone, for where both stand above."""
        return f"{moment.astimezone(self._zone):%H:%M}"

    def day(self, moment: datetime) -> str:
        """The day, for a heading."""
        return f"{moment.astimezone(self._zone):%A, %d %B %Y}"


def person() -> str:
    """Who sits at the terminal, for what is signed with a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command"
