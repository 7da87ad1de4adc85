"""The form of a journey map: who comes in, who leaves, what it is for, and its steps.

`journeys.loading` turns a YAML file into a `Journey`; `journeys.program` flattens it for the interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from journeys.conditions import (
    Condition,
    Model,
    Name,
    PositiveDuration,
    PropertyTest,
    Slug,
    Text,
    TiedTest,
    TiedWith,
    With,
)
from journeys.crons import read_cron
from journeys.sending import Window
from journeys.steps.step import Policy
from journeys.steps.waits import CustomerDate
from journeys.steps.ways import AnyStep
from journeys.timing import Duration


class Entry(Model):
    """A way in by an event whose properties meet `with`, for the contacts that meet `where`."""

    on: Name
    with_: Annotated[With, Field(alias="with")] = Field(default_factory=dict)
    where: Condition | None = None


class SegmentEntry(Model):
    """A way in for those who come to belong to a segment."""

    segment: Slug
    where: Condition | None = None


class DateEntry(CustomerDate):
    """A way in on a day of the contact, such as its birthday, moved by `offset`, at a wall time in its zone.

    `every: year` means each anniversary. A herd that comes in at one moment is spread over `spread`.
    """

    where: Condition | None = None


class ScheduleEntry(Model):
    """A way in at the times of a cron expression (minute, hour, day, month, weekday) in a named time zone, for all
    contacts that meet `where`. `time_zone` None means the workspace's.

    `overlap` says what happens when one is due while the one before still works: `skip` leaves it out, `all` lets both
    run. After an outage those missed are made up for when they are younger than `catch_up`.
    """

    schedule: Annotated[str, Field(max_length=200)]
    time_zone: Annotated[str, Field(max_length=60)] | None = None
    overlap: Literal["skip", "all"] = "skip"
    catch_up: PositiveDuration = Duration(1, "h")
    spread: PositiveDuration | None = None
    where: Condition | None = None

    @field_validator("schedule")
    @classmethod
    def _cron(cls, text: str) -> str:
        return read_cron(text)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        try:
            ZoneInfo(name or "UTC")
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone: an IANA name such as Europe/Berlin") from None
        return name


AnyEntry = Entry | SegmentEntry | DateEntry | ScheduleEntry
WAYS_IN: dict[str, type[Model]] = {
    "on": Entry, "segment": SegmentEntry, "date": DateEntry, "schedule": ScheduleEntry,
}  # fmt: skip


def _way_of(way: Any) -> str | None:
    if way == "api":
        return "api"
    if isinstance(way, dict):
        return next((key for key in way if key in WAYS_IN), None)
    return next((key for key, kind in WAYS_IN.items() if isinstance(way, kind)), None)


WayIn = Annotated[
    Annotated[Entry, Tag("on")]
    | Annotated[SegmentEntry, Tag("segment")]
    | Annotated[DateEntry, Tag("date")]
    | Annotated[ScheduleEntry, Tag("schedule")]
    | Annotated[Literal["api"], Tag("api")],
    Discriminator(_way_of),
]


class EveryFew(Model):
    """Re-entry no sooner than this after the last entry."""

    after: PositiveDuration


class Exit(Model):
    """An event, or leaving a segment, that ends the run at once, in the middle of a wait too."""

    on: Name | None = None
    left: Slug | None = None
    with_: Annotated[TiedWith, Field(alias="with")] = Field(default_factory=dict)
    outcome: Annotated[Slug, Field(alias="as")] = "exited"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.on is None) == (self.left is None):
            raise ValueError("an exit needs either on: EVENT or left: SEGMENT")
        if self.left is not None and self.with_:
            raise ValueError("with: tests an event; leaving a segment has nothing to test")
        return self

    @property
    def event(self) -> str:
        """The event that ends the run."""
        return self.on or LEFT

    @property
    def tests(self) -> dict[str, TiedTest]:
        """What its properties must be."""
        return {"segment": TiedTest.model_validate({"is": [self.left]})} if self.left else self.with_


class Goal(Model):
    """The event that the journey exists for; it is counted, and the run goes on unless it is also an exit."""

    on: Name
    with_: Annotated[TiedWith, Field(alias="with")] = Field(default_factory=dict)
    within: PositiveDuration | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event that enrols the contacts that meet `where`, when its properties meet `tests`."""

    event: str
    tests: Mapping[str, PropertyTest]
    where: Condition | None


ENTERED, LEFT = "segment.entered", "segment.left"
"""The events of membership in segments; their property `segment` names it."""


def _share(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]{1,2}(?:\.[0-9]{1,3})?)\s*%\s*", value)):
        share = float(match[1]) / 100
        if share > 0:
            return share
    raise ValueError(f"{value!r} is no share: write a percentage from 0.1% to 99%, such as 5%")


Share = Annotated[float, Field(gt=0, lt=1), BeforeValidator(_share)]


class Journey(Model):
    """A whole map. `enter: api` means that only the API, the command or another journey enrols.

    `holdout` is the share of contacts that walk the journey and are sent nothing, to be measured against the rest.
    `send_window` is when its messages may go, in each contact's own time zone; `if_quiet` and `if_capped` say what
    becomes of a message that may not go now.
    """

    journey: Slug
    title: Text
    description: Annotated[str, Field(max_length=5000)] | None = None
    enter: Annotated[list[WayIn], Field(min_length=1)]
    re_enter: Literal["never", "after_exit", "always"] | EveryFew = "never"
    exit: list[Exit] = Field(default_factory=list)
    goal: Goal | None = None
    holdout: Share | None = None
    send_window: Window | None = None
    if_quiet: Policy = "wait"
    if_capped: Policy = "skip"
    steps: Annotated[list[AnyStep], Field(min_length=1)]

    @field_validator("enter", mode="before")
    @classmethod
    def _ways_in(cls, value: object) -> object:
        ways = value if isinstance(value, list) else [value]
        for way in ways:
            if way != "api" and not isinstance(way, dict | Entry | SegmentEntry | DateEntry | ScheduleEntry):
                raise ValueError(
                    f"{way!r} is no way in: write api, or a mapping with one of on:, segment:, date:, schedule:"
                )
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
    def triggers(self) -> list[Trigger]:
        """The events that enrol; coming to belong to a segment is one."""
        return [
            Trigger(way.on, way.with_, way.where)
            if isinstance(way, Entry)
            else Trigger(ENTERED, {"segment": PropertyTest.model_validate({"is": [way.segment]})}, way.where)
            for way in self.enter
            if isinstance(way, Entry | SegmentEntry)
        ]

    @property
    def dates(self) -> list[DateEntry]:
        """The days of the contact that enrol."""
        return [way for way in self.enter if isinstance(way, DateEntry)]

    @property
    def schedules(self) -> list[ScheduleEntry]:
        """The schedules that enrol."""
        return [way for way in self.enter if isinstance(way, ScheduleEntry)]
