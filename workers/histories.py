"""Histories of runs, recorded or still open, and whether the workflow as it is installed goes the same way again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import ParseError
from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from journeys import attributes
from journeys.broadcasting import BroadcastRun
from journeys.errors import WaymarkError
from journeys.salestask import SalesTask
from journeys.workflow import SHAPE, CustomerJourney
from workers.versioning import DEPLOYMENT
from workers.worker import sandbox

FIRST_SHAPE = "1"
"""The shape of histories that name none: they were recorded before workers said theirs."""
OPEN = "WorkflowType = 'CustomerJourney' AND ExecutionStatus = 'Running'"
BESIDES = "WorkflowType IN ('SalesTask', 'Broadcast') AND ExecutionStatus = 'Running'"
AT_ONCE = 8
"""Histories fetched at the same time."""


@dataclass(frozen=True)
class Kept:
    """A history and where it is from: a file's path, or a workflow's id."""

    name: str
    history: WorkflowHistory

    @property
    def shape(self) -> str:
        """The shape of the workflow that wrote its last turns."""
        builds = [
            event.workflow_task_completed_event_attributes.deployment_version.build_id for event in self.history.events
        ]
        return next((build for build in reversed(builds) if build), FIRST_SHAPE)

    @property
    def ours(self) -> bool:
        """Whether it belongs to workers of this release; runs of another shape stay with the workers of theirs."""
        return self.shape == str(SHAPE)


@dataclass(frozen=True)
class Replayed:
    """What a replay came to; `because` says in one line why a history does not fit."""

    name: str
    events: int
    because: str | None = None

    @property
    def fits(self) -> bool:
        """The workflow gave the same commands again."""
        return self.because is None


def read(folder: Path) -> list[Kept]:
    """All histories in a folder and those below it: JSON files as `temporal workflow show --output json` writes them.

    Raises:
        WaymarkError: the folder is not there or holds none, or a file is no history.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise WaymarkError(f"{folder} holds no histories.", hint="They are JSON files; give their folder.")
    return [Kept(str(path.relative_to(folder)), _parse(path)) for path in paths]


def _parse(path: Path) -> WorkflowHistory:
    try:
        history = WorkflowHistory.from_json(f"journey/{path.stem}/1/1", path.read_text(encoding="utf-8"))
    except (ParseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise WaymarkError(
            f"{path} is no history: {_line(error)}", hint="Write it with `temporal workflow show --output json`."
        ) from None
    if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
        raise WaymarkError(f"{path} is no history: it does not begin with the start of a workflow.")
    return history


async def replay(kept: AsyncIterator[Kept]) -> AsyncIterator[Replayed]:
    """Replay histories with the installed workflow, one after the other; nothing is sent anywhere."""
    names: list[str] = []

    async def histories() -> AsyncIterator[WorkflowHistory]:
        async for one in kept:
            names.append(one.name)
            yield one.history

    # The SDK's core would write each misfit to standard output, too.
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    replayer = Replayer(workflows=[CustomerJourney, SalesTask, BroadcastRun], workflow_runner=sandbox(), runtime=quiet)
    async with replayer.workflow_replay_iterator(histories()) as results:
        done = 0
        async for result in results:
            failure = result.replay_failure
            yield Replayed(names[done], len(result.history.events), _line(failure) if failure else None)
            done += 1


async def sample(client: Client, size: int) -> list[WorkflowExecution]:
    """Open runs of this release's shape, the same number of each journey and version as far as there are any, and of
    the tasks of sales and the broadcasts."""
    ours = f"TemporalWorkerDeploymentVersion = '{DEPLOYMENT}:{SHAPE}'"
    shape = f"{OPEN} AND {ours}"
    groups: list[list[WorkflowExecution]] = []
    async for journey in _values(client, shape, attributes.JOURNEY.name):
        own = f"{shape} AND {attributes.JOURNEY.name} = {journey}"
        async for version in _values(client, own, attributes.VERSION.name):
            query = f"{own} AND {attributes.VERSION.name} = {version}"
            groups.append([run async for run in client.list_workflows(query, limit=size)])
    groups.append([run async for run in client.list_workflows(f"{BESIDES} AND {ours}", limit=size)])
    return _spread(groups, size)


def _spread(groups: Sequence[Sequence[WorkflowExecution]], size: int) -> list[WorkflowExecution]:
    """The first of each group, then the second of each, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[place] for place in range(longest) for group in groups if place < len(group)][:size]


async def _values(client: Client, query: str, name: str) -> AsyncIterator[str]:
    """The values, as a query writes them, that a search attribute has among the runs of a query."""
    seen: list[str] = []
    while True:
        but = f" AND {name} NOT IN ({', '.join(seen)})" if seen else ""
        run = await anext(aiter(client.list_workflows(f"{query} AND {name} IS NOT NULL{but}", limit=1)), None)
        if run is None:
            return
        [value] = run.search_attributes[name]
        seen.append(f"'{value}'" if isinstance(value, str) else str(value))
        yield seen[-1]


async def fetch(client: Client, runs: Sequence[WorkflowExecution]) -> AsyncIterator[Kept]:
    """The histories of runs as they are now; a run that is gone meanwhile is left out."""

    async def one(run: WorkflowExecution) -> Kept | None:
        try:
            return Kept(run.id, await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history())
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    for first in range(0, len(runs), AT_ONCE):
        for kept in await asyncio.gather(*map(one, runs[first : first + AT_ONCE])):
            if kept is not None:
                yield kept


def _line(error: BaseException) -> str:
    """An error in one line of a bearable length."""
    # The SDK wraps its reason in the names of its types.
    inner = re.search(r'message: "(?:\[TMPRL\d+\] )?((?:[^"\\]|\\.)+)"', str(error))
    return " ".join((inner[1] if inner else str(error)).split())[:300] or type(error).__name__
