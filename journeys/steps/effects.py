"""Steps that take no time: what they change in the record, and whom they let in elsewhere."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from journeys.conditions import ChannelName, Model, Scalar, Slug, Text, Whole, Words, by_name
from journeys.steps.step import Step


class Points(Model):
    points: Annotated[Whole, Field(ge=-1000, le=1000)]
    because: Text

    @field_validator("points")
    @classmethod
    def _not_nothing(cls, points: int) -> int:
        if points == 0:
            raise ValueError("0 points change nothing")
        return points


class Score(Step):
    """Add points to the lead score, with the reason that sales will read."""

    score: Points


NOT_SET = ("id", "external_id", "email", "phone", "score", "qualified_at", "tags", "properties", "created_at",
           "updated_at")  # fmt: skip
"""What a `set` step leaves alone: identity, what is computed, and what has steps of its own."""


class SetFields(Step):
    """Set the stage or other fields of the customer; null clears a field."""

    set: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Scalar | None],
        Field(min_length=1),
        AfterValidator(by_name),
    ]

    @field_validator("set")
    @classmethod
    def _not_identity(cls, fields: dict[str, Any]) -> dict[str, Any]:
        for name, value in fields.items():
            if name in NOT_SET:
                raise ValueError(f"a journey cannot set {name}: it belongs to the customer's identity or is computed")
            if name == "stage" and not str(value or "").strip():
                raise ValueError("a customer always has a stage: name one, such as stage: new")
            if name == "country" and value is not None and not re.fullmatch("[A-Z]{2}", str(value)):
                raise ValueError(f"{value!r} is no country: two capital letters (ISO 3166-1), such as CN or SG")
        return fields


class AddTag(Step):
    tag: Words


class RemoveTag(Step):
    untag: Words


class ConsentChange(Model):
    """What the customer said about a channel, and how we know."""

    channel: ChannelName
    granted: bool
    because: Text


class SetConsent(Step):
    """Write down that the customer gave consent to a channel, or withdrew it."""

    consent: ConsentChange


class TaskDetails(Model):
    """`due` is a duration or working time: `4h`, `2d`, `1 working day`, `4 working hours`. The `rule` of the handoff
    that is named keeps the task, and says what is left out."""

    queue: Slug
    title: Text
    due: Annotated[str, Field(pattern=r"^([0-9]{1,3} working (day|hour|minute)s?|[0-9]{1,4}\s*(mo|m|h|d|w))$")] = (
        "1 working day"
    )
    because: Text | None = None
    priority: Annotated[Whole, Field(ge=0, le=9)] = 0
    rule: Slug | None = None


class Task(Step):
    """Put a task into a queue for people."""

    task: TaskDetails


class Start(Step):
    """Enter the customer into another journey, by that journey's own rule for entering again; this one goes on."""

    start: Slug
