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
        ({"wait": {"until": {"time": "09:00", "weekday": "mon"}}}, "wait-until-09-00"),
        ({"wait": {"working_days": 3}}, "wait-3-working-days"),
        ({"wait_for": {"any": [{"on": "a.b"}, {"on": "c"}], "up_to": "1d"}}, "wait-for-a-b"),
        ({"split": {"a": 1, "b": 1}}, "split"),
        ({"consent": {"channel": "sms", "granted": False, "because": "x"}}, "consent-sms-withdrawn"),
        ({"webhook": {"url": "https://shop.example/x"}}, "webhook-shop-example"),
        ({"start": "other"}, "start-other"),
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


def test_each_event_of_several_has_its_arm_and_the_last_is_for_none_of_them() -> None:
    options = [{"on": "a", "then": [{"id": "own", "tag": "x"}]}, {"on": "b"}, {"on": "c", "then": []}]
    step = {"id": "w", "wait_for": {"any": options, "up_to": "1d"}, "then": [{"id": "then", "tag": "x"}], "else": [
        {"id": "else", "tag": "x"}]}  # fmt: skip
    nodes = program(step, {"id": "end", "tag": "y"}).nodes
    assert nodes["w"].arms == ("own", "then", "end", "else")
    assert list(nodes) == ["w", "own", "then", "else", "end"]


def test_a_split_has_an_arm_for_each_share_in_the_order_of_their_names_and_one_without_steps_leads_on() -> None:
    step = {
        "id": "s",
        "split": {"b": 1, "a": 1, "c": 1},
        "a": [{"id": "a", "tag": "x"}],
        "b": [{"id": "b", "tag": "x"}],
    }
    nodes = program(step, {"id": "end", "tag": "y"}).nodes
    assert nodes["s"].arms == ("a", "b", "end")
    assert nodes["b"].location == ("steps", 0, "b", 0)


def test_a_split_whose_arms_all_finish_leaves_nothing_behind_it_within_reach() -> None:
    with pytest.raises(ProgramError, match="never be reached"):
        program({"split": {"a": 1, "b": 1}, "a": [{"finish": "a"}], "b": [{"finish": "b"}]}, {"tag": "x"})


def test_a_loop_leads_back_and_on() -> None:
    nodes = program(
        {"id": "w", "wait": "1d"}, {"id": "l", "loop": {"to": "w", "at_most": 3}}, {"id": "t", "tag": "x"}
    ).nodes
    assert (nodes["l"].arms, nodes["l"].next) == (("w",), "t")


WAIT: Map = {"id": "w", "wait": "1d"}
TAG: Map = {"id": "t", "tag": "x"}
BRANCH: Map = {"branch": [{"when": {"tag": "a"}, "steps": [WAIT]}]}
SENT: Map = {"id": "w", "send": "email/x"}


def _loop(to: str) -> Map:
    return {"loop": {"to": to, "at_most": 2}}


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([WAIT, _loop("v")], "'v' is no step before this loop; allowed: w"),
        ([TAG, _loop("t")], "nothing waits on one way"),
        ([SENT, _loop("w")], "nothing waits on one way"),  # sending takes no time
        ([TAG, BRANCH, _loop("t")], "nothing waits on one way"),
        ([_loop("w"), WAIT], "does not lead to this loop"),
        ([{"id": "l", **_loop("l")}], "does not lead to this loop"),
        ([{"wait_for": {"on": "e", "up_to": "1d"}, "then": [WAIT], "else": [_loop("w")]}],
         "does not lead to this loop"),
        ([WAIT, {"id": "l", **_loop("w")}, {"id": "u", "tag": "y"}, _loop("l")], "nothing waits on one way"),
    ],
)  # fmt: skip
def test_a_loop_that_leads_nowhere_or_never_rests_is_refused_at_its_target(steps: list[Map], problem: str) -> None:
    with pytest.raises(ProgramError, match=problem) as caught:
        program(*steps)
    assert caught.value.location[-2:] == ("loop", "to")


def test_a_loop_out_of_one_arm_goes_back_to_a_step_before_the_branch() -> None:
    program(WAIT, {"branch": [{"when": {"tag": "a"}, "steps": [_loop("w")]}]})


def test_a_journey_does_not_start_itself() -> None:
    with pytest.raises(ProgramError, match="cannot start itself") as caught:
        program({"start": "a"})
    assert caught.value.location == ("steps", 0, "start")


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
