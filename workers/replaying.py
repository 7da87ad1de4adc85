"""Replaying what was recorded, and some runs that are open now, with the workflow that is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from temporalio.client import Client, WorkflowExecution

from journeys.workflow import SHAPE
from workers import histories, temporal
from workers.histories import Kept, Replayed
from workers.settings import Settings
from workers.temporal import TemporalAwayError

__all__ = ["SHAPE", "replay_kept"]

SAMPLE = 50
"""Open runs that are replayed where nobody says how many."""

Notice = Callable[[str], None]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Shows a person how far it has come: told of how many, it gives what is called after each."""


async def replay_kept(
    of: Settings, folder: Path, size: int | None, notice: Notice, progress: Progress
) -> list[Replayed]:
    """Replay the histories of a folder and a sample of open runs; those of another shape are left out.

    Raises TemporalAwayError when runs were asked for and no server answers.
    """
    recorded = histories.read(folder)
    ours = [one for one in recorded if one.ours]
    if others := len(recorded) - len(ours):
        notice(f"{others} recorded histories are of another shape than {SHAPE}, and left out.")
    client, runs = await _open(of, size, notice)

    async def kept() -> AsyncIterator[Kept]:
        for one in ours:
            yield one
        if client is not None:
            async for one in histories.fetch(client, runs):
                yield one

    results = []
    with progress(len(ours) + len(runs)) as done:
        async for result in histories.replay(kept()):
            results.append(result)
            done()
    return results


async def _open(of: Settings, size: int | None, notice: Notice) -> tuple[Client | None, Sequence[WorkflowExecution]]:
    """The server and the runs to replay from it."""
    if size == 0:
        return None, []
    try:
        client = await temporal.connect(of)
    except TemporalAwayError as away:
        if size is not None:
            raise
        notice(f"{away.message} No open runs are replayed.")
        return None, []
    runs = await histories.sample(client, size or SAMPLE)
    notice(f"{len(runs)} open runs are taken from {client.service_client.config.target_host}.")
    return client, runs
