"""For each test that asks: a namespace of the one Temporal server, a database and a worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from journeys import attributes
from journeys.instruction import QUEUE
from journeys.workflow import SHAPE, CustomerJourney
from tests.patience import PATIENCE
from tests.workflow.stage import Stage, staged
from workers import versioning
from workers.server.binary import find_binary
from workers.server.devserver import DevServer

_numbers = count(1)
AHEAD = 4
"""Namespaces made before they are asked for."""
_TYPES = {"Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT}


@asynccontextmanager
async def serving() -> AsyncIterator[DevServer]:
    """A server in memory."""
    async with DevServer(await find_binary(), ui=False, search_attributes=attributes.KINDS) as server:
        yield server


class Namespaces:
    """Namespaces in which nothing has happened yet, made while tests run: a server takes one or two seconds to learn
    of a namespace and of the shape that its runs begin with."""

    def __init__(self, server: DevServer, make: Callable[[DevServer], Coroutine[Any, Any, str]]) -> None:
        self._server, self._make = server, make
        self._ready: deque[asyncio.Task[str]] = deque()

    async def next(self) -> str:
        """The name of one that nobody else is given."""
        while len(self._ready) <= AHEAD:
            self._ready.append(asyncio.create_task(self._make(self._server)))
        return await self._ready.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._ready:
            task.cancel()
        await asyncio.gather(*self._ready, return_exceptions=True)


async def ready_namespace(server: DevServer) -> str:
    """The name of a namespace whose runs begin with the present shape."""
    name = await new_namespace(server)
    client = await Client.connect(server.address, namespace=name)
    async with Worker(
        client, task_queue=QUEUE, workflows=[CustomerJourney], deployment_config=versioning.deployment(SHAPE),
        workflow_runner=UnsandboxedWorkflowRunner(), graceful_shutdown_timeout=timedelta(),
    ):  # fmt: skip
        await versioning.take_over(client)
    return name


@pytest.fixture
async def client(server: DevServer, namespaces: Namespaces) -> Client:
    """A client of a namespace that is this test's alone, so that no run of another test meets its worker."""
    return await Client.connect(server.address, namespace=await namespaces.next())


async def new_namespace(server: DevServer) -> str:
    """The name of a namespace in which nothing has happened yet."""
    name = f"test-{next(_numbers)}"
    root = await Client.connect(server.address)
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await root.workflow_service.register_namespace(request)
    kinds = {key: _TYPES[kind] for key, kind in attributes.KINDS.items()}
    # The server learns of a new namespace, and of what its runs can be found by, through a cache that it refreshes;
    # until then it says that there is none.
    wanted = AddSearchAttributesRequest(namespace=name, search_attributes=kinds)
    listing = ListSearchAttributesRequest(namespace=name)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await root.operator_service.add_search_attributes(wanted)
                break
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.02)
        while (await root.operator_service.list_search_attributes(listing)).custom_attributes.keys() < kinds.keys():
            await asyncio.sleep(0.02)
    return name


@pytest.fixture
async def stage(engine: AsyncEngine, client: Client, tmp_path: Path) -> AsyncIterator[Stage]:
    """A whole Waymark on this test's own database."""
    async with staged(engine, client, tmp_path) as one:
        yield one
