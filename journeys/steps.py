"""The steps of a journey map, each in the form in which a marketer writes it.

`journeys.program` flattens them for `journeys.interpreter`, which says what each of them means.
"""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from journeys.conditions import (
    ChannelName,
    Condition,
    MessageName,
    Model,
    Name,
    PositiveDuration,
    Scalar,
    Slug,
    Text,
    TiedWith,
    Whole,
    Words,
    by_name,
    listed,
    read_duration,
)
from journeys.nearest import unknown_word
from journeys.sending import WEEKDAYS, Weekdays, Window
from journeys.timing import Duration, parse_time_of_day

StepId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
Names = Annotated[list[Name], BeforeValidator(listed), Field(min_length=1)]
Policy = Literal["wait", "skip"]
"""What becomes of a message that may not go now: it waits until it may, or is skipped and the run goes on."""


def _signed(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _wall_time(value: object) -> time:
    return value if isinstance(value, time) else parse_time_of_day(str(value))


SignedDuration = Annotated[Duration, BeforeValidator(_signed)]
WallTime = Annotated[time, BeforeValidator(_wall_time)]
CustomerField = Annotated[str, Field(pattern=r"^customer\.[a-z][a-z0-9_]*$")]


AnyWindow = Annotated[
    Annotated[Window, Tag("hours")] | Annotated[Literal["any"], Tag("any")],
    Discriminator(lambda value: "any" if isinstance(value, str) else "hours"),
]
"""The hours in which a message may go, or `any` hour."""


class Step(Model):
    """What every step has: an id (given or derived) that reports and versions hang on, and a note for colleagues."""

    id: StepId | None = None
    note: Text | None = None


class Send(Step):
    """Send a message.

    `if_uncertain` says what to do when a crash leaves unknown whether it went. `window`, `if_quiet` and `if_capped`
    stand before those of the journey. A `transactional` message, such as a receipt, is not held back by windows,
    quiet hours, caps, a holdout or a missing consent.
    """

    send: MessageName
    if_uncertain: Literal["hold", "resend", "go_on"] = "hold"
    transactional: bool = False
    window: AnyWindow | None = None
    if_quiet: Policy | None = None
    if_capped: Policy | None = None

    @property
    def channel(self) -> ChannelName:
        return "email" if self.send.startswith("email/") else "sms"

    @property
    def message(self) -> str:
        """The message's name in the ledger."""
        return self.send

    @property
    def summary(self) -> str:
        """What operators read on the delivery."""
        return f"send {self.send}"


class WebhookCall(Model):
    """A call of another system: a signed POST. `fields` are those of the customer that go along; the strings in
    `body` are templates; `timeout` is in seconds."""

    url: Annotated[str, Field(max_length=2000)]
    fields: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]] = Field(default_factory=list)
    body: dict[str, Any] = Field(default_factory=dict)
    timeout: Annotated[Whole, Field(ge=1, le=60)] = 10

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"{url!r} is no web address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or "{" in url:
            raise ValueError(f"{url!r} is no web address: write https://host/path, without variables")
        if parts.username or parts.password:
            raise ValueError("a web address here holds no name and no password: calls are signed")
        return url


class Webhook(Step):
    """Call another system. A repeat carries the same id, so an uncertain call is made again unless said otherwise."""

    webhook: WebhookCall
    if_uncertain: Literal["hold", "resend", "go_on"] = "resend"

    @property
    def channel(self) -> str:
        return "webhook"

    @property
    def message(self) -> str:
        """The call's name in the ledger: the host that is called."""
        return f"webhook/{urlsplit(self.webhook.url).hostname}"

    @property
    def transactional(self) -> bool:
        return True

    @property
    def summary(self) -> str:
        """What operators read on the delivery."""
        return f"call {urlsplit(self.webhook.url).hostname}"


Delivered = Send | Webhook
"""The steps that a channel delivers."""


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


class Option(Model):
    """One of several events that are waited for, with its own way on; without `then`, that of the step is taken."""

    on: Names
    message: MessageName | None = None
    with_: Annotated[TiedWith, Field(alias="with")] = Field(default_factory=dict)
    then: list[AnyStep] | None = None


class Awaited(Model):
    """What is waited for, and for how long: one event (or the first of several), or `any` of several with a way on
    each. An event at the very limit counts."""

    on: Names | None = None
    message: MessageName | None = None
    with_: Annotated[TiedWith, Field(alias="with")] = Field(default_factory=dict)
    any: Annotated[list[Option], Field(min_length=1)] | None = None
    up_to: PositiveDuration

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.on is None) == (self.any is None):
            raise ValueError("needs either on: EVENT or any: [{on: EVENT}, ...]")
        if self.any is not None and (self.message or self.with_):
            raise ValueError("message: and with: stand beside each on: of any:")
        return self

    @property
    def options(self) -> list[Option]:
        """The events, in whichever form they were written."""
        if self.any is not None:
            return self.any
        assert self.on is not None
        return [Option.model_construct(on=self.on, message=self.message, with_=self.with_, then=None)]

    @property
    def events(self) -> list[str]:
        """The names of all events that are waited for."""
        return list(dict.fromkeys(name for option in self.options for name in option.on))


class WaitFor(Step):
    """Wait for an event: `then` when it comes in time, `else` when it does not."""

    wait_for: Awaited
    then: list[AnyStep] = Field(default_factory=list)
    else_: Annotated[list[AnyStep], Field(alias="else")] = Field(default_factory=list)

    @model_validator(mode="after")
    def _then_is_taken(self) -> Self:
        if self.then and all(option.then is not None for option in self.wait_for.options):
            raise ValueError("then: is never taken: every event of any: has its own")
        return self


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


class Split(Step):
    """Part the contacts by chance, in these proportions. A contact always goes the same way at the same split.

    The steps of each arm stand beside `split` under the arm's name; an arm without steps goes straight on.
    """

    model_config = ConfigDict(extra="allow", frozen=True, arbitrary_types_allowed=True, defer_build=True)
    __pydantic_extra__: dict[str, list[AnyStep]] = Field(init=False)

    split: Annotated[
        dict[Slug, Annotated[Whole, Field(ge=1, le=1_000_000)]],
        Field(min_length=2, max_length=20),
        AfterValidator(by_name),
    ]

    @model_validator(mode="after")
    def _arms_are_named(self) -> Self:
        for name in self.split:
            if name in KINDS or name in Step.model_fields:
                raise ValueError(f"an arm cannot be called {name}: that word means something else in a step")
        for name in self.__pydantic_extra__ or {}:
            if name not in self.split:
                raise ValueError(f"{name!r} is no arm of this split: the arms are {', '.join(self.split)}")
        return self

    @property
    def arms(self) -> dict[str, list[AnyStep]]:
        """The steps of each arm."""
        return {name: (self.__pydantic_extra__ or {}).get(name, []) for name in self.split}


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


class Again(Model):
    """How far back, how often at most, and on what condition."""

    to: StepId
    at_most: Annotated[Whole, Field(ge=1, le=100)]
    when: Condition | None = None


class Loop(Step):
    """Go back to an earlier step, at most so often; then, or when the condition does not hold, go on."""

    loop: Again


class Finish(Step):
    """End the run here with an outcome."""

    finish: Slug


KINDS: dict[str, type[Step]] = {
    "send": Send, "wait": Wait, "wait_for": WaitFor, "branch": Branch, "split": Split, "score": Score,
    "set": SetFields, "tag": AddTag, "untag": RemoveTag, "consent": SetConsent, "task": Task, "webhook": Webhook,
    "start": Start, "loop": Loop, "finish": Finish,
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
    | Annotated[Split, Tag("split")]
    | Annotated[Score, Tag("score")]
    | Annotated[SetFields, Tag("set")]
    | Annotated[AddTag, Tag("tag")]
    | Annotated[RemoveTag, Tag("untag")]
    | Annotated[SetConsent, Tag("consent")]
    | Annotated[Task, Tag("task")]
    | Annotated[Webhook, Tag("webhook")]
    | Annotated[Start, Tag("start")]
    | Annotated[Loop, Tag("loop")]
    | Annotated[Finish, Tag("finish")],
    Discriminator(kind_of),
]


def arms_of(step: AnyStep) -> list[tuple[tuple[int | str, ...], list[AnyStep]]]:
    """The lists of steps inside a step, each with its place below it, in the order of the file."""
    match step:
        case WaitFor():
            own = [
                (("wait_for", "any", number, "then"), option.then)
                for number, option in enumerate(step.wait_for.options)
                if option.then is not None
            ]
            return [*own, (("then",), step.then), (("else",), step.else_)]
        case Branch():
            return [(("branch", number, "steps"), arm.steps) for number, arm in enumerate(step.branch)]
        case Split():
            return [((name,), steps) for name, steps in step.arms.items()]
        case _:
            return []
