"""Telling the server that long work lives, and how far it has come."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity

BEAT = 5.0
"""Seconds between two beats."""


class Pulse:
    """Beats for as long as its block runs, also while the database works on one statement. Outside of an activity
    nobody listens.

    Every beat carries what `at` said last: the server keeps only the newest.
    """

    def __init__(self) -> None:
        self._where: Any = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def resumed(self) -> Any:
        """How far an attempt before this one had come; None when this is the first."""
        if not activity.in_activity():
            return None
        told = activity.info().heartbeat_details
        return told[0] if told else None

    def at(self, where: Any) -> None:
        """Note how far the work has come."""
        self._where = where
        self.beat()

    def beat(self) -> None:
        """Tell the server now."""
        if activity.in_activity():
            activity.heartbeat(self._where)

    def __enter__(self) -> Pulse:
        self._where = self.resumed
        self._again()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        if activity.in_activity():
            self._timer = asyncio.get_running_loop().call_later(BEAT, self._go_on)

    def _go_on(self) -> None:
        self.beat()
        self._again()
