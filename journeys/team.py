"""Who sells: the reps and the manager of `definitions/handoff.yaml`, when they work, and the way of a deal."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from journeys.conditions import Day, Model, Slug, listed
from journeys.sending import Minute, Weekdays
from journeys.worktime import WorkWeek
from journeys.zones import zone_of

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone: an IANA name such as Europe/Berlin") from None
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is no mail address")
    return value


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is no language: write en, zh or zh-CN")
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Address = Annotated[str, Field(max_length=254), AfterValidator(_address)]
PersonName = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=60)]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, AfterValidator(_language)]


class Working(Model):
    """The hours of work. Without days, the working days of the country; without times, whole days."""

    days: Weekdays | None = None
    from_: Annotated[Minute, Field(alias="from")] = "00:00"
    to: Minute = "24:00"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if minutes(self.from_) >= minutes(self.to):
            raise ValueError(f"working hours end after they begin, not from {self.from_} to {self.to}")
        return self


class Absence(Model):
    """From the first day to the last, both included."""

    from_: Annotated[Day, Field(alias="from")]
    to: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"away from {self.from_} to {self.to} goes backwards")
        return self


def _absence(value: object) -> object:
    return value if isinstance(value, dict | Absence) else {"from": value, "to": value}


class Person(Model):
    """Who gets mails from Waymark. What is left out is the team's, and then the workspace's."""

    name: PersonName
    email: Address
    language: Language | None = None
    time_zone: Zone | None = None
    country: CountryCode | None = None
    working: Working | None = None
    away: Annotated[tuple[Annotated[Absence, BeforeValidator(_absence)], ...], BeforeValidator(listed)] = ()

    def is_away(self, day: date) -> bool:
        """Whether it is a day of an absence."""
        return any(one.from_ <= day <= one.to for one in self.away)


class Rep(Person):
    """Who sells: in which countries, and from which queues (all, where none are named)."""

    territories: Annotated[tuple[CountryCode, ...], BeforeValidator(listed)] = ()
    queues: Annotated[tuple[Slug, ...], BeforeValidator(listed)] = ()


class Manager(Person):
    """Who hears of what is late."""


class Stage(Model):
    """A stage of the pipeline, and how likely what stands there is won."""

    stage: Slug
    chance: Annotated[Decimal, Field(ge=0, le=1)]


class Team(Model):
    """Who sells, when they work, and the way of a deal."""

    reps: tuple[Rep, ...] = ()
    manager: Manager | None = None
    language: Language | None = None
    working: Working | None = None
    country: CountryCode | None = None
    pipeline: tuple[Stage, ...] = (
        Stage(stage="contacted", chance=Decimal("0.1")), Stage(stage="meeting", chance=Decimal("0.3")),
        Stage(stage="offer", chance=Decimal("0.5")), Stage(stage="negotiation", chance=Decimal("0.8")),
    )  # fmt: skip

    def week(self, person: Person | None, default_zone: str) -> WorkWeek:
        """When somebody works; the team's own hours for nobody in particular."""
        working = (person.working if person is not None else None) or self.working or Working()
        return WorkWeek(
            zone_of(person.time_zone if person is not None else None, None, default_zone),
            (person.country if person is not None else None) or self.country,
            working.days,
            minutes(working.from_),
            minutes(working.to),
            tuple((one.from_, one.to) for one in person.away) if person is not None else (),
        )

    def rep(self, name: str | None) -> Rep | None:
        """The rep of this name; None when there is none."""
        return next((rep for rep in self.reps if rep.name == name), None)

    @property
    def everybody(self) -> tuple[Person, ...]:
        """The reps and the manager: whose day is told of, and who may work on tasks."""
        return (*self.reps, *((self.manager,) if self.manager is not None else ()))

    def person(self, name: str) -> Person | None:
        """The rep or the manager of this name, however its letters are written; None when there is none."""
        said = name.strip().casefold()
        return next((one for one in self.everybody if one.name.casefold() == said), None)

    def working_on(self, queue: str) -> tuple[Rep, ...]:
        """The reps who work on a queue."""
        return tuple(rep for rep in self.reps if not rep.queues or queue in rep.queues)

    def chance(self, stage: str | None) -> Decimal:
        """How likely what stands at a stage is won; a stage that is no longer in the file counts for nothing."""
        return next((one.chance for one in self.pipeline if one.stage == stage), Decimal(0))


def minutes(wall: str) -> int:
    """Minutes after midnight of a wall time, up to 24:00."""
    hours, minute = wall.split(":")
    return int(hours) * 60 + int(minute)
