"""Fetching the Temporal CLI, whose development server Waymark can run, through the Temporal SDK.

Run as a program (`python -m workers.server.download FOLDER`) it does the download itself: the SDK starts what it
has downloaded, and that prints a banner which must not reach the caller's own output.
"""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from journeys.errors import WaymarkError
from workers.leaving import leave

VERSION: Final = "v1.9.1"
"""The release of the Temporal CLI to fetch: the first whose server (1.32.0) can skip time."""

HOST: Final = "temporal.download"


def downloaded_binary(folder: Path) -> Path:
    """Where a download into `folder` ends up; the file may not exist yet."""
    return folder / f"temporal-{VERSION}{'.exe' if sys.platform == 'win32' else ''}"


def download(folder: Path, *, timeout: float = 300.0) -> Path:
    """Fetch the Temporal CLI into `folder` and return its path. Blocks for at most `timeout` seconds.

    Fails within 3 seconds where the network is not to be had. Raises `WaymarkError`, with a message of one line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        try:
            socket.create_connection((HOST, 443), timeout=3).close()
        except OSError as error:
            raise WaymarkError(f"{HOST} cannot be reached ({error.strerror or error})") from error
    try:
        finished = subprocess.run(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WaymarkError(f"{HOST} sent nothing usable within {timeout:.0f} seconds") from None
    finally:
        # What a download that was cut short leaves behind would make the next one wait for it.
        for leftover in folder.glob("*.downloading"):
            leftover.unlink(missing_ok=True)
    path = downloaded_binary(folder)
    if finished.returncode or not path.is_file():
        lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
        raise WaymarkError(lines[-1])
    return path


async def _fetch(folder: str) -> None:
    from temporalio.testing import WorkflowEnvironment

    server = await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=VERSION, dev_server_log_level="error"
    )
    await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(_fetch(sys.argv[1]))
    except RuntimeError as failure:
        sys.stderr.write(" ".join(str(failure).split()) + "\n")
        leave(1)
