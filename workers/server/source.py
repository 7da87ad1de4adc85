"""The Go module that the Temporal server is built from, wherever Waymark is installed."""

import hashlib
import platform
import sys
from pathlib import Path

from journeys.errors import WaymarkError

PARTS = ("go.mod", "go.sum", "main.go")
"""The files that a binary depends on, and nothing else does."""


def source_folder() -> Path:
    """Where the Go module lies: inside the installed package, or at `tools/temporal` of a checkout.

    Raises `WaymarkError` when neither is there, which means a damaged installation.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "temporal_source", here.parents[1] / "tools" / "temporal"):
        if all((folder / part).is_file() for part in PARTS):
            return folder
    raise WaymarkError(
        "the source of the Temporal server is missing from this installation",
        hint="Install Waymark again, or set TEMPORAL_ADDRESS to a running Temporal server.",
    )


def source_key(folder: Path) -> str:
    """Sixteen hex digits that change with every change of the source or of the machine's kind."""
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(part.encode() + b"\0" + (folder / part).read_bytes() + b"\0")
    digest.update(f"{sys.platform}/{platform.machine().lower()}".encode())
    return digest.hexdigest()[:16]
