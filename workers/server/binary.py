"""Finding a Temporal server binary that Waymark can run, and making one where there is none."""

import asyncio
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from journeys.errors import WaymarkError
from workers.server.build import BuildDisplay, BuildProgress, Watch, build
from workers.server.download import VERSION, download, downloaded_binary
from workers.server.source import source_folder, source_key

OLDEST_SERVER = (1, 32, 0)
"""The first server that can skip time, which rehearsals need."""

Notice = Callable[[str], None]
"""Takes one line for a person."""


class Origin(StrEnum):
    """Where a binary came from."""

    GIVEN = "given"
    ON_PATH = "on PATH"
    CACHED = "cached"
    DOWNLOADED = "downloaded"
    BUILT = "built"


@dataclass(frozen=True)
class Binary:
    """A Temporal server binary that was asked for its version and found fit."""

    path: Path
    origin: Origin
    server_version: tuple[int, int, int]
    follows_parent: bool
    """Whether it takes `--exit-with-parent`, which the Temporal CLI does not."""


def default_cache() -> Path:
    """The folder in the user's own cache where binaries are kept, outside any checkout."""
    return platformdirs.user_cache_path("waymark") / "temporal"


def built_binary(cache: Path, source: Path) -> Path:
    """Where the binary that is built from `source` is kept in `cache`; the file may not exist yet."""
    return cache / source_key(source) / f"temporal-server{'.exe' if sys.platform == 'win32' else ''}"


def to_stderr(line: str) -> None:
    """The notice that is used unless another is given."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def find_binary(
    given: Path | None = None,
    *,
    cache: Path | None = None,
    may_download: bool = True,
    notice: Notice = to_stderr,
    watch: Watch | None = None,
) -> Binary:
    """The Temporal server binary to run: the first that is fit, in this order.

    1. `given`, a path that somebody set; nothing else is tried then.
    2. `temporal` on PATH, passed over with a notice if its server is too old to skip time.
    3. What was built or downloaded before, in `cache` (by default `default_cache()`).
    4. The Temporal SDK's own download, unless `may_download` is false.
    5. A build with Go from the source that Waymark carries: minutes, once; `watch` is told how far it is.

    Raises `WaymarkError` when `given` is unfit, or when nothing is left to try.
    """
    show = watch or BuildDisplay()
    abandoned = threading.Event()
    told = threading.Event()

    def building(progress: BuildProgress) -> None:
        if abandoned.is_set():
            raise WaymarkError("the build of the Temporal server was abandoned")
        show(progress)

    def waiting() -> None:
        if abandoned.is_set():
            raise WaymarkError("the wait for the Temporal server's build was abandoned")
        if not told.is_set():
            told.set()
            notice("Another process builds the Temporal server; waiting for it.")

    try:
        return await asyncio.to_thread(_find, given, cache or default_cache(), may_download, notice, building, waiting)
    finally:
        abandoned.set()  # where this task is cancelled, the thread is still at work


def _find(
    given: Path | None,
    cache: Path,
    may_download: bool,
    notice: Notice,
    watch: Watch,
    waiting: Callable[[], None],
) -> Binary:
    if given is not None:
        return probe(given, Origin.GIVEN)
    if on_path := shutil.which("temporal"):
        try:
            return probe(Path(on_path), Origin.ON_PATH)
        except WaymarkError as error:
            notice(f"Passed over: {error}.")

    source = source_folder()
    built = built_binary(cache, source)
    downloads = cache / "downloads"
    for kept in (built, downloaded_binary(downloads)):
        if kept.is_file():
            try:
                return probe(kept, Origin.CACHED)
            except WaymarkError:
                kept.unlink()  # damaged, or of another machine that shares the folder

    if may_download:
        try:
            return probe(download(downloads), Origin.DOWNLOADED)
        except WaymarkError as error:
            notice(f"The Temporal CLI {VERSION} could not be downloaded, so the server is built here: {error}.")
    build(source, built, watch=watch, waiting=waiting)
    return probe(built, Origin.BUILT)


def probe(path: Path, origin: Origin) -> Binary:
    """Ask the binary at `path` for its version.

    Raises `WaymarkError`, in one line, when it cannot be run, is not a Temporal server, or cannot skip time.
    """
    hint = "Set WAYMARK_TEMPORAL_BINARY to a `temporal` of 1.9.1 or newer, or leave it unset."
    try:
        ran = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "it does not answer"
        raise WaymarkError(f"{path} cannot be run: {reason}", hint=hint) from error
    found = re.search(r"\(Server (\d+)\.(\d+)\.(\d+)", ran.stdout)
    if ran.returncode or found is None:
        raise WaymarkError(f"{path} is not a Temporal server: `--version` names no server version", hint=hint)
    version = (int(found[1]), int(found[2]), int(found[3]))
    if version < OLDEST_SERVER:
        is_, needed = (".".join(map(str, v)) for v in (version, OLDEST_SERVER))
        raise WaymarkError(f"{path} holds Temporal server {is_}, and skipping time needs {needed}", hint=hint)
    return Binary(path, origin, version, follows_parent=ran.stdout.startswith("temporal-server "))
