"""A map as a graph: what each step is called, and what follows it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.definition import Journey
from journeys.program import Program, ProgramError
from tests.unit.maps import PLAIN, Map, maps

HEAD: Map = {"journey": "a", "title": "A", "enter": "api"}


def program(*steps: Map, **head: object) -> Program:
    return Program.of(Journey.model_validate({**HEAD, **head, "steps": list(steps)}))


@pytest.mark.parametrize(
    ("step", "id_"),
    [
        ({"send": "email/brew_guide"}, "send-email-brew-guide"),
        ({"wait": "2d"}, "wait-2d"),
        ({"wait": {"until": {"date": "customer.renewal_date", "offset": "-30d"}}}, "wait-until-renewal-date"),
        ({"wait_for": {"on": ["email.clicked", "order.placed"], "up_to": "1d"}}, "wait-for-email-clicked"),
        ({"score": {"points": 10, "because": "x"}}, "score-10"),
        ({"score": {"points": -10, "because": "x"}}, "score-minus-10"),
        ({"branch": [{"otherwise": True, "steps": []}]}, "branch"),
        ({"task": {"queue": "sales", "title": "x"}}, "task-sales"),
        ({"finish": "done"}, "finish-done"),
        ({"set": {"plan": "pro"}}, "set"),
        ({"tag": "vip"}, "tag"),
    ],
)
def test_a_step_without_an_id_is_named_by_its_kind_and_content(step: Map, id_: str) -> None:
    assert list(program(step).nodes) == [id_]


def test_steps_of_the_same_content_are_numbered_in_the_order_of_the_file() -> None:
    inner = {"branch": [{"otherwise": True, "steps": [{"wait": "1d"}]}]}
    assert list(program({"wait": "1d"}, inner, {"wait": "1d"}).nodes) == ["wait-1d", "branch", "wait-1d-2", "wait-1d-3"]


def test_a_derived_id_gives_way_to_a_given_one_wherever_that_stands() -> None:
    assert list(program({"wait": "1d"}, {"id": "wait-1d", "wait": "2d"}).nodes) == ["wait-1d-2", "wait-1d"]


def test_both_arms_of_a_wait_lead_on_to_the_step_behind_it() -> None:
    nodes = program(
        {"id": "w", "wait_for": {"on": "e", "up_to": "1d"}, "then": [{"id": "t", "tag": "x"}]},
        {"id": "end", "tag": "y"},
    ).nodes
    assert nodes["w"].arms == ("t", "end")
    assert nodes["t"].next == "end"
    assert nodes["end"].next is None


def test_the_last_step_of_a_nested_arm_leads_out_to_the_outermost_follower() -> None:
    deep = {"branch": [{"when": {"tag": "x"}, "steps": [{"id": "deep", "tag": "y"}]}]}
    nodes = program({"branch": [{"otherwise": True, "steps": [deep]}]}, {"id": "end", "tag": "z"}).nodes
    assert nodes["deep"].next == "end"


def test_a_branch_without_otherwise_leaves_the_step_behind_it_within_reach() -> None:
    arms = [{"when": {"tag": "x"}, "steps": [{"finish": "x"}]}]
    assert list(program({"branch": arms}, {"id": "end", "tag": "y"}).nodes)[-1] == "end"


def test_an_unreachable_step_is_refused_with_its_place() -> None:
    arms = [{"otherwise": True, "steps": [{"finish": "x"}]}]
    with pytest.raises(ProgramError) as caught:
        program({"branch": arms}, {"tag": "y"})
    assert caught.value.location == ("steps", 1)


def test_a_run_awaits_its_exits_and_its_goal_wherever_it_stands() -> None:
    exits = [{"on": "order.placed"}, {"on": "customer.left"}]
    assert program({"tag": "x"}, exit=exits, goal={"on": "order.placed"}).always_awaited == (
        "order.placed", "customer.left",
    )  # fmt: skip


def test_the_sends_come_in_the_order_of_the_file() -> None:
    wait = {"wait_for": {"on": "e", "up_to": "1d"}, "then": [{"send": "sms/a"}], "else": [{"send": "email/b"}]}
    walk = program(wait, {"send": "email/a"})
    assert [send.send for _, send in walk.sends()] == ["sms/a", "email/b", "email/a"]


@settings(deadline=None)
@given(maps())
def test_every_step_has_an_id_of_its_own_and_leads_to_a_step_that_exists(data: Map) -> None:
    walk = Program.of(Journey.model_validate(data))
    for id_, node in walk.nodes.items():
        assert node.id == id_
        assert {node.next, *node.arms, walk.first} <= {None, *walk.nodes}


@settings(deadline=None)
@given(maps(), PLAIN)
def test_a_step_that_is_appended_renames_none_of_those_before_it(data: Map, more: Map) -> None:
    before = Program.of(Journey.model_validate(data))
    after = Program.of(Journey.model_validate({**data, "steps": [*data["steps"], more]}))
    assert list(after.nodes)[:-1] == list(before.nodes)


@settings(deadline=None)
@given(maps(), st.data())
def test_the_same_map_always_makes_the_same_program(data: Map, draw: st.DataObject) -> None:
    one, other = (Program.of(Journey.model_validate(data)) for _ in range(2))
    assert one == other
