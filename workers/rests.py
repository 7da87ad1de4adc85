"""Who watches runs come to rest: in this process, where its workers take their turns, or else in the records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from journeys.instruction import Instruction, Turn
from records.runs import enrolments

LOOK = 0.01
"""Seconds between looks into the records."""


class Rests:
    """Knows of each run the last turn after which it rested or ended."""

    def __init__(self) -> None:
        self._turns: dict[int, int] = {}
        self._waiting: dict[int, list[asyncio.Future[None]]] = defaultdict(list)

    def watch(self, activities: Mapping[str, Sequence[Callable[..., Any]]]) -> dict[str, list[Callable[..., Any]]]:
        """The same activities, of which those that take turns tell what each came to."""
        return {queue: [self._watched(one) for one in of_queue] for queue, of_queue in activities.items()}

    async def after(self, run: int, turn: int) -> None:
        """Return when the run has taken a later turn than this one, and rests or has ended."""
        while self._turns.get(run, -1) <= turn:
            told = asyncio.get_running_loop().create_future()
            self._waiting[run].append(told)
            await told

    def _watched(self, one: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        definition = activity._Definition.must_from_callable(one)
        if definition.name not in ("advance", "deliver"):
            return one

        @activity.defn(name=definition.name)
        async def watched(turn: Turn) -> Instruction:
            instruction: Instruction = await one(turn)
            if instruction.act != "deliver":
                self._turns[turn.enrolment] = instruction.turn
                for told in self._waiting.pop(turn.enrolment, ()):
                    if not told.done():
                        told.set_result(None)
            return instruction

        return watched


class Lookout:
    """Looks into the records for all who wait, by one query at a time: however many wait, they ask no more often."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database.execution_options(isolation_level="AUTOCOMMIT")
        self._waiting: dict[asyncio.Future[None], tuple[int, int]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def after(self, run: int, turn: int) -> None:
        """Return when the run has taken a later turn than this one, and rests or has ended.

        Raises what a look raises.
        """
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[told] = run, turn
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            await told
        finally:
            self._waiting.pop(told, None)

    async def _look(self) -> None:
        """Look until nobody waits any more."""
        try:
            while self._waiting:
                await asyncio.sleep(LOOK)
                asked = dict(self._waiting)
                async with self._database.connect() as db:
                    moving = await enrolments.moving(db, asked.values())
                for told, wanted in asked.items():
                    if wanted not in moving and not told.done():
                        told.set_result(None)
        except Exception as error:  # noqa: BLE001 (whoever waits is told of it)
            for told in self._waiting:
                if not told.done():
                    told.set_exception(error)
        finally:
            self._looking = None
