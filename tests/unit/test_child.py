"""What a child process of the local stack promises."""

import subprocess
import sys

import pytest

from tests.patience import PATIENCE


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_who_says_that_it_is_ready_can_be_told_to_stop_at_that_instant(number: str) -> None:
    program = (
        "import asyncio, os, signal; from workers.child import until_told_to_stop\n"
        f"asyncio.run(until_told_to_stop(lambda: os.kill(os.getpid(), signal.{number})))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
