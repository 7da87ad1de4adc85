"""Building the Temporal server with Go, once, with a progress that means something."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from journeys.errors import WaymarkError
from workers.server.lock import file_lock

GO_HINT = (
    "Install Go 1.26 or newer (https://go.dev/dl), or set WAYMARK_TEMPORAL_BINARY to a `temporal` of 1.9.1 or "
    "newer, or TEMPORAL_ADDRESS to a running Temporal server."
)
FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
FIRST_GUESS = 7 * 60.0
"""Seconds that a build from nothing takes on two cores, until its own pace is known."""


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is. `total` is 0 while Go still fetches modules and nobody knows how much there is."""

    done: int
    total: int
    seconds: float

    @property
    def fraction(self) -> float:
        """From 0.0 to 1.0, in packages compiled."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds_left(self) -> float:
        """An estimate from the pace so far; until that means something, from a build on two cores."""
        if self.fraction < 0.05:
            return max(FIRST_GUESS * min(self.total / 1_800 or 1.0, 1.0) - self.seconds, 1.0)
        return self.seconds * (1 - self.fraction) / self.fraction

    def __str__(self) -> str:
        if not self.total:
            return f"Building the Temporal server: {self.done} Go modules fetched"
        left = self.seconds_left
        about = f"{round(left / 60)} min" if left >= 90 else f"{max(round(left), 1)} s"
        return (
            f"Building the Temporal server: {self.fraction:.0%} "
            f"({self.done} of {self.total} packages), about {about} left"
        )


Watch = Callable[[BuildProgress], None]
"""Called from the building thread, about once for every package: keep it quick. What it raises ends the build."""


def build(source: Path, target: Path, *, watch: Watch, waiting: Callable[[], None] = lambda: None) -> None:
    """Compile the Go module at `source` into the file `target`, unless another process did so meanwhile.

    Blocks, for three to seven minutes on two cores with cold caches and seconds with warm ones; while
    another process builds it already, `waiting` is called again and again. `target` appears whole or not at all.

    Raises `WaymarkError` when Go is missing, too old, or fails.
    """
    go = shutil.which("go")
    if go is None:
        raise WaymarkError("the Temporal server has to be built once, and Go is not installed", hint=GO_HINT)
    with file_lock(target.with_name(target.name + ".lock"), waiting=waiting):
        if target.is_file():
            return
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            _compile(go, source, partial, watch)
            partial.replace(target)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _compile(go: str, source: Path, target: Path, watch: Watch) -> None:
    started = time.monotonic()
    fetched = 0

    def fetching(line: str) -> None:
        nonlocal fetched
        if line.startswith("go: downloading "):
            fetched += 1
            watch(BuildProgress(fetched, 0, time.monotonic() - started))

    stale = _run([go, "list", *FLAGS, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", "."], source, fetching)
    total = max(len(stale.split()), 1)
    compiled = 0
    started = time.monotonic()
    watch(BuildProgress(0, total, 0.0))

    def compiling(line: str) -> None:
        nonlocal compiled
        if line and not line.startswith(("go: ", "#")):
            compiled += 1
            # A package is named when its compilation begins: the last one, the link, is still to come.
            watch(BuildProgress(min(compiled, total) - 1, total, time.monotonic() - started))

    _run([go, "build", "-v", *FLAGS, "-o", str(target), "."], source, compiling)
    watch(BuildProgress(total, total, time.monotonic() - started))


def _run(command: Sequence[str], folder: Path, each_line: Callable[[str], None]) -> str:
    """Standard output of `command`; its standard error goes to `each_line`. Ends it when interrupted."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    tail: deque[str] = deque(maxlen=20)
    try:
        for line in process.stderr:
            tail.append(line.strip())
            each_line(line.strip())
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        reader.join()
        process.stdout.close()
        process.stderr.close()
    if code:
        what = next((line for line in tail if "error" in line.lower() or "requires go" in line), "")
        what = what or next(iter(reversed(tail)), f"exit code {code}")
        raise WaymarkError(f"Go could not build the Temporal server: {what}", hint=GO_HINT)
    return "".join(output)


class BuildDisplay:
    """Shows a build on standard error: one line that changes on a terminal, a line for every tenth elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = -1
        self._last = 0.0

    def __call__(self, progress: BuildProgress) -> None:
        """Show `progress`, if it is worth it."""
        finished = progress.total > 0 and progress.done >= progress.total
        if self._terminal:
            if finished or progress.seconds - self._last >= 0.2 or progress.seconds < self._last:
                self._last = progress.seconds
                sys.stderr.write(f"\r\x1b[2K{progress}" + ("\n" if finished else ""))
        elif progress.total and (tenth := int(progress.fraction * 10)) > self._shown:
            self._shown = tenth
            sys.stderr.write(f"{progress}\n")
        sys.stderr.flush()
