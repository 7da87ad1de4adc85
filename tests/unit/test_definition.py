"""What a map may say, and what it means when it says less."""

from __future__ import annotations

from datetime import time

import pytest
from pydantic import ValidationError

from journeys.definition import EveryFew, Journey, Trigger
from journeys.steps.effects import NOT_SET, SetFields, Task
from journeys.steps.sends import Send, Webhook
from journeys.steps.waits import CustomerDate, Until, Wait
from journeys.steps.ways import WaitFor, kind_of
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


def test_each_kind_of_way_in_is_told_apart() -> None:
    date = {"date": "customer.birthday", "every": "year", "offset": "-7d"}
    read = journey(enter=[{"on": "a"}, {"segment": "vip"}, date, {"schedule": "0 9 * * MON"}, "api"])
    assert [trigger.event for trigger in read.triggers] == ["a", "segment.entered"]
    assert read.triggers[1].tests["segment"].is_ == ["vip"]
    assert [(day.field, day.every, day.offset, day.at) for day in read.dates] == [
        ("birthday", "year", Duration(-7, "d"), time(9)),
    ]  # fmt: skip
    assert [(one.schedule, one.overlap, one.catch_up) for one in read.schedules] == [
        ("0 9 * * mon", "skip", Duration(1, "h")),
    ]  # fmt: skip


def test_leaving_a_segment_is_an_event_that_names_it() -> None:
    one, other = journey(exit=[{"on": "order.placed"}, {"left": "vip", "as": "gone"}]).exit
    assert (one.event, one.tests, one.outcome) == ("order.placed", {}, "exited")
    assert (other.event, other.tests["segment"].is_, other.outcome) == ("segment.left", ["vip"], "gone")


@pytest.mark.parametrize(("written", "share"), [("5%", 0.05), ("0.5 %", 0.005), (" 99%", 0.99)])
def test_a_holdout_is_a_share_in_percent(written: str, share: float) -> None:
    assert journey(holdout=written).holdout == pytest.approx(share)


def test_a_value_a_list_and_a_mapping_test_a_property() -> None:
    (step,) = journey(
        {"wait_for": {"on": "e", "with": {"a": 1, "b": ["x", "y"], "c": {"same_as": "event.c"}}, "up_to": "1d"}}
    ).steps
    assert isinstance(step, WaitFor)
    tests = step.wait_for.with_
    assert (tests["a"].is_, tests["b"].is_, tests["c"].tie) == ([1], ["x", "y"], "c")


def test_what_a_map_does_not_say_about_sending() -> None:
    read = journey({"send": "email/x"})
    (step,) = read.steps
    assert isinstance(step, Send)
    assert (read.if_quiet, read.if_capped, read.send_window, read.holdout) == ("wait", "skip", None, None)
    assert (step.transactional, step.window, step.if_quiet, step.if_capped) == (False, None, None, None)


def test_a_call_is_made_again_after_a_crash_because_its_repeats_carry_the_same_id() -> None:
    (step,) = journey({"webhook": {"url": "https://shop.example/x"}}).steps
    assert isinstance(step, Webhook)
    assert (step.if_uncertain, step.webhook.timeout, step.message) == ("resend", 10, "webhook/shop.example")
