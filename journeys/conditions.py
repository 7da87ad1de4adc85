"""The one language of conditions: who is meant, in `where`, `when` and segments.

A condition is a mapping with one key. Its meaning is the SQL that `records.conditions` compiles it to; here is only
its form, so that a map can be checked without a database.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from journeys.timing import Duration

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BARE_WORD = re.compile(r"[^\W\d]\w*([./-]\w+)*")


def read_scalar(value: object) -> object:
    """A value as a map means it: text that spells a day or a moment is one, quoted or not, so that a map read back
    from JSON is the same map."""
    if isinstance(value, str) and _DAY.match(value):
        try:
            if _DAY.fullmatch(value):
                return date.fromisoformat(value)
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment if moment.tzinfo is not None else value
    return value


def read_day(value: object) -> object:
    """A calendar day from a map.

    Raises:
        ValueError: it is a moment, a number, or no day that exists.
    """
    day = read_scalar(value)
    if isinstance(day, date) and not isinstance(day, datetime):
        return day
    raise ValueError(f"{str(value)[:40]!r} is not a day that exists: write YYYY-MM-DD")


Scalar = Annotated[bool | int | float | str | date | datetime, BeforeValidator(read_scalar)]
Day = Annotated[date, BeforeValidator(read_day)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
STANDARD_FIELDS = (
    "external_id", "email", "phone", "first_name", "last_name", "country", "locale", "time_zone", "stage", "score",
)  # fmt: skip
"""What every customer has, beside the custom fields that a workspace declares."""


def read_duration(value: object) -> Duration:
    """A duration longer than nothing, from a map.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration: write 30m, 2h, 3d, 1w, 2mo or 1y")
    duration = Duration.parse(value)
    if duration.count <= 0:
        raise ValueError(f"{value!r} must be longer than nothing")
    return duration


def listed(value: object) -> object:
    """One thing is a list of one."""
    return value if isinstance(value, list) else [value]


PositiveDuration = Annotated[Duration, BeforeValidator(read_duration)]
Words = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], BeforeValidator(listed), Field(min_length=1)
]
Scalars = Annotated[list[Scalar], BeforeValidator(listed), Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
MessageName = Annotated[str, Field(pattern=r"^(email|sms)/[a-z0-9][a-z0-9_-]*$", max_length=100)]
ChannelName = Literal["email", "sms"]


class Model(BaseModel):
    """A part of a map: strict about its keys, never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ScoreRange(Model):
    """`at_least` includes its bound, `below` excludes it."""

    at_least: Whole | None = None
    below: Whole | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("a score needs at_least, below or both")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"no score is at least {self.at_least} and below {self.below}")
        return self


class FieldTest(Model):
    """A test of one field of the customer; every stated part must hold.

    A field without a value passes only `exists: false` and `is_not`.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
    is_: Annotated[Scalars | None, Field(alias="is")] = None
    is_not: Scalars | None = None
    exists: bool | None = None
    at_least: Number | None = None
    below: Number | None = None
    contains: Annotated[str, Field(min_length=1)] | None = None
    before: Day | None = None
    after: Day | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set - {"name"}:
            raise ValueError("a field needs a test: is, is_not, exists, at_least, below, contains, before or after")
        return self


class EventTest(Model):
    """How often an event happened to the customer: at least once unless said otherwise, ever unless `within`."""

    name: Name
    at_least: Annotated[Whole, Field(ge=1)] | None = None
    at_most: Annotated[Whole, Field(ge=0)] | None = None
    within: PositiveDuration | None = None
    where: dict[str, Scalar] = Field(default_factory=dict)


class TouchTest(Model):
    """Whether a message reached the ledger with this status, in any journey."""

    message: MessageName
    status: Literal["sent", "skipped", "failed", "uncertain"] = "sent"
    within: PositiveDuration | None = None


class AllOf(Model):
    all: Annotated[list[Condition], Field(min_length=1)]


class AnyOf(Model):
    any: Annotated[list[Condition], Field(min_length=1)]


class Not(Model):
    not_: Annotated[Condition, Field(alias="not")]


class Score(Model):
    score: ScoreRange


class Stage(Model):
    stage: Words


class Country(Model):
    """ISO 3166-1 alpha-2 codes."""

    country: Annotated[list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]], BeforeValidator(listed), Field(min_length=1)]


class Locale(Model):
    """BCP 47 tags; `zh` also means `zh-CN`."""

    locale: Words


class Tagged(Model):
    """Has any of these tags."""

    tag: Words


class Consented(Model):
    consent: ChannelName


class FieldIs(Model):
    field: FieldTest


class Happened(Model):
    event: EventTest


class Touched(Model):
    touched: TouchTest


class Opened(Model):
    opened: MessageName


class Clicked(Model):
    clicked: MessageName


KINDS: dict[str, type[Model]] = {
    "all": AllOf, "any": AnyOf, "not": Not, "score": Score, "stage": Stage, "country": Country, "locale": Locale,
    "tag": Tagged, "consent": Consented, "field": FieldIs, "event": Happened, "touched": Touched, "opened": Opened,
    "clicked": Clicked,
}  # fmt: skip


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((key for key in value if key in KINDS), None)
    return next((key for key, kind in KINDS.items() if isinstance(value, kind)), None)


Condition = Annotated[
    Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Score, Tag("score")]
    | Annotated[Stage, Tag("stage")]
    | Annotated[Country, Tag("country")]
    | Annotated[Locale, Tag("locale")]
    | Annotated[Tagged, Tag("tag")]
    | Annotated[Consented, Tag("consent")]
    | Annotated[FieldIs, Tag("field")]
    | Annotated[Happened, Tag("event")]
    | Annotated[Touched, Tag("touched")]
    | Annotated[Opened, Tag("opened")]
    | Annotated[Clicked, Tag("clicked")],
    Discriminator(_kind),
]
"""Any condition. Build one from plain data with `CONDITION.validate_python`."""

for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()


def leaves(condition: Condition) -> list[Condition]:
    """The tests that a condition is made of, without `all`, `any` and `not`, in order of appearance."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case Not(not_=part):
            return leaves(part)
        case _:
            return [condition]


def holds(condition: Condition, seen: dict[str, bool]) -> bool:
    """The condition's answer, given the answer of each of its leaves by `say`."""
    match condition:
        case AllOf(all=parts):
            return all(holds(part, seen) for part in parts)
        case AnyOf(any=parts):
            return any(holds(part, seen) for part in parts)
        case Not(not_=part):
            return not holds(part, seen)
        case _:
            return seen[say(condition)]


def say(condition: Condition) -> str:
    """The condition in words, for the path a run took and for drawings.

    Two conditions that mean different things never say the same: answers are kept by these words.
    """
    match condition:
        case AllOf(all=parts):
            return " and ".join(_wrap(part) for part in parts)
        case AnyOf(any=parts):
            return " or ".join(_wrap(part) for part in parts)
        case Not(not_=part):
            return f"not {_wrap(part)}"
        case Score(score=range_):
            bounds = [f"at least {range_.at_least}"] if range_.at_least is not None else []
            bounds += [f"below {range_.below}"] if range_.below is not None else []
            return "score " + " and ".join(bounds)
        case Stage(stage=words):
            return f"stage is {_or(words)}"
        case Country(country=words):
            return f"country is {_or(words)}"
        case Locale(locale=words):
            return f"locale is {_or(words)}"
        case Tagged(tag=words):
            return f"tagged {_or(words)}"
        case Consented(consent=channel):
            return f"consents to {channel}"
        case FieldIs(field=test):
            return _say_field(test)
        case Happened(event=test):
            return _say_event(test)
        case Touched(touched=touch):
            return f"{touch.message} {touch.status}" + _within(touch.within)
        case Opened(opened=message):
            return f"opened {message}"
        case Clicked(clicked=message):
            return f"clicked {message}"


def _wrap(condition: Condition) -> str:
    return f"({say(condition)})" if isinstance(condition, AllOf | AnyOf) else say(condition)


def _or(words: list[Any]) -> str:
    return " or ".join(_value(word) for word in words)


def _value(value: Any) -> str:
    """A value as it stands in a sentence: text that could be taken for more than a word is in quotes."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(int(value)) if value == int(value) else repr(value)
        case date():
            return value.isoformat()
        case _:
            text = str(value)
            plain = _BARE_WORD.fullmatch(text) and text not in ("true", "false", "and", "or", "not")
            return text if plain else json.dumps(text, ensure_ascii=False)


def _within(duration: Duration | None) -> str:
    return f" within {duration.words()}" if duration else ""


def _say_field(test: FieldTest) -> str:
    parts = []
    if test.is_ is not None:
        parts.append(f"is {_or(test.is_)}")
    if test.is_not is not None:
        parts.append(f"is not {_or(test.is_not)}")
    if test.exists is not None:
        parts.append("is known" if test.exists else "is unknown")
    for word, value in (("at least", test.at_least), ("below", test.below), ("contains", test.contains),
                        ("before", test.before), ("after", test.after)):  # fmt: skip
        if value is not None:
            parts.append(f"{word} {_value(value)}")
    return f"{test.name} " + " and ".join(parts)


def _say_event(test: EventTest) -> str:
    times = []
    if test.at_least is not None:
        times.append(f"at least {_times(test.at_least)}")
    if test.at_most is not None:
        times.append(f"at most {_times(test.at_most)}")
    where = ", ".join(f"{_value(name)} {_value(value)}" for name, value in test.where.items())
    return " ".join([test.name, *times]) + (f" with {where}" if where else "") + _within(test.within)


def _times(count: int) -> str:
    return f"{count} time{'' if count == 1 else 's'}"
