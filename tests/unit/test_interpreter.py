"""What comes next: walked by hand for each step, and at random for whole maps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.definition import Journey
from journeys.interpreter import Ask, Cursor, Do, Passed, Person, Rest, Walk, go_on, move, questions, rest_at, start
from journeys.program import Program
from journeys.steps import Send, WaitFor, Webhook
from tests.unit.maps import Map, maps

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PERSON = Person(ZoneInfo("Europe/Berlin"), "DE", "c1")
Answers = Callable[[Ask], Any]


def program(*steps: Map, **head: object) -> Program:
    return Program.of(Journey.model_validate({"journey": "a", "title": "A", "enter": "api", **head, "steps": steps}))


def yes(ask: Ask) -> Any:
    return None if ask.field else dict.fromkeys(questions(ask), True)


def no(ask: Ask) -> Any:
    return None if ask.field else dict.fromkeys(questions(ask), False)


def rest(walk: Walk, answers: Answers = no) -> tuple[Rest, list[Passed | Do]]:
    """Walk to the next rest; what was passed and done on the way."""
    seen: list[Passed | Do] = []
    reply: Any = None
    while True:
        try:
            query = walk.send(reply)
        except StopIteration as stop:
            return stop.value, seen
        reply = answers(query) if isinstance(query, Ask) else None
        if not isinstance(query, Ask):
            seen.append(query)


def test_a_walk_rests_at_a_send_and_says_which_channel_delivers() -> None:
    at, _ = rest(start(program({"send": "sms/hello"}), NOW, PERSON))
    assert (at.act, at.channel, at.summary, at.cursor.step) == ("deliver", "sms", "send sms/hello", "send-sms-hello")


def test_a_wait_ends_at_the_same_wall_time_where_the_contact_lives() -> None:
    at, _ = rest(start(program({"wait": "30d"}), NOW, PERSON))
    assert at.until == datetime(2026, 3, 31, 11, 0, tzinfo=UTC)  # summer time has begun
    assert at.summary == "wait 30 days"


def test_a_wait_knows_the_send_that_follows_it() -> None:
    at, _ = rest(start(program({"wait": "1d"}, {"send": "email/welcome"}), NOW, PERSON))
    assert (at.channel, at.then) == ("email", "send email/welcome")
    at, _ = rest(start(program({"wait": "1d"}, {"tag": "x"}, {"send": "email/welcome"}), NOW, PERSON))
    assert (at.channel, at.then) == (None, None)


def test_a_wait_for_an_event_says_what_for_and_on_which_message() -> None:
    step = {"wait_for": {"on": ["email.clicked", "email.opened"], "message": "email/welcome", "up_to": "3d"}}
    at, _ = rest(start(program(step, exit=[{"on": "order.placed"}]), NOW, PERSON))
    assert at.summary == "wait 3 days for email.clicked or email.opened on email/welcome"
    assert at.awaiting == ("order.placed", "email.clicked", "email.opened")
    assert at.until == NOW + timedelta(days=3)


@pytest.mark.parametrize(("way", "goes"), [("elapsed", "no"), ("e", "yes")])
def test_a_wait_for_an_event_goes_one_way_or_the_other(way: str, goes: str) -> None:
    walk = program({"wait_for": {"on": "e", "up_to": "1d"}, "then": [{"finish": "yes"}], "else": [{"finish": "no"}]})
    at, _ = rest(start(walk, NOW, PERSON))
    assert rest(go_on(walk, at.cursor, NOW, PERSON, way))[0].outcome == goes


def test_an_arm_without_steps_goes_on_behind_the_wait() -> None:
    walk = program({"wait_for": {"on": "e", "up_to": "1d"}}, {"finish": "end"})
    at, _ = rest(start(walk, NOW, PERSON))
    assert {rest(go_on(walk, at.cursor, NOW, PERSON, way))[0].outcome for way in ("elapsed", "e")} == {"end"}


def test_a_branch_takes_the_first_arm_that_fits_and_keeps_what_it_saw() -> None:
    arms = [
        {"when": {"tag": "a"}, "steps": [{"finish": "first"}]},
        {"when": {"tag": "b"}, "steps": [{"finish": "second"}]},
        {"otherwise": True, "steps": [{"finish": "last"}]},
    ]
    walk = program({"branch": arms})
    at, seen = rest(start(walk, NOW, PERSON), lambda ask: {"tagged a": False, "tagged b": True})
    assert at.outcome == "second"
    passed = seen[0]
    assert isinstance(passed, Passed)
    assert (passed.because, passed.seen) == ("tagged b", {"tagged a": False, "tagged b": True})
    assert rest(start(walk, NOW, PERSON), yes)[0].outcome == "first"
    assert rest(start(walk, NOW, PERSON), no)[0].outcome == "last"


def test_a_branch_that_fits_nobody_is_passed_by() -> None:
    arms = [{"when": {"tag": "a"}, "steps": [{"finish": "first"}]}]
    at, seen = rest(start(program({"branch": arms}, {"finish": "past"}), NOW, PERSON), no)
    assert at.outcome == "past"
    assert [one.because for one in seen if isinstance(one, Passed)] == ["no arm fits", "no arm fits"]


UNTIL = {"wait": {"until": {"date": "customer.renewal_date", "offset": "-30d", "at": "09:00"}}}


@pytest.mark.parametrize(
    "value",
    ["2026-06-01", date(2026, 6, 1), datetime(2026, 5, 31, 23, 30, tzinfo=UTC), "2026-06-01T08:00:00+02:00"],
)
def test_a_wait_until_a_date_ends_at_a_wall_time_before_it(value: object) -> None:
    at, _ = rest(start(program(UNTIL, {"send": "email/welcome"}), NOW, PERSON), lambda ask: value)
    assert at.until == datetime(2026, 5, 2, 7, 0, tzinfo=UTC)
    assert (at.summary, at.then) == ("wait until renewal_date -30 days", "send email/welcome")


@pytest.mark.parametrize(
    ("value", "because"),
    [
        (None, "renewal_date is unknown"),
        ("soon", "renewal_date is unknown"),
        ("", "renewal_date is unknown"),
        (12, "renewal_date is unknown"),
        ("2026-01-01", "renewal_date is past"),
        ("0001-01-01", "renewal_date is unknown"),
        ("2026-03-31", "renewal_date is past"),  # the day itself is ahead, thirty days before it are not
    ],
)
def test_a_date_that_is_past_or_unknown_is_not_waited_for(value: object, because: str) -> None:
    at, seen = rest(start(program(UNTIL, {"finish": "done"}), NOW, PERSON), lambda ask: value)
    assert at.outcome == "done"
    assert isinstance(seen[0], Passed)
    assert seen[0].because == f"not waited for: {because}"


def test_a_date_at_the_end_of_the_calendar_stops_nothing() -> None:
    later = {"wait": {"until": {"date": "customer.renewal_date", "offset": "10y"}}}
    assert rest(start(program(later), NOW, PERSON), lambda ask: "9999-12-31")[0].act == "finish"


def test_effects_are_asked_for_in_their_order_each_with_its_visit() -> None:
    steps = ({"score": {"points": 1, "because": "x"}}, {"set": {"plan": "pro"}}, {"tag": "a"}, {"untag": "b"},
             {"task": {"queue": "q", "title": "t"}})  # fmt: skip
    at, seen = rest(start(program(*steps), NOW, PERSON))
    assert [(one.node.id, one.visit) for one in seen if isinstance(one, Do)] == [
        ("score-1", 1), ("set", 1), ("tag", 1), ("untag", 1), ("task-q", 1),
    ]  # fmt: skip
    assert (at.act, at.outcome) == ("finish", "completed")


@given(
    st.none() | st.text(max_size=9),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(st.text(max_size=9), st.integers(1, 99)),
    st.lists(st.integers(1, 99), max_size=3),
)
def test_a_cursor_survives_being_written_down(
    step: str | None, since: datetime | None, visits: dict[str, int], heard: list[int]
) -> None:
    cursor = Cursor(step, since, visits, since, tuple(heard))
    assert Cursor.from_json(cursor.as_json()) == cursor
    assert Cursor.from_json({}) == Cursor.from_json(None) == Cursor()


@settings(deadline=None)
@given(maps(), st.randoms(use_true_random=False))
def test_every_map_is_walked_to_an_end_whatever_the_answers(data: Map, chance: Any) -> None:
    walk = Program.of(Journey.model_validate(data))
    script: list[Any] = []

    def decide(ask: Ask) -> Any:
        fields = [None, "2020-01-01", "2026-09-01", "2024-02-29", "9999-12-31", "junk"]
        script.append(chance.choice(fields) if ask.field else {q: chance.random() < 0.5 for q in questions(ask)})
        return script[-1]

    def choose(at: Rest) -> Way:
        ways.append(_way(walk, at, chance))
        return ways[-1]

    ways: list[Way] = []
    first = _to_the_end(walk, decide, choose)
    again, again_ways = iter(script), iter(ways)
    assert _to_the_end(walk, lambda ask: next(again), lambda at: next(again_ways)) == first
    assert set(first) <= set(walk.nodes)


@settings(deadline=None)
@given(maps(), st.booleans(), st.data())
def test_from_every_step_of_every_map_a_run_comes_to_a_rest(data: Map, answer: bool, draw: st.DataObject) -> None:
    walk = Program.of(Journey.model_validate(data))
    anywhere = Cursor(draw.draw(st.sampled_from(list(walk.nodes))), NOW, {}, NOW)
    value = draw.draw(st.sampled_from([None, "2026-09-01", "2020-02-29"]))
    for id_ in walk.nodes:
        at, _ = rest(move(walk, anywhere, id_, NOW, PERSON, "moved"), lambda ask: _same(ask, answer, value))
        assert at.act == "finish" or at.cursor.step in walk.nodes
        stays = isinstance(walk.nodes[id_].step, Send | Webhook | WaitFor)
        assert not stays or at.cursor.step == id_


def _same(ask: Ask, answer: bool, value: Any) -> Any:
    return value if ask.field else dict.fromkeys(questions(ask), answer)


Way = tuple[str, int]


def _way(program: Program, at: Rest, chance: Any) -> Way:
    step = program.nodes[at.cursor.step or ""].step
    if at.act == "deliver":
        return str(chance.choice(["sent", "skipped", "failed"])), 0
    if not isinstance(step, WaitFor) or chance.random() < 0.5:
        return "elapsed", 0
    option = chance.randrange(len(step.wait_for.options))
    return str(chance.choice(step.wait_for.options[option].on)), option


def _to_the_end(program: Program, answers: Answers, way: Callable[[Rest], Way]) -> list[str]:
    """The steps a run visits, in order; time moves on, visits count up, no rest lies in the past, and whoever rests
    again where a run rests comes to the same rest."""
    now, visited = NOW, []
    walk = start(program, now, PERSON)
    for _ in range(100 * len(program.nodes)):
        asked: list[Any] = []
        at, seen = rest(walk, lambda ask: asked.append(answers(ask)) or asked[-1])  # noqa: B023 (used up at once)
        visited += [one.step for one in seen if isinstance(one, Passed)]
        if at.act == "finish":
            return visited
        assert at.until is None or at.until > now
        visited.append(at.cursor.step or "")
        assert at.cursor.visit == visited.count(at.cursor.step or "")
        assert Cursor.from_json(json.loads(json.dumps(at.cursor.as_json()))) == at.cursor
        same, passed = rest(rest_at(program, at.cursor, PERSON, at.because), lambda ask: asked[-1])  # noqa: B023
        assert (same, passed) == (at, [])
        now = at.until or now
        walk = go_on(program, at.cursor, now, PERSON, *way(at))
    raise AssertionError(f"no end after {visited}")
