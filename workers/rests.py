"""Who watches runs come to rest, where the workers are in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from temporalio import activity

from journeys.instruction import Instruction, Turn


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
