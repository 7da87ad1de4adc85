"""What comes next: walked by hand for each step, and at random for whole maps."""

from __future__ import annotations

import json
from collections import Counter
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
from journeys.steps.sends import Send, Webhook
from journeys.steps.ways import WaitFor
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


@pytest.mark.parametrize(
    ("wait", "until", "words"),
    [
        ({"until": {"time": "14:00"}}, "2026-03-01T13:00", "wait until 14:00"),
        ({"until": {"time": "12:59"}}, "2026-03-02T11:59", "wait until 12:59"),
        ({"until": {"time": "09:00", "weekday": ["tue", "thu"]}}, "2026-03-03T08:00", "wait until 09:00 on tue or thu"),
        ({"until": {"time": "09:00", "weekday": "mon-sun"}}, "2026-03-02T08:00", "wait until 09:00"),
        ({"working_days": 1}, "2026-03-02T12:00", "wait 1 working day"),
        ({"working_days": 6, "at": "09:00"}, "2026-03-09T08:00", "wait 6 working days"),
        ({"working_days": 25, "at": "09:00"}, "2026-04-07T07:00", "wait 25 working days"),  # Good Friday, Easter Monday
    ],
)
def test_a_wait_ends_at_the_moment_that_it_means_where_the_contact_lives(wait: Map, until: str, words: str) -> None:
    at, _ = rest(start(program({"wait": wait}), NOW, PERSON))
    assert (at.until, at.summary) == (datetime.fromisoformat(until).replace(tzinfo=UTC), words)


def test_a_time_of_day_that_it_is_already_is_not_waited_for() -> None:
    at, seen = rest(start(program({"wait": {"until": {"time": "13:00"}}}), NOW, PERSON))
    assert (at.act, seen[0].because) == ("finish", "not waited for: it is that time")  # type: ignore[union-attr]


def test_working_days_leave_out_the_holidays_of_the_country_where_the_contact_lives() -> None:
    walk = program({"wait": {"working_days": 3, "at": "09:00"}})
    eve = datetime(2026, 9, 30, 3, 0, tzinfo=UTC)
    ends = {}
    for country in ("CN", "SG", None):
        at, _ = rest(start(walk, eve, Person(ZoneInfo("Asia/Shanghai"), country, "c1")))
        ends[country] = at.until
    assert ends["SG"] == ends[None] == datetime(2026, 10, 5, 1, 0, tzinfo=UTC)
    assert ends["CN"] == datetime(2026, 10, 10, 1, 0, tzinfo=UTC)  # the week is free, the Saturday after it is worked


@pytest.mark.parametrize(
    ("value", "offset", "until"),
    [
        ("1990-03-02", "0d", "2026-03-02T08:00"),
        ("1990-03-01", "0d", "2027-03-01T08:00"),  # nine o'clock is past on the day itself
        ("1992-02-29", "0d", "2027-02-28T08:00"),
        ("1990-03-05", "-7d", "2027-02-26T08:00"),
        ("1990-03-15", "-7d", "2026-03-08T08:00"),
        ("2027-06-01", "0d", "2027-06-01T07:00"),  # nobody has a birthday before being born
    ],
)
def test_a_wait_until_an_anniversary_ends_at_the_next_one(value: str, offset: str, until: str) -> None:
    day = {"date": "customer.birthday", "every": "year", "offset": offset}
    at, _ = rest(start(program({"wait": {"until": day}}), NOW, PERSON), lambda ask: value)
    assert at.until == datetime.fromisoformat(until).replace(tzinfo=UTC)


SPREADS = [{"until": {"time": "14:00", "spread": "2h"}}, {"working_days": 1, "at": "14:00", "spread": "2h"},
           {"until": {"date": "customer.renewal_date", "at": "14:00", "spread": "2h"}}]  # fmt: skip


@pytest.mark.parametrize("wait", SPREADS, ids=["time", "working days", "date"])
def test_a_herd_is_spread_over_the_stated_time_each_contact_always_at_its_own_moment(wait: Map) -> None:
    walk = program({"wait": wait})
    ends = []
    for number in [*range(50), 0]:
        at, _ = rest(start(walk, NOW, Person(PERSON.zone, None, f"c{number}")), lambda ask: "2026-03-02")
        assert at.until is not None
        ends.append(at.until)
    opens = min(ends).replace(minute=0, second=0, microsecond=0)
    assert opens.hour == 13
    assert max(ends) < opens + timedelta(hours=2)
    assert len(set(ends)) == 50
    assert ends[0] == ends[-1]


ANY = {
    "wait_for": {
        "any": [
            {"on": "order.placed", "then": [{"finish": "bought"}]},
            {"on": ["email.clicked", "email.opened"], "message": "email/welcome"},
            {"on": "customer.left", "then": []},
        ],
        "up_to": "2d",
    },
    "then": [{"finish": "read"}],
    "else": [{"finish": "silent"}],
}


@pytest.mark.parametrize(
    ("way", "option", "goes"),
    [("order.placed", 0, "bought"), ("email.opened", 1, "read"), ("customer.left", 2, "on"), ("elapsed", 0, "silent")],
)
def test_of_several_events_each_leads_its_own_way_or_that_of_the_step(way: str, option: int, goes: str) -> None:
    walk = program(ANY, {"finish": "on"})
    at, _ = rest(start(walk, NOW, PERSON))
    assert at.awaiting == ("order.placed", "email.clicked", "email.opened", "customer.left")
    assert rest(go_on(walk, at.cursor, NOW, PERSON, way, option))[0].outcome == goes


SPLIT = {"split": {"a": 50, "b": 30, "c": 20}, "a": [{"finish": "a"}], "b": [{"finish": "b"}]}


def _arm(walk: Program, key: str) -> str:
    return rest(start(walk, NOW, Person(PERSON.zone, None, key)))[0].outcome or ""


def test_a_split_parts_contacts_in_proportion_and_an_arm_without_steps_goes_straight_on() -> None:
    walk = program({"id": "s", **SPLIT}, {"finish": "straight_on"})
    counts = Counter(_arm(walk, f"c{number}") for number in range(5000))
    for arm, share in (("a", 0.5), ("b", 0.3), ("straight_on", 0.2)):
        assert abs(counts[arm] / 5000 - share) < 0.03


def test_a_contact_always_goes_the_same_way_at_a_split_and_its_own_way_at_each() -> None:
    walk = program({"id": "s", **SPLIT}, {"finish": "straight_on"})
    later = program({"wait": "1d"}, {"id": "s", **SPLIT}, {"tag": "x"}, {"finish": "straight_on"})
    for key in ("c1", "c2", "c3", "c4"):
        at, _ = rest(start(later, NOW, Person(PERSON.zone, None, key)))
        end, _ = rest(go_on(later, at.cursor, NOW, Person(ZoneInfo("Asia/Tokyo"), "JP", key), "elapsed"))
        assert end.outcome == _arm(walk, key)
    other = program({"id": "t", **SPLIT}, {"finish": "straight_on"})
    assert [_arm(walk, f"c{number}") for number in range(30)] != [_arm(other, f"c{number}") for number in range(30)]


def test_a_split_says_which_arm_was_taken() -> None:
    _, seen = rest(start(program(SPLIT), NOW, PERSON))
    assert isinstance(seen[0], Passed)
    assert (seen[0].kind, seen[0].because) == ("split", f"arm {seen[0].seen['arm']} of a 50, b 30, c 20")


def _turns(walk: Program, answers: Answers = yes) -> list[str]:
    """The steps passed and rested at when every wait elapses."""
    at, seen = rest(start(walk, NOW, PERSON), answers)
    passed = [one.step for one in seen if isinstance(one, Passed)]
    while at.act != "finish":
        passed.append(at.cursor.step or "")
        at, seen = rest(go_on(walk, at.cursor, at.until or NOW, PERSON, "elapsed"), answers)
        passed += [one.step for one in seen if isinstance(one, Passed)]
    return passed


def test_a_loop_goes_back_as_often_as_it_may_and_then_on() -> None:
    walk = program({"id": "w", "wait": "1d"}, {"id": "l", "loop": {"to": "w", "at_most": 2}}, {"id": "t", "tag": "x"})
    assert _turns(walk) == ["w", "l", "w", "l", "w", "l", "t"]


def test_a_loop_goes_back_only_while_its_condition_holds() -> None:
    again = {"to": "w", "at_most": 9, "when": {"tag": "a"}}
    walk = program({"id": "w", "wait": "1d"}, {"id": "l", "loop": again}, {"id": "t", "tag": "x"})
    replies = iter([True, True, False])
    assert _turns(walk, lambda ask: {"tagged a": next(replies)}) == ["w", "l", "w", "l", "w", "l", "t"]


def test_a_loop_inside_a_loop_counts_anew_each_time() -> None:
    walk = program(
        {"id": "w", "wait": "1d"},
        {"id": "v", "wait": "1h"},
        {"id": "inner", "loop": {"to": "v", "at_most": 1}},
        {"id": "outer", "loop": {"to": "w", "at_most": 1}},
    )
    once = ["w", "v", "inner", "v", "inner", "outer"]
    assert _turns(walk) == [*once, *once]


def test_a_loop_that_was_left_by_another_way_counts_anew() -> None:
    walk = program(
        {"id": "w", "wait": "1d"},
        {"id": "v", "wait_for": {"on": "e", "up_to": "1d"}, "then": [{"id": "out", "tag": "x"}], "else": [
            {"id": "inner", "loop": {"to": "v", "at_most": 1}},
        ]},
        {"id": "outer", "loop": {"to": "w", "at_most": 1}},
    )  # fmt: skip
    at, _ = rest(start(walk, NOW, PERSON))
    for way in ("elapsed", "elapsed", "e"):  # w, v and round again, v: left by the event
        at, _ = rest(go_on(walk, at.cursor, NOW, PERSON, way))
    assert (at.cursor.step, dict(at.cursor.loops)) == ("w", {"outer": 1})


def test_a_webhook_is_delivered_like_a_message() -> None:
    at, _ = rest(start(program({"id": "h", "webhook": {"url": "https://shop.example:8443/x?y"}}), NOW, PERSON))
    assert (at.act, at.channel, at.summary) == ("deliver", "webhook", "call shop.example")


def test_consent_and_the_start_of_another_journey_are_done_and_their_result_is_kept() -> None:
    said = {"consent": {"channel": "sms", "granted": False, "because": "asked by phone"}}
    walk = start(program(said, {"start": "other"}), NOW, PERSON)
    first, _, second = (walk.send(None) for _ in range(3))
    assert isinstance(first, Do)
    assert isinstance(second, Do)
    passed = walk.send("run 7")
    assert isinstance(passed, Passed)
    assert (passed.kind, passed.seen) == ("start", {"result": "run 7"})


def test_a_run_rests_again_where_it_stands_reckoned_from_when_it_came_there() -> None:
    before, after = program({"id": "w", "wait": "2d"}), program({"id": "w", "wait": "5d"}, {"finish": "x"})
    at, _ = rest(start(before, NOW, PERSON))
    again, _ = rest(rest_at(after, at.cursor, PERSON, "version 2"))
    assert again.until == NOW + timedelta(days=5)
    assert again.cursor == at.cursor


def test_a_run_that_is_moved_goes_on_from_there_and_forgets_its_loops() -> None:
    walk = program(
        {"id": "w", "wait": "1d"}, {"id": "l", "loop": {"to": "w", "at_most": 1}}, {"id": "end", "wait": "2d"}
    )
    at, _ = rest(start(walk, NOW, PERSON))
    at, _ = rest(go_on(walk, at.cursor, NOW, PERSON, "elapsed"))
    assert at.cursor.loops == {"l": 1}
    moved, _ = rest(move(walk, at.cursor, "w", NOW, PERSON, "moved by hand"))
    assert (moved.cursor.loops, moved.cursor.visit, moved.because) == ({}, 3, "moved by hand")


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
        fields = [None, "2020-01-01", "2026-09-01", "2024-02-29", "junk"]
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
        told: list[Any] = []

        def tell(ask: Ask) -> Any:
            told.append(answers(ask))  # noqa: B023 (used up at once)
            return told[-1]  # noqa: B023

        at, seen = rest(walk, tell)
        visited += [one.step for one in seen if isinstance(one, Passed)]
        if at.act == "finish":
            return visited
        assert at.until is None or at.until > now
        visited.append(at.cursor.step or "")
        assert at.cursor.visit == visited.count(at.cursor.step or "")
        assert Cursor.from_json(json.loads(json.dumps(at.cursor.as_json()))) == at.cursor
        same, passed = rest(rest_at(program, at.cursor, PERSON, at.because), lambda ask: told[-1])  # noqa: B023
        assert (same, passed) == (at, [])
        now = at.until or now
        walk = go_on(program, at.cursor, now, PERSON, *way(at))
    raise AssertionError(f"no end after {visited}")
