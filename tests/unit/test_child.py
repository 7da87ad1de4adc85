"""What a child process of the local stack promises."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from journeys.errors import WaymarkError
from tests.patience import PATIENCE
from workers.child import Child
from workers.fleet import Fleet


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_who_says_that_it_is_ready_can_be_told_to_stop_at_that_instant(number: str) -> None:
    program = (
        "import asyncio, os, signal; from workers.child import until_told_to_stop\n"
        f"asyncio.run(until_told_to_stop(lambda: os.kill(os.getpid(), signal.{number})))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


async def test_of_several_none_begins_any_more_when_one_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, later, begun = asyncio.create_subprocess_exec, asyncio.Event(), list[str]()

    async def spawned(*command: str, **options: Any) -> asyncio.subprocess.Process:
        if command[-1] == "slow":
            await later.wait()
        begun.append(command[-1])
        return await spawn(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawned)
    both = [Child(name, [sys.executable, "-c", "", name], log=tmp_path / "log") for name in ("broken", "slow")]
    with pytest.raises(WaymarkError, match="The broken ended as it started"):
        await Fleet(both).start()
    later.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert begun == ["broken"]
