"""The options before the command's name: of the whole call, and known before any command is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Options:
    """The options before the command's name."""

    debug: bool = False
    home: Path | None = None


options = Options()
