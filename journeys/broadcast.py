"""Broadcasts: one message to many at once, as `definitions/broadcasts/NAME.yaml` states it.

Who gets it, what, from when, how fast, and which of several wordings is tried out first. Nothing here knows a clock:
whether a start lies in the past is asked when somebody starts it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from journeys.conditions import Condition, Day, MessageName, Model, Slug, Text, read_scalar
from journeys.spreading import fraction
from journeys.timing import at_wall_time, parse_time_of_day
from journeys.trials import Trial

_THROTTLE = re.compile(r"([0-9]{1,9})\s*(?:per|/)\s*(second|minute|hour)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}

_FIRST_ZONE, _LAST_ZONE = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
"""Where a day begins first, and where last."""


def read_throttle(value: object) -> float:
    """Messages per second, from `600 per minute` or `20/second`.

    Raises:
        ValueError: it is no such thing, or nothing would ever go.
    """
    found = _THROTTLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{str(value)[:40]!r} is no throttle: write 600 per minute, 20 per second or 5000 per hour")
    if int(found[1]) == 0:
        raise ValueError("a throttle of 0 would let nothing go: pause the broadcast, or leave throttle out")
    return int(found[1]) / _SECONDS[found[2]]


def _read_wall(value: object) -> str:
    parse_time_of_day(str(value))
    return str(value).strip()


def _read_moment(value: object) -> object:
    moment = read_scalar(value)
    if not isinstance(moment, datetime):
        raise ValueError(
            f'{str(value)[:40]!r} is no start: write now, a time with its zone such as 2026-12-01T09:00:00+01:00, '
            'or {local: "09:00", on: 2026-12-01}'
        )  # fmt: skip
    return moment.astimezone(UTC)


class LocalStart(Model):
    """The wall time `local` on each contact's own clock, on the day `on`; without a day, the next time it comes."""

    local: Annotated[str, BeforeValidator(_read_wall)]
    on: Day | None = None

    def moment(self, after: datetime, zone: Any) -> datetime:
        """When it is that time where the contact lives (UTC); without a day, the first at or after `after`."""
        wall = parse_time_of_day(self.local)
        if self.on is not None:
            return at_wall_time(self.on, wall, zone)
        day = after.astimezone(zone).date()
        while (moment := at_wall_time(day, wall, zone)) < after:
            day += timedelta(days=1)
        return moment

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last moment (UTC) at which it can be that time on that day anywhere."""
        if self.on is None:
            return None
        wall = parse_time_of_day(self.local)
        return at_wall_time(self.on, wall, _FIRST_ZONE), at_wall_time(self.on, wall, _LAST_ZONE)


def _kind_of_start(value: object) -> str:
    return "now" if value == "now" else "local" if isinstance(value, dict | LocalStart) else "moment"


Start = Annotated[
    Annotated[Literal["now"], Tag("now")]
    | Annotated[datetime, BeforeValidator(_read_moment), Tag("moment")]
    | Annotated[LocalStart, Tag("local")],
    Discriminator(_kind_of_start),
]


class Broadcast(Model):
    """One message to everybody in a segment, or to everybody who meets `where`. It goes once under its name."""

    broadcast: Slug
    title: Text
    description: Annotated[str, Field(max_length=5000)] | None = None
    segment: Slug | None = None
    where: Condition | None = None
    send: MessageName | None = None
    start: Start = "now"
    throttle: Annotated[float, BeforeValidator(read_throttle)] | None = None
    ab: Trial | None = None
    if_quiet: Literal["wait", "skip"] = "wait"
    transactional: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.segment is None) == (self.where is None):
            raise ValueError("needs segment or where to say who gets it, and not both")
        whole = self.ab is not None and self.ab.arms is not None
        if whole == (self.send is not None):
            raise ValueError("send and ab: arms both name messages: keep one" if whole else "needs send, or ab: arms")
        channels = {one.partition("/")[0] for one in self.messages}
        if len(channels) > 1:
            raise ValueError("the messages of one broadcast go over one channel")
        if self.channel == "sms" and self.ab is not None:
            if self.ab.subjects is not None:
                raise ValueError("a text message has no subject: name arms")
            if isinstance(self.ab.winner, str):
                raise ValueError(f"a text message tells of no {self.ab.winner}: name a conversion")
        return self

    def begins(self, now: datetime) -> datetime:
        """When it begins that is started at `now` (UTC): at a local time, where that time comes first."""
        if isinstance(self.start, LocalStart):
            return max(now, self.start.span[0]) if self.start.span is not None else now
        return max(now, self.start) if isinstance(self.start, datetime) else now

    @property
    def messages(self) -> tuple[str, ...]:
        """The messages that it sends, each named once."""
        arms = self.ab.arms if self.ab is not None else None
        return tuple(dict.fromkeys(arms.values() if arms else [self.send or ""]))

    @property
    def channel(self) -> str:
        """`email` or `sms`."""
        return self.messages[0].partition("/")[0]

    def message(self, arm: str | None) -> str:
        """The message of an arm; that of the broadcast where there is none."""
        arms = self.ab.arms if self.ab is not None and self.ab.arms else {}
        return arms.get(arm or "") or self.send or self.messages[0]

    def subject(self, arm: str | None, locale: str) -> str | None:
        """The subject that an arm puts in place of the message's own in a locale, as a template."""
        subjects = self.ab.subjects if self.ab is not None and self.ab.subjects else {}
        said = subjects.get(arm or "")
        if not isinstance(said, dict):
            return said
        return next(said[one] for one in (locale, locale.partition("-")[0], *said) if one in said)

    def arm(self, customer: int) -> str | None:
        """The arm of a customer of the trial, the same at every look."""
        if self.ab is None:
            return None
        names = self.ab.names
        return names[int(fraction("broadcast arm", self.broadcast, customer) * len(names))]

    @property
    def lot(self) -> str:
        """What the lot of a customer is drawn by, before its number: those below the share are of the trial."""
        return f"broadcast share/{self.broadcast}"

    def in_trial(self, customer: int) -> bool:
        """Whether a customer is of those on whom the wordings are tried."""
        return self.ab is not None and fraction(self.lot, customer) < self.ab.share


def touch_key(broadcast: int, customer: int) -> str:
    """The one key of a broadcast's message to a customer, the same at every attempt; it tells nobody who it is."""
    return f"wmb-{hashlib.sha256(f'broadcast/{broadcast}/{customer}'.encode()).hexdigest()[:32]}"


def workflow_id(name: str, broadcast: int) -> str:
    """The Temporal workflow of a broadcast."""
    return f"broadcast/{name}/{broadcast}"
