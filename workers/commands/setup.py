"""`init` and `migrate`: laying out a workspace, and bringing its database up to date."""

import shutil
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import typer

from journeys.errors import WaymarkError
from records import migration
from workers.commands.shared import AsJson, notice, print_json, run, settings
from workers.composition import database_url, resolve
from workers.content import shipped


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to lay out; made if it is missing.", metavar="DIR")],
) -> None:
    """Lay out a workspace: starter definitions and templates to edit. Overwrites nothing."""
    parts = ("definitions", "templates")
    there = [name for name in parts if (folder / name).exists()]
    if there:
        raise WaymarkError(
            f"{folder} holds {' and '.join(there)} already; nothing was written.",
            hint="Choose another folder, or move what is there away.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in parts:
        shutil.copytree(shipped(name), folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    notice(f"Laid out {folder}. What next:\n\n  cd {folder}\n  waymark up\n  waymark journeys publish")


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the tables of this release; what is up to date stays as it is."""
    applied = run(_migrate())
    if as_json:
        print_json({"applied": applied, "revision": (applied or migration.revisions())[-1]})
    elif applied:
        notice(f"Applied {', '.join(applied)}.")
    else:
        notice("The database is up to date.")


async def _migrate() -> list[str]:
    of = resolve(settings())
    before: list[str] = []
    if of.database_url is not None:
        before = await anyio.to_thread.run_sync(migration.pending, of.database_url)
    async with database_url(of) as url:
        await anyio.to_thread.run_sync(migration.migrate, url)
    return before
