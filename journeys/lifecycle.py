"""How far customers have come, `definitions/lifecycle.yaml`: stages in the order of a customer's life.

They are asked from the last to the first, and the first that holds is the customer's: who has not ordered for long
enough to be lost is that, however much they once bought.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from journeys.conditions import Condition, InLifecycle, Model, Name, Slug, Text, leaves
from journeys.fields import Fields
from journeys.places import Location
from journeys.saying import say
from journeys.segments import field_mistakes, missing
from journeys.source import InvalidFile, Source

CHANGED = "lifecycle.changed"
"""The event of a customer who comes from one stage to another, with the properties `from` and `to`."""


class Orders(Model):
    """Which events are orders and refunds; their values are what they came to."""

    event: Name = "order.placed"
    refunds: Name | None = "order.refunded"


class LifeStage(Model):
    """A stage and whom it means; without `when`, whoever is in none of the later ones."""

    stage: Slug
    title: Text
    when: Condition | None = None

    @property
    def because(self) -> str:
        """The rule in words."""
        return say(self.when) if self.when is not None else "no later stage holds"


class Lifecycle(Model):
    """`definitions/lifecycle.yaml`."""

    orders: Orders = Orders()
    stages: Annotated[list[LifeStage], Field(min_length=1, max_length=20)]

    @property
    def asked(self) -> list[LifeStage]:
        """The stages in the order in which they are asked: the last comes first."""
        return self.stages[::-1]

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning, not of the text."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def title_of(self, stage: str) -> str:
        """The stage for people; one that has no rule any more by its name."""
        return next((one.title for one in self.stages if one.stage == stage), stage)


def load(path: Path, fields: Fields | None = None, segments: Iterable[str] | None = None) -> Lifecycle | None:
    """The rules in a file; None when there is no such file. `fields` and `segments` are those that there are (None:
    unchecked).

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.read(path), fields, segments) if path.exists() else None


def parse(text: str, file: str = "lifecycle.yaml", fields: Fields | None = None) -> Lifecycle:
    """The rules in a text. Raises InvalidFile."""
    return _load(Source.parse(text, file), fields, None)


def _load(source: Source, fields: Fields | None, segments: Iterable[str] | None) -> Lifecycle:
    rules = source.to(Lifecycle)
    problems = [source.problem(place, words) for place, words in _wrong(rules)]
    problems += field_mistakes(source, rules, fields) if fields is not None else []
    problems += missing(source, "stages", list(segments)) if segments is not None else []
    if problems:
        raise InvalidFile(sorted(problems, key=lambda one: (one.line, one.column)))
    return rules


def _wrong(rules: Lifecycle) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    for number, one in enumerate(rules.stages):
        if one.stage in seen:
            yield ("stages", number, "stage"), f"the stage {one.stage} stands twice"
        seen.add(one.stage)
        if number and one.when is None:
            yield ("stages", number, "stage"), f"{one.stage} needs when: only the first stage may mean everybody else"
        if one.when is not None and any(isinstance(leaf, InLifecycle) for leaf in leaves(one.when)):
            yield ("stages", number, "when"), "asks for the stage that it is to tell"
