"""What is found in a map before anybody enters it, and what is no mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from activities.turns.gates import load as load_rules
from journeys import segments
from journeys.checks.definition import Finding, Surroundings, findings, sent_by
from journeys.checks.logic import impossible
from journeys.conditions import Condition
from journeys.fields import load_fields, parse_fields
from journeys.loading import load, parse
from journeys.sending import SendingRules
from journeys.source import InvalidFile
from tests.integration.test_records_conditions import CUSTOMERS, KINDS, holds
from tests.unit.maps import Map, maps
from tests.unit.test_loading import written

DEFINITIONS = Path(__file__).parents[2] / "definitions"
READ: TypeAdapter[Any] = TypeAdapter(Condition)
HEAD = "journey: a\ntitle: A\nenter: api\nsteps:\n"
FIELDS = parse_fields(
    "fields:\n  plan: {type: text}\n  seats: {type: number}\n  birthday: {type: date}\n  seen: {type: datetime}\n"
    "  paying: {type: boolean}\n"
)
AROUND = Surroundings(FIELDS, SendingRules(), ("at_risk",), ("a", "other"), (), {"email/news": {"other"}})


def found(steps: str, head: str = HEAD, around: Surroundings = AROUND) -> list[str]:
    """The findings as `line:column: severity: message`."""
    return [_short(one) for one in findings(parse(head + steps + "\n", "map.yaml", FIELDS), around)]


def _short(one: Finding) -> str:
    assert one.file == "map.yaml"
    return f"{one.line}:{one.column}: {one.severity}: {one.message}"


def arms(*conditions: str) -> str:
    lines = [f"      - {{{one}, steps: [{{tag: x}}]}}" for one in conditions]
    return "\n".join(["  - branch:", *lines])


NEVER = {
    "the same condition again": (arms("when: {tag: x}", "when: {tag: x}"), "arm 1 takes all whom it means"),
    "a score range within an earlier one": (
        arms("when: {score: {at_least: 40}}", "when: {score: {at_least: 60, below: 80}}"),
        "arm 1 takes all whom it means",
    ),
    "a score range covered by two": (
        arms("when: {score: {below: 50}}", "when: {score: {at_least: 40, below: 80}}",
             "when: {score: {at_least: 20, below: 70}}"),
        "the arms before it take all whom it means",
    ),
    "otherwise after all scores": (
        arms("when: {score: {below: 50}}", "when: {score: {at_least: 50}}", "otherwise: true"),
        "the arms before it take all whom it means",
    ),
    "otherwise after a condition and its contrary": (
        arms("when: {consent: sms}", "when: {not: {consent: sms}}", "otherwise: true"),
        "the arms before it take all whom it means",
    ),
    "a stage of an earlier list": (arms("when: {stage: [new, old]}", "when: {stage: new}"), "arm 1 takes all"),
    "a country of an earlier list": (
        arms("when: {country: [CN, SG]}", "when: {all: [{country: SG}, {consent: sms}]}"), "arm 1 takes all",
    ),
    "a narrower locale": (arms("when: {locale: zh}", "when: {locale: zh-CN}"), "arm 1 takes all"),
    "a tag of an earlier list": (arms("when: {tag: [a, b]}", "when: {tag: b}"), "arm 1 takes all"),
    "a field within an earlier range": (
        arms("when: {field: {name: seats, at_least: 5}}", "when: {field: {name: seats, is: [7, 9]}}"),
        "arm 1 takes all",
    ),
    "known or unknown, and then": (
        arms("when: {field: {name: plan, exists: true}}", "when: {field: {name: plan, exists: false}}",
             "otherwise: true"),
        "the arms before it take all",
    ),
    "an event that is counted already": (
        arms("when: {event: {name: order.placed}}", "when: {event: {name: order.placed, at_least: 3, within: 30d}}"),
        "arm 1 takes all",
    ),
    "a condition and its contrary at once": (
        arms("when: {all: [{tag: a}, {not: {tag: a}}]}"), "nobody can meet this: tagged a and not tagged a",
    ),
    "two stages at once": (arms("when: {all: [{stage: new}, {stage: old}]}"), "nobody can meet this"),
    "two scores at once": (
        arms("when: {all: [{score: {at_least: 50}}, {score: {below: 50}}]}"), "nobody can meet this",
    ),
    "a value out of its range": (arms("when: {field: {name: seats, is: 5, at_least: 10}}"), "nobody can meet this"),
    "an event that happened and never did": (
        arms("when: {all: [{event: {name: e, at_most: 0}}, {event: {name: e, within: 3d}}]}"), "nobody can meet this",
    ),
    "an event that no value passes": (
        arms("when: {event: {name: e, with: {amount: {is: [1, 2], at_least: 5}}}}"), "nobody can meet this",
    ),
}  # fmt: skip
PERHAPS = {
    "ranges that leave a gap": arms("when: {score: {below: 50}}", "when: {score: {at_least: 51}}", "otherwise: true"),
    "a field that may be unknown": arms(
        "when: {field: {name: seats, below: 5}}", "when: {field: {name: seats, at_least: 5}}", "otherwise: true"
    ),
    "another time": arms("when: {event: {name: e, within: 3d}}", "when: {event: {name: e, within: 30d}}"),
    "a wider list": arms("when: {stage: new}", "when: {stage: [new, old]}"),
    "two tags": arms("when: {all: [{tag: a}, {tag: b}]}"),
    "one of several contraries": arms("when: {any: [{all: [{tag: a}, {not: {tag: a}}]}, {tag: b}]}"),
    "a number and its text": arms("when: {field: {name: plan, is: 5}}", "when: {field: {name: plan, is: '5'}}"),
    "at most once": arms("when: {event: {name: e, at_most: 1}}", "when: {event: {name: e}}"),
    "no more than none of what nothing is": arms("when: {event: {name: e, at_most: 0, with: {a: {is: 1, below: 0}}}}"),
    "countries and the unknown one": arms("when: {country: CN}", "when: {not: {country: CN}}"),
}


@pytest.mark.parametrize(("steps", "words"), NEVER.values(), ids=NEVER.keys())
def test_an_arm_that_nobody_takes_is_an_error_at_its_condition(steps: str, words: str) -> None:
    (problem,) = found(steps)
    line = len((HEAD + steps).split("\n"))
    assert problem.startswith(f"{line}:10: error: this arm can never be taken: ")
    assert words in problem


@pytest.mark.parametrize("steps", PERHAPS.values(), ids=PERHAPS.keys())
def test_an_arm_that_somebody_may_take_is_none(steps: str) -> None:
    assert found(steps) == []


# The plain reading is the one that the SQL agrees with.
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_called_impossible_nobody_meets(data: st.DataObject) -> None:
    held = [READ.validate_python(one) for one in data.draw(st.lists(KINDS["together"], min_size=1, max_size=3))]
    denied = [READ.validate_python(one) for one in data.draw(st.lists(KINDS["together"], max_size=2))]
    if impossible(held, denied):
        for who in data.draw(st.lists(CUSTOMERS, min_size=8, max_size=8)):
            assert not (all(holds(one, who) for one in held) and not any(holds(one, who) for one in denied))


SEND = "  - {id: s, send: email/x}"
WAIT = "  - {id: w, wait_for: {on: email.clicked, message: email/x, up_to: 1d}}"
SOMETIMES = "  - branch: [{when: {tag: x}, steps: [{send: email/x}]}]"


def test_a_wait_for_a_message_that_was_never_sent_is_an_error_at_its_name() -> None:
    assert found(WAIT) == [
        "5:43: error: email/x is sent on no way that leads here: nothing can be waited for",
    ]  # fmt: skip
    assert len(found(f"{WAIT}\n{SEND}")) == 1
    assert found(f"{SEND}\n{WAIT}") == []


def test_a_wait_for_a_message_that_was_sent_on_some_ways_is_a_warning() -> None:
    assert found(f"{SOMETIMES}\n{WAIT}") == [
        "6:43: warning: email/x was sent before only on some of the ways that lead here",
    ]  # fmt: skip


def test_a_message_that_is_sent_on_every_way_is_sent_before() -> None:
    both = "  - {split: {a: 1, b: 1}, a: [{send: email/x}], b: [{wait: 1d}, {send: email/x}]}"
    assert found(f"{both}\n{WAIT}") == []


def test_a_message_that_a_loop_brings_round_is_sent_on_some_ways() -> None:
    steps = f"  - {{id: v, wait: 1d}}\n{WAIT}\n{SEND}\n  - loop: {{to: v, at_most: 2}}"
    assert [one.split(": ")[1] for one in found(steps)] == ["warning"]


@pytest.mark.parametrize(
    "condition",
    ["opened: email/x", "clicked: email/x", "touched: {message: email/x}",
     "event: {name: email.clicked, with: {message: email/x}}", "not: {any: [{opened: email/x}]}"],
)  # fmt: skip
def test_a_condition_on_a_message_that_nobody_sends_is_a_warning(condition: str) -> None:
    asked = arms(f"when: {{{condition}}}")
    (problem,) = found(asked)
    assert problem.startswith("6:")
    assert problem.endswith("warning: no journey sends email/x")
    assert found(f"{SEND}\n{asked}") == []
    assert found(asked.replace("email/x", "email/news")) == []  # another journey sends it
    (problem,) = found(f"{asked}\n{SEND}")
    assert problem.endswith("warning: email/x is sent only later, and by no other journey")
    assert found(f"{asked}\n{SEND}", HEAD.replace("steps", "re_enter: always\nsteps")) == []


def test_a_way_in_may_ask_for_what_the_journey_itself_sent() -> None:
    head = HEAD.replace("api", "{on: e, where: {opened: email/x}}")
    assert found(SEND, head) == []
    (problem,) = found("  - tag: x", head)
    assert problem.endswith("warning: no journey sends email/x")


def rules(**sms: Any) -> Surroundings:
    return Surroundings(FIELDS, SendingRules.model_validate({"channels": {"email": {}, "sms": sms}}), (), ("a",))


def test_a_window_within_the_quiet_hours_leaves_no_hour() -> None:
    around = rules(quiet_hours={"from": "20:00", "to": "09:00"})
    steps = "  - send: sms/x\n    window: {days: mon-fri, from: '07:00', to: '09:00'}"
    (problem,) = found(steps, around=around)
    assert problem == (
        "6:5: error: there is no hour in which sms/x may go: its window (mon-fri from 07:00 to 09:00) and the quiet "
        "hours of sms (every day from 20:00 to 09:00) leave none"
    )
    assert found(f"{steps}\n    transactional: true", around=around) == []
    assert found(steps.replace("'09:00'}", "'09:01'}"), around=around) == []


def test_the_window_of_the_journey_counts_unless_the_message_has_its_own() -> None:
    around = rules(quiet_hours={"from": "20:00", "to": "09:00"})
    head = HEAD.replace("steps", "send_window: {from: '05:00', to: '06:00'}\nsteps")
    assert [one[:10] for one in found("  - send: sms/x", head, around)] == ["4:1: error"]
    assert found("  - send: sms/x\n    window: any", head, around) == []


def test_a_country_that_never_gets_a_message_is_a_warning() -> None:
    around = rules(countries={"FR": {"quiet_hours": {"from": "18:00", "to": "12:00"}}})
    (problem,) = found("  - send: sms/x\n    window: {from: '09:00', to: '11:00'}", around=around)
    assert problem.startswith("6:5: warning: contacts in FR never get sms/x: its window")


def test_a_channel_without_a_consent_rule_is_an_error_unless_the_message_is_transactional() -> None:
    around = Surroundings(FIELDS, SendingRules.model_validate({"channels": {"email": {}}}), (), ("a",))
    assert found("  - send: sms/x", around=around) == [
        "5:5: error: there is no consent rule for sms: name the channel in definitions/sending.yaml"
    ]
    assert found("  - {send: sms/x, transactional: true}", around=around) == []
    assert found("  - send: email/x", around=around) == []


def test_the_start_of_a_journey_that_nobody_has_is_an_error_once_the_records_were_asked() -> None:
    steps = "  - start: othr"
    (problem,) = found(steps)
    assert problem.startswith("5:5: error: 'othr' is neither published nor in the folder; did you mean 'other'?")
    (problem,) = found(steps, around=Surroundings(FIELDS, journeys=("a", "other")))
    assert "5:5: warning: 'othr' is not in the folder; whether it is published was not looked up" in problem
    assert found("  - start: far", around=Surroundings(FIELDS, journeys=("a",), published=("far",))) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEAD.replace("api", "{segment: at_rsk}") + "  - tag: x", "3:9"),
        (HEAD.replace("steps", "exit: [{left: at_rsk}]\nsteps") + "  - tag: x", "4:9"),
        (HEAD + arms("when: {not: {segment: [at_risk, at_rsk]}}"), "6:42"),
    ],
)
def test_a_segment_that_there_is_not_is_an_error_at_its_name(text: str, place: str) -> None:
    (problem,) = found("", text)
    assert problem.startswith(f"{place}: error: 'at_rsk' is no segment; did you mean 'at_risk'?")
    assert found("", text.replace("at_rsk", "at_risk")) == []


WRONG_FIELDS = {
    "a wait until a text": ("  - wait: {until: {date: customer.plan}}", "5:20: error: plan holds text: a day"),
    "a wait until a score": ("  - wait: {until: {date: customer.score}}", "5:20: error: score holds a number"),
    "a range of a day": (
        arms("when: {field: {name: birthday, at_least: 5}}"), "6:41: error: birthday holds a day: no value of it is",
    ),
    "a day of a number": (
        arms("when: {field: {name: seats, before: 2026-01-01}}"), "6:38: error: seats holds a number: no value",
    ),
    "a range of a text": (
        arms("when: {field: {name: plan, below: 5}}"),
        "6:37: warning: plan holds text: only those of its values pass that are a number",
    ),
    "a word for a number": (arms("when: {field: {name: seats, is: many}}"), "6:38: error: seats holds a number, not"),
    "a word for a yes": (arms("when: {field: {name: paying, is: soon}}"), "6:39: error: paying holds true or false"),
    "a word for a day": (arms("when: {field: {name: birthday, is: soon}}"), "6:41: error: birthday 'soon' is no day"),
    "a day that is set to a word": ("  - set: {birthday: soon}", "5:11: error: birthday 'soon' is no day that exists"),
    "a moment that is set to a day": ("  - set: {seen: 2026-01-01}", "5:11: error: seen holds a moment, and"),
    "a number that is set to a yes": ("  - set: {paying: 1}", "5:11: error: paying holds true or false, not 1"),
    "a text that is set to a number": ("  - set: {plan: 5}", "5:11: error: plan must be text written in quotes"),
    "a zone that is none": ("  - set: {time_zone: Mars}", "5:11: error: 'Mars' is no time zone"),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "problem"), WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_what_does_not_fit_the_type_of_a_field_is_told_at_its_place(steps: str, problem: str) -> None:
    assert [one[: len(problem)] for one in found(steps)] == [problem]


def test_what_fits_the_type_of_a_field_is_fine() -> None:
    steps = "  - set: {plan: pro, seats: 5, birthday: 2026-01-01, seen: 2026-01-01T09:00:00Z, paying: false, stage: x}"
    tests = ["{name: plan, is: [pro, 5], contains: r}", "{name: seats, is: 5, at_least: 2}",
             "{name: seen, is: 2026-01-01}", "{name: birthday, after: 2026-01-01}",
             "{name: score, below: 9}"]  # fmt: skip
    assert found(f"{steps}\n{arms(*(f'when: {{field: {one}}}' for one in tests))}") == []
    assert found("  - set: {plan: null, birthday: null, time_zone: null}") == []


def test_what_is_tied_to_an_event_needs_an_event_that_brings_contacts_in() -> None:
    wait = "  - wait_for: {on: order.placed, with: {cart: {same_as: event.cart}}, up_to: 1d}"
    dated = HEAD.replace("api", "{date: customer.birthday}")
    assert found(wait, dated) == ["5:41: error: nothing can meet this: no event with event.cart brings contacts in"]
    assert found(wait) == found(wait, HEAD.replace("api", "{on: cart.updated}")) == []
    goal = dated.replace("steps", "goal: {on: order.placed, with: {cart: {same_as: event.cart}}}\nsteps")
    assert [one.split(": ")[1] for one in found("  - tag: x", goal)] == ["error"]


def test_a_test_that_no_value_passes_is_an_error() -> None:
    goal = HEAD.replace("steps", "goal: {on: order.placed, with: {value: {is: 5, at_least: 50}}}\nsteps")
    assert found("  - tag: x", goal) == ["4:33: error: no value passes this: value is 5 and at least 50"]


def test_an_option_that_an_earlier_one_takes_away_is_a_warning() -> None:
    steps = "  - wait_for: {any: [{on: [a, b]}, {on: a, with: {x: 1}}], up_to: 1d}"
    assert found(steps) == ["5:37: warning: never taken: an earlier option takes every a"]
    assert found("  - wait_for: {any: [{on: a, with: {x: 1}}, {on: [a, b]}], up_to: 1d}") == []


def test_an_exit_by_the_only_way_in_is_a_warning_when_nobody_comes_back() -> None:
    head = HEAD.replace("api", "{on: cart.updated}").replace("steps", "exit: [{on: cart.updated}]\nsteps")
    assert [one.split(": ")[1] for one in found("  - tag: x", head)] == ["warning"]
    assert found("  - tag: x", head.replace("exit", "re_enter: always\nexit")) == []


def test_a_holdout_from_nothing_is_a_warning() -> None:
    head = HEAD.replace("steps", "holdout: 5%\nsteps")
    assert found("  - tag: x", head) == ["4:1: warning: the journey sends nothing that a holdout could be kept from"]
    assert found("  - send: email/x", head) == []


def test_the_shipped_journeys_raise_no_alarm() -> None:
    fields = load_fields(DEFINITIONS / "fields.yaml")
    shipped = [load(file, fields) for file in sorted((DEFINITIONS / "journeys").glob("*.yaml"))]
    known = {one.name for one in segments.load_all(DEFINITIONS / "segments", fields)}
    names = {one.journey.journey for one in shipped}
    around = Surroundings(fields, load_rules(DEFINITIONS), known, names, (), sent_by(shipped))
    assert [str(one) for loaded in shipped for one in findings(loaded, around)] == []


@settings(deadline=None, max_examples=60)
@given(maps())
def test_any_map_is_looked_at_without_a_fault(data: Map) -> None:
    text = written(data)
    try:
        loaded = parse(text, "map.yaml")
    except InvalidFile:  # pragma: no cover - they are all valid
        raise AssertionError(text) from None
    for one in findings(loaded, AROUND):
        assert 1 <= one.line <= len(text.split("\n"))
        assert one.message.strip()
