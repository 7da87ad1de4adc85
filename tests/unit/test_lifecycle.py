"""The file of the stages of the lifecycle."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeys.fields import Field, load_fields
from journeys.lifecycle import load, parse
from journeys.source import InvalidFile

ROOT = Path(__file__).parents[2]


def test_the_shipped_stages_go_from_acquisition_to_churned_and_are_asked_backwards() -> None:
    rules = load(ROOT / "definitions" / "lifecycle.yaml", load_fields(ROOT / "definitions" / "fields.yaml"), [])
    assert rules is not None
    stages = ["acquisition", "nurture", "mature", "at_risk", "churned"]
    assert [one.stage for one in rules.stages] == stages
    assert [one.stage for one in rules.asked] == stages[::-1]
    assert (rules.orders.event, rules.orders.refunds) == ("order.placed", "order.refunded")


def test_without_a_file_there_are_no_stages(tmp_path: Path) -> None:
    assert load(tmp_path / "lifecycle.yaml") is None


def test_a_stage_says_its_rule_in_words_and_its_title() -> None:
    rules = parse("stages: [{stage: a, title: New here}, {stage: b, title: Bee, when: {tag: x}}]\n")
    assert [one.because for one in rules.stages] == ["no later stage holds", "tagged x"]
    assert [rules.title_of("b"), rules.title_of("gone")] == ["Bee", "gone"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stages: []\n", "stages: is empty"),
        ("stages: [{stage: a, title: A}, {stage: b, title: B}]\n", "1:33: b needs when"),
        ("stages: [{stage: a, title: A}, {stage: a, title: B, when: {tag: x}}]\n", "1:33: the stage a stands twice"),
        ("stages: [{stage: a, title: A, when: {not: {lifecycle: b}}}]\n", "1:31: asks for the stage"),
        ("stages: [{stage: a, title: A, when: {field: {name: plam, is: x}}}]\n", "did you mean 'plan'"),
        ("stages: [{stage: a, title: A, when: {value: {r: {at_least: 9}}}}]\n", "1:50: 9 is too large: at most 5"),
        ("orders: {event: Order}\nstages: [{stage: a, title: A}]\n", "1:10: 'Order' does not fit"),
    ],
)
def test_stages_that_mean_nothing_are_refused_at_their_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(text, fields={"plan": Field("plan", "text", "Plan"), "due": Field("due", "date", "Due")})
    assert problem in str(refused.value)
