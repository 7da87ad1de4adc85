"""What a rehearsal came to: as JSON lines, and as one page that shows who gets what when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.channels.channel import Message
from console.documents import document
from records.rehearsed import RehearsedContact, RehearsedRun, RehearsedTouch

TOUCH = ("customer", "journey", "version", "step", "visit", "channel", "message", "at", "status", "because")
RUN = ("customer", "journey", "outcome", "at")


def page(came: Rehearsed) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Line:
    """A touch, and the message itself when it was sent."""

    touch: RehearsedTouch
    message: Message | None = None


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal that is over. `journeys` maps names to titles; `zone` is the workspace's."""

    workspace: str
    zone: str
    journeys: Mapping[str, str]
    start: datetime
    days: int
    contacts: Sequence[RehearsedContact]
    lines: Sequence[Line]
    runs: Sequence[RehearsedRun]

    def documents(self) -> Iterator[dict[str, Any]]:
        """One object a touch, in the order of time, then one a run."""
        for line in self.lines:
            yield {name: document(getattr(line.touch, name)) for name in TOUCH}
        for run in self.runs:
            yield {name: document(getattr(run, name)) for name in RUN}
