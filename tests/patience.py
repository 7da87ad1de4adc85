"""Waiting for what happens in another process, for as long as it takes and no longer."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds after which a test gives up waiting: a net against hanging and no measure of speed, so a busy machine, which
takes ten times as long, falls into it no more than an idle one."""


def eventually(look: Callable[[], T | None]) -> T:
    """The first result that is something."""
    end = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing after {PATIENCE:g} seconds"
        time.sleep(0.02)


def gone(processes: Sequence[psutil.Process]) -> bool:
    """True once all of them have ended. What nobody has buried yet is no process any more."""
    return eventually(lambda: not any(map(_lives, processes)))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
