"""What a map may say, and what it means when it says less."""

from __future__ import annotations

from datetime import time

import pytest
from pydantic import ValidationError

from journeys.definition import EveryFew, Journey, Trigger
from journeys.steps import NOT_SET, CustomerDate, Send, SetFields, Task, Until, Wait, WaitFor, kind_of
from journeys.timing import Duration
from tests.unit.maps import Map


def journey(*steps: Map, **head: object) -> Journey:
    return Journey.model_validate(
        {"journey": "a", "title": "A", "enter": "api", **head, "steps": steps or [{"tag": "x"}]}
    )


def test_one_way_in_is_a_list_of_one() -> None:
    assert journey(enter="api").enter == ["api"]
    assert journey(enter={"on": "customer.signed_up"}).triggers == [Trigger("customer.signed_up", {}, None)]
    assert journey(enter=[{"on": "a"}, "api", {"on": "b"}]).triggers == [Trigger(name, {}, None) for name in "ab"]


def test_a_customer_enters_once_unless_the_map_says_otherwise() -> None:
    assert journey().re_enter == "never"
    assert journey(re_enter={"after": "90d"}).re_enter == EveryFew(after=Duration(90, "d"))


def test_a_message_goes_by_the_channel_that_its_name_begins_with() -> None:
    steps = journey({"send": "email/x"}, {"send": "sms/x"}).steps
    assert [step.channel for step in steps if isinstance(step, Send)] == ["email", "sms"]


def test_a_crash_holds_a_send_unless_the_map_says_otherwise() -> None:
    (step,) = journey({"send": "email/x"}).steps
    assert isinstance(step, Send)
    assert step.if_uncertain == "hold"


def test_one_event_is_a_list_of_one_and_no_arm_is_needed() -> None:
    (step,) = journey({"wait_for": {"on": "e", "up_to": "1d"}}).steps
    assert isinstance(step, WaitFor)
    assert (step.wait_for.on, step.then, step.else_) == (["e"], [], [])


def test_a_date_of_the_customer_is_waited_for_until_nine_that_day() -> None:
    (step,) = journey({"wait": {"until": {"date": "customer.renewal_date"}}}).steps
    assert isinstance(step, Wait)
    assert isinstance(step.wait, Until)
    day = step.wait.until
    assert isinstance(day, CustomerDate)
    assert (day.field, day.offset, day.at) == ("renewal_date", Duration(0, "d"), time(9))


def test_a_task_is_due_in_one_working_day_unless_the_map_says_otherwise() -> None:
    (step,) = journey({"task": {"queue": "sales", "title": "Call"}}).steps
    assert isinstance(step, Task)
    assert (step.task.due, step.task.priority) == ("1 working day", 0)


def test_a_field_is_cleared_by_null() -> None:
    (step,) = journey({"set": {"plan": None, "country": None}}).steps
    assert isinstance(step, SetFields)
    assert step.set == {"plan": None, "country": None}


@pytest.mark.parametrize("name", NOT_SET)
def test_a_map_sets_no_identity_and_nothing_that_has_a_step_of_its_own(name: str) -> None:
    with pytest.raises(ValidationError, match=f"a journey cannot set {name}"):
        journey({"set": {name: "x"}})


@pytest.mark.parametrize("name", ["", "1st", "a-b", "A", "x" * 61, "a b", "é"])
def test_a_journey_is_named_so_that_its_name_fits_everywhere(name: str) -> None:
    with pytest.raises(ValidationError):
        journey(journey=name)


def test_the_kind_of_a_step_is_the_word_that_it_begins_with() -> None:
    assert kind_of({"id": "x", "note": "y", "send": "email/x"}) == "send"
    assert kind_of({"sned": "email/x"}) is None
    assert kind_of(journey({"untag": "x"}).steps[0]) == "untag"
    assert kind_of("send") is None


def test_a_map_that_was_read_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        journey().title = "B"  # type: ignore[misc]
