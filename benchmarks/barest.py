"""The barest workflow that has steps: what the engine's own cost is measured against."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

PAUSE = timedelta(seconds=5)
"""How long a wait lasts: longer than the queue at full load, so that every wait is a real timer."""


@activity.defn
async def nothing() -> None:
    """The empty activity."""


@workflow.defn
class Barest:
    """One empty activity and one timer a step."""

    @workflow.run
    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(minutes=1))
            await workflow.sleep(PAUSE)
