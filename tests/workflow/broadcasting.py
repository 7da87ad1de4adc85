"""What tests of broadcasts share: people to write to, and ways to start one and to see it end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle
from temporalio.testing import TimeSkipper

from journeys.broadcast import workflow_id
from journeys.broadcast_files import parse
from records.messages import broadcasts
from records.messages.broadcasts import BroadcastRow
from records.messages.touches import Touch
from tests.patience import PATIENCE
from tests.workflow.stage import Stage

SPRING = """
broadcast: spring
title: Spring
where: {tag: reader}
send: email/whats_new
"""


async def readers(stage: Stage, *names: str, **columns: Any) -> list[int]:
    return [await stage.customer(name, tags=("reader",), **columns) for name in names]


async def start(stage: Stage, text: str) -> tuple[BroadcastRow, WorkflowHandle[Any, Any]]:
    now = datetime.now(UTC)
    row = await stage.parts.studio.start(parse(text), at=None, by="test", now=now)
    return row, stage.client.get_workflow_handle(workflow_id(row.name, row.id))


async def start_skipping(stage: Stage, text: str) -> tuple[BroadcastRow, WorkflowHandle[Any, Any]]:
    """Start one whose clock goes on by itself to whatever it waits for next."""
    studio = stage.parts.studio
    plain, studio._client = studio._client, TimeSkipper(stage.client).client
    try:
        return await start(stage, text)
    finally:
        studio._client = plain


async def outcome(handle: WorkflowHandle[Any, Any]) -> str:
    """How the workflow ended."""
    async with asyncio.timeout(PATIENCE):
        return str(await handle.result())


async def ended(stage: Stage, row: BroadcastRow) -> BroadcastRow:
    async with stage.engine.connect() as db:
        return await broadcasts.get(db, row.id)


async def touches_of(stage: Stage, *people: int) -> list[Touch]:
    return [touch for one in people for touch in await stage.touches(one)]


async def until(stage: Stage, handle: WorkflowHandle[Any, Any], words: str) -> None:
    """Return when the Temporal UI shows these words of the broadcast."""
    async with asyncio.timeout(PATIENCE):
        while words not in await shown(handle):
            await asyncio.sleep(0.05)


async def shown(handle: WorkflowHandle[Any, Any]) -> str:
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)
