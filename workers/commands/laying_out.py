"""`init`: laying out a workspace."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from journeys.errors import WaymarkError
from workers.commands.terminal import notice
from workers.content import shipped

app = typer.Typer()


@app.command("init")
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
