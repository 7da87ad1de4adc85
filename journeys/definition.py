"""The form of a journey map: what a marketer may write, and nothing else.

`journeys.loading` turns a YAML file into a `Journey`; `journeys.program` flattens it for the interpreter.
"""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from journeys.conditions import (
    ChannelName,
    Condition,
    MessageName,
    Model,
    Name,
    PositiveDuration,
    Scalar,
    Whole,
    Words,
    listed,
    read_duration,
)
from journeys.timing import Duration, parse_time_of_day

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
StepId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Names = Annotated[list[Name], BeforeValidator(listed), Field(min_length=1)]


def _signed(value: object) -> object:
    return Duration.parse(value) if isinstance(value, str) else value


def _wall_time(value: object) -> object:
    return parse_time_of_day(value) if isinstance(value, str) else value


SignedDuration = Annotated[Duration, BeforeValidator(_signed)]
WallTime = Annotated[time, BeforeValidator(_wall_time)]


class Entry(Model):
    """A way in by an event, for the contacts that meet `where`."""

    on: Name
    where: Condition | None = None


WayIn = Annotated[
    Annotated[Entry, Tag("event")] | Annotated[Literal["api"], Tag("api")],
    Discriminator(lambda way: "api" if way == "api" else "event"),
]


class EveryFew(Model):
    """Re-entry no sooner than this after the last entry."""

    after: PositiveDuration


class Exit(Model):
    """An event that ends the run at once, in the middle of a wait too."""

    on: Name
    where: dict[str, Scalar] = Field(default_factory=dict)
    outcome: Annotated[Slug, Field(alias="as")] = "exited"


class Goal(Model):
    """The event that the journey exists for; it is counted, and the run goes on unless it is also an exit."""

    on: Name
    within: PositiveDuration | None = None


class Step(Model):
    """What every step has: an id (given or derived) that reports and versions hang on, and a note for colleagues."""

    id: StepId | None = None
    note: Text | None = None


class Send(Step):
    """Send a message. `if_uncertain` says what to do when a crash leaves unknown whether it went."""

    send: MessageName
    if_uncertain: Literal["hold", "resend", "go_on"] = "hold"

    @property
    def channel(self) -> ChannelName:
        return "email" if self.send.startswith("email/") else "sms"


class CustomerDate(Model):
    """A day on the contact, such as `customer.renewal_date`, moved by `offset`, at a wall time in its zone."""

    date: Annotated[str, Field(pattern=r"^customer\.[a-z][a-z0-9_]*$")]
    offset: SignedDuration = Duration(0, "d")
    at: WallTime = time(9, 0)

    @field_validator("offset")
    @classmethod
    def _whole_days(cls, offset: Duration) -> Duration:
        if offset.unit in ("m", "h"):
            raise ValueError(f"an offset from a date is counted in days, weeks, months or years, not {offset}")
        return offset

    @property
    def field(self) -> str:
        return self.date.removeprefix("customer.")


class Until(Model):
    until: CustomerDate


class Wait(Step):
    """Wait for a duration, or until a date of the contact. A date that is past or unknown is not waited for."""

    wait: Duration | Until

    @field_validator("wait", mode="before")
    @classmethod
    def _duration_or_until(cls, value: object) -> object:
        return Until.model_validate(value) if isinstance(value, dict | Until) else read_duration(value)


class Awaited(Model):
    """The event that is waited for, and for how long. An event at the very limit counts."""

    on: Names
    message: MessageName | None = None
    where: dict[str, Scalar] = Field(default_factory=dict)
    up_to: PositiveDuration


class WaitFor(Step):
    """Wait for an event: `then` when it comes in time, `else` when it does not."""

    wait_for: Awaited
    then: list[AnyStep] = Field(default_factory=list)
    else_: Annotated[list[AnyStep], Field(alias="else")] = Field(default_factory=list)


class Arm(Model):
    """One arm of a branch: the first whose condition holds is taken."""

    when: Condition | None = None
    otherwise: Literal[True] | None = None
    steps: list[AnyStep]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.when is None) == (self.otherwise is None):
            raise ValueError("an arm needs either when: or otherwise: true")
        return self


class Branch(Step):
    """Go the way of the first arm that fits; past the branch when none does."""

    branch: Annotated[list[Arm], Field(min_length=1)]

    @field_validator("branch")
    @classmethod
    def _otherwise_is_last(cls, arms: list[Arm]) -> list[Arm]:
        if any(arm.otherwise for arm in arms[:-1]):
            raise ValueError("otherwise: true must be the last arm: the arms after it can never be taken")
        return arms


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

    set: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Scalar | None], Field(min_length=1)]

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


class TaskDetails(Model):
    """`due` is a duration or a number of working days: `4h`, `2d`, `1 working day`."""

    queue: Slug
    title: Text
    due: Annotated[str, Field(pattern=r"^([0-9]{1,3} working days?|[0-9]{1,4}\s*(mo|m|h|d|w))$")] = "1 working day"
    because: Text | None = None
    priority: Annotated[Whole, Field(ge=0, le=9)] = 0


class Task(Step):
    """Put a task into a queue for people."""

    task: TaskDetails


class Finish(Step):
    """End the run here with an outcome."""

    finish: Slug


KINDS: dict[str, type[Step]] = {
    "send": Send, "wait": Wait, "wait_for": WaitFor, "branch": Branch, "score": Score, "set": SetFields, "tag": AddTag,
    "untag": RemoveTag, "task": Task, "finish": Finish,
}  # fmt: skip


def kind_of(step: Any) -> str | None:
    """The kind of a step, read from plain data or from a model: its first key that names one."""
    if isinstance(step, dict):
        return next((key for key in step if key in KINDS), None)
    return next((name for name, kind in KINDS.items() if isinstance(step, kind)), None)


AnyStep = Annotated[
    Annotated[Send, Tag("send")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[WaitFor, Tag("wait_for")]
    | Annotated[Branch, Tag("branch")]
    | Annotated[Score, Tag("score")]
    | Annotated[SetFields, Tag("set")]
    | Annotated[AddTag, Tag("tag")]
    | Annotated[RemoveTag, Tag("untag")]
    | Annotated[Task, Tag("task")]
    | Annotated[Finish, Tag("finish")],
    Discriminator(kind_of),
]

for _model in (WaitFor, Arm, Branch):
    _model.model_rebuild()


class Journey(Model):
    """A whole map. `enter: api` means that only the API, the command or another journey enrols."""

    journey: Slug
    title: Text
    description: Annotated[str, Field(max_length=5000)] | None = None
    enter: Annotated[list[WayIn], Field(min_length=1)]
    re_enter: Literal["never", "after_exit", "always"] | EveryFew = "never"
    exit: list[Exit] = Field(default_factory=list)
    goal: Goal | None = None
    steps: Annotated[list[AnyStep], Field(min_length=1)]

    @field_validator("enter", mode="before")
    @classmethod
    def _ways_in(cls, value: object) -> object:
        ways = value if isinstance(value, list) else [value]
        for way in ways:
            if way != "api" and not isinstance(way, dict | Entry):
                raise ValueError(f"{way!r} is no way in: write api, or an event such as {{on: customer.signed_up}}")
        return ways

    @field_validator("re_enter", mode="before")
    @classmethod
    def _rule(cls, value: object) -> object:
        if isinstance(value, dict):
            return EveryFew.model_validate(value)
        if isinstance(value, EveryFew) or value in ("never", "after_exit", "always"):
            return value
        raise ValueError(f"{value!r} is no rule for entering again: never, after_exit, always or {{after: 90d}}")

    @property
    def triggers(self) -> list[Entry]:
        """The events that enrol."""
        return [way for way in self.enter if isinstance(way, Entry)]
