"""Commands as somebody gives them at a terminal: each a process of its own, with its own environment, folder and ends.

What all commands import is imported once, by a server that each of them is forked from: a suite gives hundreds, and
each would take a second to begin. What the commands themselves import is imported by each, at the time at which it
would be. That `waymark` begins from nothing as well is tested where it is installed (`tests/end_to_end/test_wheel.py`)
and where it serves.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from io import TextIOWrapper

ROOT = Path(__file__).parents[1]
LIBRARIES = ("typer", "rich.table", "rich.progress", "rich.live", "alembic.command", "anyio.to_thread")
PARTS = (
    "activities.checking", "activities.intake.event_import", "activities.people.duplicates", "records.migration",
    "workers.composition", "workers.examining", "workers.rehearsal.planning", "workers.replaying",
)  # fmt: skip

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["__main__", *LIBRARIES, *PARTS, "tests.terminal"])


def command(
    *arguments: str, environment: Mapping[str, str], folder: Path = ROOT, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run `waymark` with these arguments, nothing but this environment, and nobody at its standard input."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = _forking.Process(target=_run, args=(arguments, dict(environment), str(folder), str(out), str(err)))
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["waymark", *arguments], patience, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(
            ["waymark", *arguments], process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )


def _run(arguments: tuple[str, ...], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(encoding="utf-8", line_buffering=False)
    sys.argv = ["waymark", *arguments]
    # Only now: what it shows it shows as wide as this environment says.
    from workers.command import main

    main()
