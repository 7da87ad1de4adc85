"""The real Temporal development server: its life, its ports, its database, and skipping time on it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.testing import TimeSkipper
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from journeys.errors import WaymarkError
from tests.patience import PATIENCE, gone
from workers.server.binary import Binary, find_binary
from workers.server.devserver import DevServer

STEP = SearchAttributeKey.for_keyword("TestStep")
QUEUE = "devserver-tests"


@workflow.defn(sandboxed=False)
class Month:
    """Waits thirty days, then says for how long it waited by its own clock."""

    @workflow.run
    async def run(self) -> float:
        begin = workflow.now()
        await workflow.sleep(timedelta(days=30), summary="wait 30 days")
        return (workflow.now() - begin).total_seconds()


@workflow.defn(sandboxed=False)
class Chain:
    """Waits ten days in each of `runs` runs, then says for how long the whole chain took by its own clock."""

    @workflow.run
    async def run(self, runs: int, begin: datetime | None = None) -> float:
        begin = begin or workflow.now()
        await workflow.sleep(timedelta(days=10))
        if runs > 1:
            workflow.continue_as_new(args=[runs - 1, begin])
        return (workflow.now() - begin).total_seconds()


@pytest.fixture(scope="module")
async def binary() -> Binary:
    return await find_binary()


@pytest.fixture(scope="module")
async def server(binary: Binary) -> AsyncIterator[DevServer]:
    async with DevServer(binary, search_attributes={"TestStep": "Keyword"}) as running:
        yield running


def worker(client: Client) -> Worker:
    return Worker(client, task_queue=QUEUE, workflows=[Month, Chain], workflow_runner=UnsandboxedWorkflowRunner())


async def test_time_is_skipped_by_hand_for_one_run_and_not_for_another(server: DevServer) -> None:
    skipper = TimeSkipper(await Client.connect(server.address))
    async with worker(skipper.client):
        with skipper.with_time_skipping_disabled():
            skipped, other = [
                await skipper.client.start_workflow(Month.run, id=str(uuid4()), task_queue=QUEUE) for _ in range(2)
            ]
        assert await skipper.fast_forward(skipped, timedelta(days=20))
        assert (await skipped.describe()).close_time is None
        await skipper.fast_forward(skipped, timedelta(days=11))
        assert await skipped.result() == pytest.approx(timedelta(days=30).total_seconds(), abs=60)
        assert (await other.describe()).close_time is None
        await other.terminate()


async def test_time_is_skipped_by_itself_where_a_run_starts_with_skipping(server: DevServer) -> None:
    skipper = TimeSkipper(await Client.connect(server.address))
    async with worker(skipper.client):
        waited = await skipper.client.execute_workflow(Month.run, id=str(uuid4()), task_queue=QUEUE)
    assert waited == pytest.approx(timedelta(days=30).total_seconds(), abs=60)


async def test_no_day_is_lost_or_won_when_runs_continue_as_new_while_time_is_skipped(server: DevServer) -> None:
    skipper = TimeSkipper(await Client.connect(server.address))
    async with worker(skipper.client):
        with skipper.with_time_skipping_disabled():
            await skipper.client.start_workflow(Chain.run, args=[4, None], id="chain", task_queue=QUEUE)
        chain = skipper.client.get_workflow_handle("chain", result_type=float)
        assert [await skipper.fast_forward(chain, timedelta(days=15)) for _ in range(2)] == [True, True]
        # Whether it had come to its end or to the fifteenth day when the server looked is the server's affair.
        await skipper.fast_forward(chain, timedelta(days=15))
        async with asyncio.timeout(PATIENCE):
            assert await chain.result() == pytest.approx(timedelta(days=40).total_seconds(), abs=60)


async def test_search_attributes_can_be_used_from_the_start(server: DevServer) -> None:
    client = await Client.connect(server.address)
    attributes = TypedSearchAttributes([SearchAttributePair(STEP, "first")])
    handle = await client.start_workflow(Month.run, id=str(uuid4()), task_queue=QUEUE, search_attributes=attributes)
    assert (await handle.describe()).typed_search_attributes.get(STEP) == "first"
    await handle.terminate()


async def test_the_web_ui_shows_the_namespace(server: DevServer) -> None:
    async with httpx.AsyncClient(base_url=server.ui_url or "") as browser:
        index = await browser.get("/")
        namespace = await browser.get("/api/v1/namespaces/default")
    assert "<!doctype html>" in index.text
    assert namespace.json()["namespaceInfo"]["name"] == "default"
    assert namespace.json()["config"]["workflowExecutionRetentionTtl"] == "2592000s"


async def test_a_taken_port_is_replaced_and_told(binary: Binary) -> None:
    notices: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with DevServer(binary, port=port, ui=False, notice=notices.append) as server:
            assert server.address != f"127.0.0.1:{port}"
            assert server.ui_url is None
    assert notices == [f"Port {port} for Temporal's gRPC API is in use; using {server.address.split(':')[1]}."]


async def test_a_taken_port_that_is_insisted_on_is_an_error(binary: Binary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = DevServer(binary, ui_port=port, strict=True)
        with pytest.raises(WaymarkError, match=rf"port {port} of 127\.0\.0\.1, for Temporal's Web UI, is in use"):
            await server.start()
    assert not server.running


def test_the_binary_itself_refuses_a_taken_port_in_one_line(binary: Binary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [str(binary.path), "server", "start-dev", "--headless", "--port", str(port)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 1
    assert "address already in use" in ran.stderr
    assert ran.stderr.count("\n") == 1


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing_behind(binary: Binary, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    server = DevServer(binary, database=tmp_path / "folder", ui=False)
    with pytest.raises(WaymarkError, match=r"ended as it started: .*cannot use database"):
        await server.start()
    assert not server.running


async def test_runs_outlive_a_restart_over_the_same_file_on_other_ports(binary: Binary, tmp_path: Path) -> None:
    database = tmp_path / "new folder" / "temporal.db"
    async with DevServer(binary, database=database, log=tmp_path / "log") as server:
        client = await Client.connect(server.address)
        await client.start_workflow(Month.run, id="survivor", task_queue=QUEUE)
        first = server.address

    async with DevServer(binary, database=database, search_attributes={"TestStep": "Keyword"}) as server:
        assert server.address != first
        skipper = TimeSkipper(await Client.connect(server.address))
        handle = skipper.client.get_workflow_handle("survivor", result_type=float)
        async with worker(skipper.client):
            await skipper.fast_forward(handle, timedelta(days=31))
            assert await handle.result() > 0
            attributes = TypedSearchAttributes([SearchAttributePair(STEP, "late")])
            late = await skipper.client.start_workflow(
                Month.run, id="late", task_queue=QUEUE, search_attributes=attributes
            )
            assert await late.result() > 0


async def test_a_second_server_on_the_same_file_is_refused(binary: Binary, tmp_path: Path) -> None:
    async with DevServer(binary, database=tmp_path / "temporal.db", ui=False):
        second = DevServer(binary, database=tmp_path / "temporal.db", ui=False)
        with pytest.raises(WaymarkError, match="another process is using it"):
            await second.start()


async def test_stopping_ends_the_process_and_can_be_repeated(binary: Binary) -> None:
    server = DevServer(binary, ui=False)
    await server.start()
    process = psutil.Process(server.pid)
    await server.stop()
    await server.stop()
    assert not process.is_running()
    assert not server.running


async def test_a_signal_to_the_callers_process_group_does_not_reach_the_server(server: DevServer) -> None:
    assert os.getpgid(server.pid) != os.getpgid(0)


PARENT = """
import asyncio, sys
from pathlib import Path
from workers.server.binary import Binary, Origin
from workers.server.devserver import DevServer

async def main():
    server = DevServer(Binary(Path(sys.argv[1]), Origin.GIVEN, (1, 32, 0), sys.argv[2] == "True"), ui=False)
    await server.start()
    print("server", server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "follows_parent",
    [
        pytest.param(True, id="by the binary itself"),
        pytest.param(
            False,
            id="by the kernel",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux ties processes together"),
        ),
    ],
)
async def test_no_server_is_left_behind_when_its_parent_is_killed(binary: Binary, follows_parent: bool) -> None:
    if follows_parent and not binary.follows_parent:
        pytest.skip("this is the Temporal CLI")
    tied = replace(binary, follows_parent=follows_parent)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tied.path), str(tied.follows_parent)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    line = await asyncio.wait_for(parent.stdout.readline(), PATIENCE)
    found = re.match(rb"server (\d+)", line)
    assert found is not None
    server = psutil.Process(int(found[1]))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    assert await asyncio.to_thread(gone, [server])
