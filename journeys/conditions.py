"""The one language of conditions: who is meant, in `where`, `when` and segments.

A condition is a mapping with one key. Its meaning is the SQL that `records.conditions` compiles it to; here is only
its form, so that a map can be checked without a database.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from journeys.timing import Duration

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
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
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
MessageName = Annotated[str, Field(pattern=r"^(email|sms)/[a-z0-9][a-z0-9_-]*$", max_length=100)]
ChannelName = Literal["email", "sms"]


class Model(BaseModel):
    """A part of a map: strict about its keys, never changed once read.

    What reads it is made when it is read first: most commands read no map, and making all takes a tenth of a second.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


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


class Range(Model):
    """Numbers from `at_least`, which is one of them, to `below`, which is not."""

    at_least: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("needs at_least, below or both")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"nothing is at least {self.at_least:g} and below {self.below:g}")
        return self


class Amount(Range):
    """Numbers of what is never less than nothing."""

    at_least: Annotated[Number, Field(ge=0)] | None = None
    below: Annotated[Number, Field(gt=0)] | None = None


class Quintile(Range):
    """Scores of 1, 2, 3, 4 and 5; 5 is best."""

    at_least: Annotated[Number, Field(ge=1, le=5)] | None = None
    below: Annotated[Number, Field(gt=1, le=5)] | None = None


class WorthTest(Model):
    """What a customer's orders come to; every stated part must hold, and who never ordered passes none.

    `revenue` and `lifetime_value` (revenue less refunds) are in the workspace's currency, `days_since_order` in full
    days of 24 hours, `r`, `f` and `m` the quintiles of the last night.
    """

    orders: Amount | None = None
    revenue: Amount | None = None
    lifetime_value: Range | None = None
    days_since_order: Amount | None = None
    r: Quintile | None = None
    f: Quintile | None = None
    m: Quintile | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.parts():
            raise ValueError(f"needs a test: {', '.join(type(self).model_fields)}")
        return self

    def parts(self) -> dict[str, Range]:
        """The parts that are stated, by name."""
        stated = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: wanted for name, wanted in stated.items() if wanted is not None}


class ValueTest(Model):
    """A test of one value; every stated part must hold. No value passes only `exists: false` and `is_not`."""

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
            raise ValueError(f"needs a test: {', '.join(self.tests())}")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"nothing is at least {self.at_least:g} and below {self.below:g}")
        if self.after is not None and self.before is not None and (self.before - self.after).days <= 1:
            raise ValueError(f"no day is after {self.after} and before {self.before}")
        return self

    @classmethod
    def tests(cls) -> list[str]:
        """The words of the tests, as people write them."""
        return [field.alias or name for name, field in cls.model_fields.items() if name != "name"]


class FieldTest(ValueTest):
    """A test of one field of the customer."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]


class PropertyTest(ValueTest):
    """A test of one property of an event; `value` is the event's own value."""


class TiedTest(PropertyTest):
    """A property test that may also ask for the same value as a property of the event that brought the contact in.

    A contact that came in by no event, or by one without that property, never meets it.
    """

    same_as: Annotated[str, Field(pattern=r"^event\.\w+$", max_length=110)] | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if self.same_as and self.is_ is not None:
            raise ValueError("is: and same_as: both name the value: write one of them")
        return self

    @property
    def tie(self) -> str | None:
        """The property of the event that brought the contact in."""
        return self.same_as.removeprefix("event.") if self.same_as else None


def _test_of_property(value: object) -> object:
    """One value means that one, a list any of them."""
    if isinstance(value, dict | PropertyTest):
        return value
    if value is None:
        raise ValueError("null is no value: for a property that is not there write {exists: false}")
    return {"is": value}


def by_name(mapping: dict[str, Any]) -> dict[str, Any]:
    """A mapping in the order of its keys: the records keep no other, and a map that is read back must be the same."""
    return dict(sorted(mapping.items()))


PropertyName = Annotated[str, Field(pattern=r"^\w+$", max_length=100)]
With = Annotated[
    dict[PropertyName, Annotated[PropertyTest, BeforeValidator(_test_of_property)]], AfterValidator(by_name)
]
TiedWith = Annotated[
    dict[PropertyName, Annotated[TiedTest, BeforeValidator(_test_of_property)]], AfterValidator(by_name)
]


class EventTest(Model):
    """How often an event happened to the customer: at least once unless said otherwise, ever unless `within`."""

    name: Name
    at_least: Annotated[Whole, Field(ge=1)] | None = None
    at_most: Annotated[Whole, Field(ge=0)] | None = None
    within: PositiveDuration | None = None
    with_: Annotated[With, Field(alias="with")] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"nothing happens at least {self.at_least} and at most {self.at_most} times")
        return self


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


class InSegment(Model):
    """Is a member of any of these segments."""

    segment: Annotated[list[Slug], BeforeValidator(listed), Field(min_length=1)]


class InLifecycle(Model):
    """Is in any of these stages of `definitions/lifecycle.yaml`."""

    lifecycle: Annotated[list[Slug], BeforeValidator(listed), Field(min_length=1)]


class Worth(Model):
    value: WorthTest


class Opened(Model):
    opened: MessageName


class Clicked(Model):
    clicked: MessageName


KINDS: dict[str, type[Model]] = {
    "all": AllOf, "any": AnyOf, "not": Not, "score": Score, "stage": Stage, "country": Country, "locale": Locale,
    "tag": Tagged, "consent": Consented, "field": FieldIs, "event": Happened, "touched": Touched, "opened": Opened,
    "clicked": Clicked, "segment": InSegment, "lifecycle": InLifecycle, "value": Worth,
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
    | Annotated[Clicked, Tag("clicked")]
    | Annotated[InSegment, Tag("segment")]
    | Annotated[InLifecycle, Tag("lifecycle")]
    | Annotated[Worth, Tag("value")],
    Discriminator(_kind),
]
"""Any condition."""


def leaves(condition: Condition) -> list[Condition]:
    """The tests that a condition is made of, without `all`, `any` and `not`, in order of appearance."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case Not(not_=part):
            return leaves(part)
        case _:
            return [condition]


def spans_time(condition: Condition) -> bool:
    """Whether it counts back from the present, so that time alone may change the answer."""
    for leaf in leaves(condition):
        match leaf:
            case Happened(event=EventTest(within=span)) | Touched(touched=TouchTest(within=span)) if span is not None:
                return True
            case Worth(value=WorthTest(days_since_order=days)) if days is not None:
                return True
    return False
