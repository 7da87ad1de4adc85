"""What the Temporal server may know of a failure: its kind and its place, and nothing about a customer."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.exceptions import ApplicationError

log = logging.getLogger(__name__)
_HERE = Path(__file__).parents[1]
_WHO = re.compile(r"[^\s<>()'\",;:]+@[^\s<>()'\",;:]+|\+?\d{7,}")
_ROOMS = ("journeys", "activities", "records")


@contextmanager
def discreet(activity: str) -> Iterator[None]:
    """Fail without details: an error of the database quotes the row, and histories are read by many.

    The worker's log keeps the whole error. The failure is retried as any other.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        log.exception("%s failed", activity)
        kind = type(error).__name__
        raise ApplicationError(f"{kind}{_place(error)}; the worker's log has the details", type=kind) from None


def nameless(words: str) -> str:
    """What a relay or provider said, without the addresses and numbers in it."""
    return _WHO.sub("…", words)


def _place(error: Exception) -> str:
    """The innermost line of ours in the error's traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_HERE) and path.relative_to(_HERE).parts[0] in _ROOMS:
            return f" in {path.relative_to(_HERE)}:{frame.lineno}"
    return ""
