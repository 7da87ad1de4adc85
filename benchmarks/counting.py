"""Counting what an engine asks of PostgreSQL, across processes."""

from __future__ import annotations

import multiprocessing
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class Cost(NamedTuple):
    """What a run, or a part of one, costs."""

    events: float
    """History events."""
    statements: float
    """SQL statements; the beginnings and ends of transactions are none."""
    transactions: float

    def beyond(self, other: Cost) -> Cost:
        """What this costs more than another."""
        return Cost(*(mine - its for mine, its in zip(self, other, strict=True)))

    def per_step(self, shorter: Cost, steps: int) -> Cost:
        """What one step costs, when this run has so many steps more than the shorter one."""
        return Cost(*(more / steps for more in self.beyond(shorter)))

    def besides(self, step: Cost, steps: int) -> Cost:
        """What a run of so many of these steps costs besides them."""
        return self.beyond(Cost(*(each * steps for each in step)))

    def __str__(self) -> str:
        return (
            f"{self.events:5g} history events   {self.statements:5g} statements   {self.transactions:5g} transactions"
        )


class Counter:
    """The statements and transactions of one engine, which may be in another process than the reader."""

    def __init__(self) -> None:
        self._numbers: Any = multiprocessing.get_context("spawn").RawArray("q", 2)

    def listen(self, engine: AsyncEngine) -> None:
        """Count what goes over the engine from now on. One process counts, so no lock is needed."""
        numbers = self._numbers

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _statement(*_: Any) -> None:
            numbers[0] += 1

        @event.listens_for(engine.sync_engine, "begin")
        def _transaction(*_: Any) -> None:
            numbers[1] += 1

    def read(self, events: int) -> Cost:
        """What was counted so far, beside so many history events."""
        return Cost(events, self._numbers[0], self._numbers[1])
