"""When a message may go: windows, quiet hours, caps and consent, as `definitions/sending.yaml` and maps state them.

All of it is decided by the wall time that the contact's clock shows at the instant of sending, so that a change of
clocks needs no rule of its own: an hour that comes twice is open twice, one that is skipped is not waited for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from journeys.conditions import ChannelName, Model, PositiveDuration, Whole, listed
from journeys.timing import add, at_wall_time, change, parse_time_of_day, require_aware, shift

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ConsentRule = Literal["opt_in", "opt_out"]
"""Whether marketing on a channel needs a yes (`opt_in`) or only no refusal (`opt_out`)."""

HORIZON = timedelta(days=15)
"""How far ahead an opening is looked for: past every combination of weekdays and clock changes."""

_DAY = 24 * 60


def read_weekdays(value: object) -> tuple[str, ...]:
    """Weekdays from a map, in the order of the week: `sat`, `mon-fri`, `sat-mon` or a list of such.

    Raises:
        ValueError: a word is no weekday, or there is none.
    """
    found: set[int] = set()
    for part in value if isinstance(value, list | tuple) else [value]:
        ends = part.replace(" ", "").split("-") if isinstance(part, str) else []
        if not 1 <= len(ends) <= 2 or not set(ends) <= set(WEEKDAYS):
            raise ValueError(f"{str(part)[:40]!r} is no weekday: write mon, tue, ... sun, or a range such as mon-fri")
        first, last = WEEKDAYS.index(ends[0]), WEEKDAYS.index(ends[-1])
        found.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    if not found:
        raise ValueError("names no weekday: leave days out when every day is meant")
    return tuple(WEEKDAYS[number] for number in sorted(found))


def read_minute(value: object) -> str:
    """A wall time from a map, `24:00` included, as it is written there.

    Raises:
        ValueError: it is none.
    """
    if value != "24:00":
        parse_time_of_day(str(value))
    return str(value).strip()


Weekdays = Annotated[tuple[Weekday, ...], BeforeValidator(read_weekdays)]
Minute = Annotated[str, BeforeValidator(read_minute)]


def _minutes(wall: str) -> int:
    hours, minutes = wall.split(":")
    return int(hours) * 60 + int(minutes)


class Hours(Model):
    """A part of the week in the contact's zone. It includes its start and excludes its end; one that ends before it
    starts crosses midnight and belongs to the day on which it starts. Without times it means whole days."""

    days: Weekdays = WEEKDAYS
    from_: Annotated[Minute | None, Field(alias="from")] = None
    to: Minute | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("from and to go together: name both, or neither for whole days")
        if self.from_ is None and "days" not in self.model_fields_set:
            raise ValueError("needs days, or from and to")
        if self.from_ == "24:00":
            raise ValueError("from: 24:00 ends a day; write 00:00")
        if self.from_ is not None and self.from_ == self.to:
            raise ValueError(f"from and to are both {self.to}: leave them out when the whole day is meant")
        return self

    @property
    def begins(self) -> int:
        """Minutes after midnight at which it starts."""
        return _minutes(self.from_ or "00:00")

    @property
    def ends(self) -> int:
        """Minutes after midnight at which it ends; past 1440 when that is on the next day."""
        end = _minutes(self.to or "24:00")
        return end if end > self.begins else end + _DAY

    def holds(self, local: datetime) -> bool:
        """Whether this wall time lies within."""
        minute = local.hour * 60 + local.minute
        today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[local.weekday() - 1]
        return (today in self.days and self.begins <= minute < self.ends) or (
            yesterday in self.days and minute + _DAY < self.ends
        )

    def words(self) -> str:
        """As a person says it: "mon-fri from 09:00 to 18:00"."""
        run = WEEKDAYS.index(self.days[-1]) - WEEKDAYS.index(self.days[0]) + 1 == len(self.days) > 2
        days = f"{self.days[0]}-{self.days[-1]}" if run else ", ".join(self.days)
        days = "every day" if self.days == WEEKDAYS else days
        return days if self.from_ is None else f"{days} from {self.from_} to {self.to}"


class Window(Hours):
    """When messages may go. `spread`: the herd that waits for its opening leaves over so long, not all at once."""

    spread: PositiveDuration | None = None

    @model_validator(mode="after")
    def _spread_fits(self) -> Self:
        if self.spread is not None and round(self.spread.days * _DAY) > self.ends - self.begins:
            raise ValueError(f"spread: {self.spread} is longer than the window itself")
        return self


class QuietHours(Hours):
    """When nothing goes."""


class Cap(Model):
    """At most so many messages to one contact in any stretch of time of this length, in its own zone."""

    count: Annotated[Whole, Field(ge=1)]
    per: PositiveDuration


ListOfQuietHours = Annotated[tuple[QuietHours, ...], BeforeValidator(listed)]
Caps = Annotated[tuple[Cap, ...], BeforeValidator(listed)]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class CountryRules(Model):
    """What differs for contacts of one country."""

    quiet_hours: ListOfQuietHours


class ChannelRules(Model):
    """The rules of one channel. `most_segments`: parts of a text message that a template may come to."""

    consent: ConsentRule = "opt_in"
    quiet_hours: ListOfQuietHours = ()
    at_most: Caps = ()
    most_segments: Annotated[Whole, Field(ge=1)] | None = None
    countries: dict[CountryCode, CountryRules] = Field(default_factory=dict)


def _opt_in() -> dict[ChannelName, ChannelRules]:
    return {"email": ChannelRules(), "sms": ChannelRules()}


class SendingRules(Model):
    """`definitions/sending.yaml`. `SendingRules()` is meant when there is no such file: opt-in, and no other rule.

    `at_most` counts over all channels; `spread` holds for every window that states none of its own.
    """

    channels: dict[ChannelName, ChannelRules] = Field(default_factory=_opt_in)
    at_most: Caps = ()
    spread: PositiveDuration | None = None

    @model_validator(mode="before")
    @classmethod
    def _file_states_its_channels(cls, data: Any) -> Any:
        return {**data, "channels": {}} if isinstance(data, dict) and data and "channels" not in data else data

    @model_validator(mode="after")
    def _segments_are_of_texts(self) -> Self:
        if "email" in self.channels and self.channels["email"].most_segments is not None:
            raise ValueError("most_segments counts the parts of a text message: it belongs under sms")
        return self

    def quiet_hours(self, channel: str, country: str | None) -> tuple[QuietHours, ...]:
        """When nothing goes over the channel to a contact of this country, whose own hours replace the channel's."""
        rules = self._rules(channel)
        if rules is None:
            return ()
        own = rules.countries.get(country) if country else None
        return rules.quiet_hours if own is None else own.quiet_hours

    def caps(self, channel: str) -> tuple[tuple[str | None, Cap], ...]:
        """The caps that a message on the channel comes under, each with the channel that it counts (None: all)."""
        rules = self._rules(channel)
        return (*((channel, cap) for cap in (rules.at_most if rules else ())), *((None, cap) for cap in self.at_most))

    def consent_rule(self, channel: str) -> ConsentRule | None:
        """What marketing on the channel needs; None when the file is there and does not name the channel."""
        rules = self._rules(channel)
        return rules.consent if rules else None

    def _rules(self, channel: str) -> ChannelRules | None:
        return next((rules for name, rules in self.channels.items() if name == channel), None)


def next_open(now: datetime, zone: tzinfo, window: Window | None, quiet: Sequence[QuietHours]) -> datetime | None:
    """The first instant (UTC), `now` included, that lies in the window and in no quiet hours.

    None when `HORIZON` has none. Ask again at that instant when anything may have changed, such as the contact's zone.

    Raises:
        ValueError: `now` is naive.
    """
    instant = start = require_aware(now)
    hours: list[Hours] = [*quiet, *([window] if window else [])]
    bounds = sorted({bound % _DAY for one in hours for bound in (one.begins, one.ends)} | {0})
    while instant - start <= HORIZON:
        local = instant.astimezone(zone).replace(tzinfo=None)
        if (window is None or window.holds(local)) and not any(one.holds(local) for one in quiet):
            return instant
        # what holds can change only at a bound, at midnight, or when clocks change
        minute = local.hour * 60 + local.minute
        ahead = next((bound for bound in bounds if bound > minute), _DAY)
        midnight = datetime.combine(local.date(), time.min)
        instant = change(instant, instant + (midnight + timedelta(minutes=ahead) - local), zone)
    return None


def cap_frees(oldest: datetime, cap: Cap, zone: tzinfo) -> datetime:
    """When a message that went at `oldest` no longer counts (UTC): at that instant another may go."""
    return add(oldest, cap.per, zone)


def cap_since(now: datetime, cap: Cap, zone: tzinfo) -> datetime:
    """Messages that went after this instant (UTC), and not at it, count at `now`.

    It is the last instant whose message is free again by now (`cap_frees`), so that both tell the same: counting back
    from 28 February by a month would come to 28 January, and forget that 31 January + 1mo is 28 February too.
    """
    now = require_aware(now)
    if cap.per.unit in ("m", "h"):
        return add(now, replace(cap.per, count=-cap.per.count), zone)
    # a month's end takes up to four days together, and clocks put back over midnight one more
    day = shift(now.astimezone(zone).date(), replace(cap.per, count=-cap.per.count)) + timedelta(days=5)
    while (last := _last_freed(day, now, cap, zone)) is None:
        day -= timedelta(days=1)
    return last


def _last_freed(day: date, now: datetime, cap: Cap, zone: tzinfo) -> datetime | None:
    """The last instant of this local day whose message is free again by now."""
    target = shift(day, cap.per)
    freed = bisect_right(range(_DAY * 60_000_000), now, key=lambda tick: at_wall_time(target, _wall(tick), zone))
    if freed == 0:
        return None
    local = datetime.combine(day, _wall(freed - 1).replace(fold=1), tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    instant = at_wall_time(day, local.time(), zone) - timedelta(microseconds=1)
    return instant if instant.astimezone(zone).date() == day else None


def _wall(tick: int) -> time:
    """The wall time so many microseconds after midnight."""
    return (datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=tick)).time()
