"""Waiting: for a span, for working days, until a moment."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from journeys.conditions import Model, PositiveDuration, Whole, read_duration
from journeys.nearest import unknown_word
from journeys.sending import WEEKDAYS, Weekdays
from journeys.steps.step import Step
from journeys.timing import Duration, parse_time_of_day


def _signed(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _wall_time(value: object) -> time:
    return value if isinstance(value, time) else parse_time_of_day(str(value))


SignedDuration = Annotated[Duration, BeforeValidator(_signed)]


WallTime = Annotated[time, BeforeValidator(_wall_time)]


CustomerField = Annotated[str, Field(pattern=r"^customer\.[a-z][a-z0-9_]*$")]


class CustomerDate(Model):
    """A day on the contact, such as `customer.renewal_date`, moved by `offset`, at a wall time in its zone.

    `every: year` means its next anniversary; 29 February is kept on 28 February in other years.
    """

    date: CustomerField
    offset: SignedDuration = Duration(0, "d")
    at: WallTime = time(9, 0)
    every: Literal["once", "year"] = "once"
    spread: PositiveDuration | None = None

    @field_validator("offset")
    @classmethod
    def _whole_days(cls, offset: Duration) -> Duration:
        if offset.unit in ("m", "h"):
            raise ValueError(f"an offset from a date is counted in days, weeks, months or years, not {offset}")
        return offset

    @property
    def field(self) -> str:
        return self.date.removeprefix("customer.")


class TimeOfDay(Model):
    """The next moment that shows this wall time in the contact's zone; on one of these weekdays when they are named."""

    time: WallTime
    weekday: Weekdays = WEEKDAYS
    spread: PositiveDuration | None = None

    @property
    def days(self) -> frozenset[int]:
        """The weekdays, Monday being 0."""
        return frozenset(WEEKDAYS.index(day) for day in self.weekday)


class Until(Model):
    until: Annotated[
        Annotated[CustomerDate, Tag("date")] | Annotated[TimeOfDay, Tag("time")],
        Discriminator(lambda value: "date" if isinstance(value, CustomerDate) or "date" in value else "time"),
    ]

    @field_validator("until", mode="before")
    @classmethod
    def _mapping(cls, value: object) -> object:
        if not isinstance(value, dict | CustomerDate | TimeOfDay):
            raise ValueError(f'{value!r} is no moment: write {{date: customer.FIELD}} or {{time: "09:00"}}')
        return value


class WorkingDays(Model):
    """So many working days of the contact's country, its public holidays left out; then at `at`, or the same time."""

    working_days: Annotated[Whole, Field(ge=1, le=250)]
    at: WallTime | None = None
    spread: PositiveDuration | None = None


class Wait(Step):
    """Wait for a duration, for working days, or until a moment. A date that is past or unknown is not waited for."""

    wait: Duration | Until | WorkingDays

    @field_validator("wait", mode="before")
    @classmethod
    def _kind_of_wait(cls, value: object) -> object:
        if isinstance(value, dict):
            if not value.keys() & {"until", "working_days"}:
                word = next(iter(value), "nothing")
                raise ValueError(unknown_word(str(word), ("until", "working_days"), "is no kind of wait"))
            return (WorkingDays if "working_days" in value else Until).model_validate(value)
        return value if isinstance(value, Until | WorkingDays) else read_duration(value)
