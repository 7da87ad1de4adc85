"""Steps that lead on: by events, conditions and shares, back, and out; and which steps there are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from journeys.conditions import Condition, MessageName, Model, PositiveDuration, Slug, TiedWith, Whole, by_name
from journeys.steps.effects import AddTag, RemoveTag, Score, SetConsent, SetFields, Start, Task
from journeys.steps.sends import Send, Webhook
from journeys.steps.step import Names, Step, StepId
from journeys.steps.waits import Wait


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
