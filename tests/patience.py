"""Waiting for what happens in another process, for as long as it takes and no longer."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], within: float = 10.0) -> T:
    """The first result that is something; fails after `within` seconds of nothing."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing after {within:g} seconds"
        time.sleep(0.02)
