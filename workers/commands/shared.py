"""What all commands share: options, settings, records, and who gives them."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from workers.commands.options import options
from workers.databases import database
from workers.settings import Settings, load_settings

Result = TypeVar("Result")

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


def person() -> str:
    """Who sits at the terminal, for what is signed with a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command"
