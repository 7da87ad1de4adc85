"""What all steps have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from journeys.conditions import Model, Name, Text, listed

StepId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
Names = Annotated[list[Name], BeforeValidator(listed), Field(min_length=1)]
Policy = Literal["wait", "skip"]
"""What becomes of a message that may not go now: it waits until it may, or is skipped and the run goes on."""


class Step(Model):
    """What every step has: an id (given or derived) that reports and versions hang on, and a note for colleagues."""

    id: StepId | None = None
    note: Text | None = None
