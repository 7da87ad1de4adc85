"""What processes use of the machine, by psutil."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import psutil

MB = 1_000_000


class Memory(NamedTuple):
    """Bytes: all that is mapped; with shared pages divided among those who share them; and what would be free
    without the process. The last two are None where the system does not tell (Linux tells)."""

    rss: int
    pss: int | None
    uss: int | None

    @classmethod
    def of(cls, pid: int) -> Memory:
        """The memory of a process now."""
        full = psutil.Process(pid).memory_full_info()
        return cls(full.rss, getattr(full, "pss", None), getattr(full, "uss", None))

    @property
    def own(self) -> int:
        """What the process has to itself, or all of it where the system does not tell."""
        return self.rss if self.uss is None else self.uss

    def __str__(self) -> str:
        return "   ".join(
            f"{name} {value / MB:7.1f} MB" for name, value in zip(("RSS", "PSS", "USS"), self, strict=True)
            if value is not None
        )  # fmt: skip


def give_back() -> None:
    """Let this process return to the system what it does not use: garbage, and what the allocator (glibc) keeps."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def cpu_seconds(pid: int) -> float:
    """The processor time of a process and of all below it, those that have ended included."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            spent = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system + getattr(spent, "children_user", 0) + getattr(spent, "children_system", 0)
    return total


class Stopwatch:
    """Processor seconds of several processes over a span of real time."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began = time.monotonic()
        self._before = self._read()

    def lines(self) -> Iterable[str]:
        """How long it was, and what each has used since the start."""
        span, now = time.monotonic() - self._began, self._read()
        for name, seconds in now.items():
            used = seconds - self._before[name]
            yield f"{name:16} {used:7.2f} CPU seconds in {span:.0f} s, {used / span:.1%} of a core"

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}
