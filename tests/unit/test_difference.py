"""What differs between two versions of a map, and which step of one is which of the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.definition import Journey
from journeys.difference import check_mapping, compare, fate, moved_to
from journeys.errors import WaymarkError
from journeys.matching import match
from journeys.program import Program


def program(*steps: dict[str, Any], **header: Any) -> Program:
    head = {"journey": "trial", "title": "Trial", "enter": "api", **header}
    return Program.of(Journey.model_validate({**head, "steps": list(steps)}))


def differences(old: Program, new: Program) -> list[str]:
    return [str(change) for change in compare(old, new)]


A, B, C = ({"send": f"email/{name}"} for name in "abc")
OLD = program(A, {"tag": "x"}, {"wait": "2d"}, B)


def test_maps_that_mean_the_same_do_not_differ() -> None:
    assert compare(OLD, OLD) == []


def test_a_longer_wait_is_the_same_step_although_its_id_follows_what_it_says() -> None:
    new = program(A, {"tag": "x"}, {"wait": "3d"}, B)
    assert differences(OLD, new) == ["step 3 (wait-2d): wait 2 days → 3 days"]
    assert moved_to(OLD, new, "wait-2d", {}) == "wait-3d"
    assert fate(OLD, new, "wait-2d", "wait-3d") == "recomputed"


def test_steps_that_are_added_and_removed_leave_the_others_where_they_are() -> None:
    new = program(C, A, {"wait": "2d"}, B)
    assert differences(OLD, new) == [
        "step 1 (send-email-c): added: send email/c, at the start",
        "step 2 (tag): removed: tag x",
    ]
    assert moved_to(OLD, new, "wait-2d", {}) == "wait-2d"
    assert fate(OLD, new, "wait-2d", "wait-2d") == "stays"


def test_of_two_waits_that_say_the_same_the_right_one_is_gone_although_ids_were_counted_anew() -> None:
    old = program({"wait": "2d"}, A, {"wait": "2d"}, B)
    new = program(A, {"wait": "2d"}, B)
    assert moved_to(old, new, "wait-2d", {}) is None
    assert moved_to(old, new, "wait-2d-2", {}) == "wait-2d"
    assert differences(old, new) == [
        "step 1 (wait-2d): removed: wait 2 days",
        "step 2 (wait-2d-2): is called wait-2d now",
    ]


def test_an_id_that_is_written_down_finds_its_step_wherever_it_went_and_whatever_it_says() -> None:
    old = program({"id": "pause", "wait": "2d"}, A, B)
    new = program(A, {"branch": [{"when": {"tag": "x"}, "steps": [{"id": "pause", "wait": "5d"}]}]}, B)
    assert moved_to(old, new, "pause", {}) == "pause"
    assert "step 3 (pause): was step 1, now first in branch, if tagged x" in differences(old, new)
    assert "step 3 (pause): wait 2 days → 5 days" in differences(old, new)


def test_a_derived_id_that_is_written_down_before_an_edit_keeps_its_step() -> None:
    new = program(B, {"id": "wait-2d", "wait": "9d"}, A)
    assert moved_to(OLD, new, "wait-2d", {}) == "wait-2d"


def test_an_id_that_was_written_down_and_is_written_differently_is_another_step() -> None:
    old, new = program({"id": "pause", "wait": "2d"}, A), program({"id": "rest", "wait": "2d"}, A)
    assert moved_to(old, new, "pause", {}) is None
    assert moved_to(old, new, "pause", {"pause": "rest"}) == "rest"
    assert fate(old, new, "pause", "rest") == "stays"


def test_a_wait_on_another_way_is_not_taken_for_one_that_is_gone() -> None:
    def branch(yes: list[Any], no: list[Any]) -> dict[str, Any]:
        return {"branch": [{"when": {"tag": "x"}, "steps": yes}, {"otherwise": True, "steps": no}]}

    old, new = program(branch([A, {"wait": "3d"}], [B])), program(branch([A], [B, {"wait": "3d"}]))
    assert moved_to(old, new, "wait-3d", {}) is None


def test_what_is_wrapped_into_a_branch_moves_together_its_wait_too() -> None:
    new = program({"branch": [{"when": {"tag": "vip"}, "steps": [A, {"tag": "x"}, {"wait": "2d"}, B]}]})
    assert {step: moved_to(OLD, new, step, {}) for step in OLD.nodes} == {step: step for step in OLD.nodes}


def test_the_condition_of_a_branch_reads_in_words() -> None:
    def branch(least: int, *more: dict[str, Any]) -> dict[str, Any]:
        return {"branch": [{"when": {"score": {"at_least": least}}, "steps": [A]}, *more]}

    old, new = program(branch(50)), program(branch(60, {"otherwise": True, "steps": [B]}))
    assert differences(old, new) == [
        "step 1 (branch): if score at least 50 → 60",
        "step 1 (branch): a new way: otherwise",
        "step 3 (send-email-b): added: send email/b, first in branch, otherwise",
    ]


def test_ways_of_a_branch_that_change_places_are_told() -> None:
    one, other = ({"when": {"tag": name}, "steps": [{"tag": f"was {name}"}]} for name in "xy")
    assert differences(program({"branch": [one, other]}), program({"branch": [other, one]})) != []


def test_what_holds_at_every_step_is_compared_too() -> None:
    new = program(
        A, {"tag": "x"}, {"wait": "2d"}, B,
        title="Trial 2", enter={"on": "customer.signed_up", "where": {"country": "DE"}}, re_enter={"after": "90d"},
        exit=[{"on": "order.placed", "as": "won"}], goal={"on": "order.placed"}, holdout="5%",
        send_window={"days": "sat"}, if_quiet="skip", description="New.",
    )  # fmt: skip
    assert differences(OLD, new) == [
        "the title: Trial → Trial 2",
        "comes in by API or command → on customer.signed_up, if country is DE",
        "comes in again: never → 90 days after the last entry",
        "now: leaves at once on order.placed, as won",
        "now: the goal: order.placed",
        "now: held out: 5%",
        "now: messages go sat",
        "wait when a message may not go at this hour → go on without it when a message may not go at this hour",
        "the description is reworded",
    ]


def test_a_mapping_must_lead_from_an_old_step_to_a_new_one() -> None:
    new = program(A, {"wait": "3d"})
    check_mapping(OLD, new, {"wait-2d": "wait-3d"})
    with pytest.raises(WaymarkError, match=r"'wait-2' is no step of the old version; did you mean 'wait-2d'\?"):
        check_mapping(OLD, new, {"wait-2": "wait-3d"})
    with pytest.raises(WaymarkError, match=r"'wait-2d' is no step of the new version; did you mean 'wait-3d'\?"):
        check_mapping(OLD, new, {"wait-2d": "wait-2d"})


def test_a_step_that_does_not_rest_is_taken_at_once() -> None:
    new = program(A, {"tag": "x"}, {"wait": "2d"}, B)
    assert fate(OLD, new, "wait-2d", "send-email-b") == "at_once"
    assert fate(OLD, new, "send-email-a", "wait-2d") == "recomputed"


PLAIN = st.sampled_from(
    [A, B, C, {"wait": "1d"}, {"wait": "2d"}, {"id": "rest", "wait": "3d"}, {"id": "mark", "tag": "m"}, {"tag": "t"}]
)
LISTS = st.recursive(
    st.lists(PLAIN, max_size=5),
    lambda inner: st.lists(
        st.one_of(
            PLAIN,
            st.builds(
                lambda yes, no: {
                    "branch": [{"when": {"tag": "v"}, "steps": yes}, {"otherwise": True, "steps": no}],
                },
                inner, inner,
            ),
            st.builds(lambda then, other: {"wait_for": {"on": "a.b", "up_to": "1d"}, "then": then, "else": other},
                      inner, inner),
        ),
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def _once(steps: list[Any], seen: set[str]) -> list[Any]:
    """The steps with every given id at its first place only."""
    kept = []
    for step in steps:
        if step.get("id") in seen and step.get("id"):
            continue
        seen.add(step.get("id", ""))
        step = dict(step)
        if "branch" in step:
            step["branch"] = [{**arm, "steps": _once(arm["steps"], seen)} for arm in step["branch"]]
        for name in ("then", "else"):
            if name in step:
                step[name] = _once(step[name], seen)
        kept.append(step)
    return kept


MAPS = LISTS.map(lambda steps: program(*_once(steps, set()), {"tag": "end"}))


@given(MAPS)
def test_every_map_is_the_same_as_itself(one: Program) -> None:
    assert compare(one, one) == []
    assert {step: moved_to(one, one, step, {}) for step in one.nodes} == {step: step for step in one.nodes}


@settings(max_examples=200)
@given(MAPS, MAPS)
def test_no_two_steps_are_taken_for_the_same_one(old: Program, new: Program) -> None:
    found = match(old, new)
    assert len(set(found.pairs.values())) == len(found.pairs)
    assert set(found.pairs) <= set(old.nodes)
    assert set(found.pairs.values()) <= set(new.nodes)
    assert len(found.pairs) + len(found.removed) == len(old.nodes)
    assert len(found.pairs) + len(found.added) == len(new.nodes)
    for name in ("rest", "mark"):
        if name in old.nodes and name in new.nodes:
            assert found.pairs[name] == name


@settings(max_examples=200)
@given(MAPS, MAPS)
def test_maps_that_differ_have_a_difference_in_words(old: Program, new: Program) -> None:
    same = old.journey == new.journey
    assert (compare(old, new) == []) is same
