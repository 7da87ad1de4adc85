"""Broadcast files: what they may say, and where an error points."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.broadcasts import inspection
from activities.broadcasts.winning import better, verdict
from activities.messages.rendering import Templates
from journeys.broadcast import Broadcast, LocalStart, touch_key
from journeys.broadcast_files import parse
from journeys.source import InvalidFile
from records.messages.outcomes import ArmResult

BASE = "broadcast: spring\ntitle: Spring\nsegment: active\nsend: email/whats_new\n"
TRIAL = "ab: {share: 20%, subjects: {a: x, b: y}, winner: clicks, after: 4h}\n"
ROOT = Path(__file__).parents[2]
NAMES = st.text("abcdefghij", min_size=1, max_size=10)


def problems(text: str) -> str:
    with pytest.raises(InvalidFile) as caught:
        parse(text, "x.yaml", fields={}, segments=["active"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("throttle: 0 per minute", "5:1: a throttle of 0"),
        ("throttle: 5", "5:1: '5' is no throttle"),
        ("start: tomorrow", "5:1: 'tomorrow' is no start"),
        ("start: 2026-12-01", "5:1: '2026-12-01' is no start"),
        ("start: {local: '9'}", "5:9: '9' is not a time of day"),
        ("start: {local: '09:00', at: now}", "5:25: 'at' is not known here"),
        ("where: {tag: x}", "segment or where"),
        (TRIAL.replace("20%", "0%"), "5:6: a share of 0%"),
        (TRIAL.replace("20%", "100%"), "5:6: a share of 100%"),
        (TRIAL.replace("20%", "0.2"), "5:6: '0.2' is no share"),
        (TRIAL.replace(", b: y", ""), "two to six wordings"),
        (TRIAL.replace("b: y", "b: x"), "the same"),
        (TRIAL.replace("clicks", "luck"), "'luck' is not allowed here"),
        (TRIAL.replace("4h", "0h"), "longer than nothing"),
        (TRIAL.replace("subjects: {a: x, b: y}", "arms: {a: email/x, b: email/y}"), "send and ab: arms"),
        ("if_quiet: maybe", "5:1: 'maybe' is not allowed here"),
        ("transactional: perhaps", "5:1: "),
        ("sendd: email/x", "did you mean 'send'"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(line: str, told: str) -> None:
    assert told in problems(f"{BASE}{line}\n")


def test_a_subject_may_be_said_in_each_locale_of_its_message() -> None:
    of = parse(BASE + TRIAL.replace("b: y", "b: {en: y, zh: 春}")).broadcast
    assert [of.subject("b", locale) for locale in ("en", "zh", "zh-CN", "de")] == ["y", "春", "春", "y"]
    assert [of.subject("a", "zh"), of.subject(None, "en")] == ["x", None]
    assert "5:50: 'no locale' is no locale" in problems(BASE + TRIAL.replace("b: y", "b: {no locale: y}"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("b: {en: y}", "5:35: email/whats_new is written in zh too: say it in each"),
        ("b: {en: y, zh: 春, de: z}", "5:53: 'de' is no locale in which email/whats_new is written"),
        ("b: '{{ customer.first_nam }}'", "'first_nam' is no field of a customer; did you mean 'first_name'?"),
        ("b: '{{ customer.first_name'", "end of template"),
    ],
)
def test_what_is_wrong_with_a_subject_is_told_at_its_place(said: str, told: str) -> None:
    one = parse(BASE + TRIAL.replace("b: y", said), "x.yaml")
    found = inspection.problems(one, Templates(ROOT / "templates"), [])
    assert [told in str(problem) for problem in found] == [True]


def test_an_unknown_segment_is_told_with_the_nearest() -> None:
    assert "3:1: 'activ' is no segment; did you mean 'active'?" in problems(BASE.replace("active", "activ"))


def test_a_text_message_has_no_subject_and_tells_of_no_clicks() -> None:
    sms = BASE.replace("email/whats_new", "sms/nudge")
    assert "no subject" in problems(sms + TRIAL)
    arms = "broadcast: s\ntitle: S\nsegment: active\nab: {share: 20%, arms: {a: sms/x, b: sms/y}, winner: W, after: 4h}"
    assert "tells of no clicks" in problems(arms.replace("W", "clicks"))
    assert parse(arms.replace("W", "{conversion: order.placed}")).broadcast.channel == "sms"


@pytest.mark.parametrize("more", ["", TRIAL, 'start: {local: "09:00", on: 2026-12-01}\nthrottle: 600 per minute\n',
                                  "start: 2026-12-01T09:00:00+01:00\n"])  # fmt: skip
def test_what_is_kept_reads_back_as_the_same_broadcast(more: str) -> None:
    loaded = parse(BASE + more)
    assert Broadcast.model_validate(loaded.definition) == loaded.broadcast


@given(st.integers(1, 10**12))
def test_the_arm_of_a_customer_is_always_the_same_and_one_there_is(customer: int) -> None:
    of = parse(BASE + TRIAL).broadcast
    assert of.arm(customer) == of.arm(customer)
    assert of.arm(customer) in ("a", "b")
    assert touch_key(1, customer) != touch_key(2, customer)


def test_the_share_and_the_arms_are_about_as_large_as_stated() -> None:
    of = parse(BASE + TRIAL).broadcast
    tried = [customer for customer in range(10_000) if of.in_trial(customer)]
    assert 1800 < len(tried) < 2200
    assert 0.4 < sum(of.arm(one) == "a" for one in tried) / len(tried) < 0.6


def test_a_local_time_comes_when_the_clock_of_the_contact_shows_it() -> None:
    berlin, tokyo = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
    fixed = LocalStart(local="09:00", on=date(2026, 12, 1))
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert fixed.moment(now, berlin) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert fixed.moment(now, tokyo) == datetime(2026, 12, 1, 0, tzinfo=UTC)
    assert LocalStart(local="09:00").moment(datetime(2026, 12, 1, 8, tzinfo=UTC), berlin).day == 1
    assert LocalStart(local="09:00").moment(datetime(2026, 12, 1, 8, 1, tzinfo=UTC), berlin).day == 2


def test_a_local_time_that_a_clock_leaps_over_comes_when_it_has_leapt_and_one_that_comes_twice_comes_first() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    leapt = LocalStart(local="02:30", on=date(2027, 3, 28)).moment(datetime(2027, 3, 27, tzinfo=UTC), berlin)
    assert leapt.astimezone(berlin).isoformat() == "2027-03-28T03:00:00+02:00"
    twice = LocalStart(local="02:30", on=date(2026, 10, 25)).moment(datetime(2026, 10, 24, tzinfo=UTC), berlin)
    assert twice.astimezone(berlin).isoformat() == "2026-10-25T02:30:00+02:00"
    daily = LocalStart(local="02:30").moment(datetime(2027, 3, 28, 0, 45, tzinfo=UTC), berlin)
    assert daily.astimezone(berlin).isoformat() == "2027-03-28T03:00:00+02:00"


def test_the_best_arm_is_the_one_with_the_highest_share_of_those_who_got_it() -> None:
    trial = parse(BASE + TRIAL).broadcast.ab
    assert trial is not None
    assert verdict(trial, [ArmResult("a", 100, 0, 9, 0), ArmResult("b", 50, 0, 5, 0)]).arm == "b"
    tie = verdict(trial, [ArmResult("b", 50, 0, 5, 0), ArmResult("a", 100, 0, 10, 0)])
    assert (tie.arm, "equal, so the first by name" in tie.because) == ("a", True)


def test_an_arm_that_nobody_got_does_not_win_against_one_that_somebody_got() -> None:
    trial = parse(BASE + TRIAL).broadcast.ab
    assert trial is not None
    only = verdict(trial, [ArmResult("b", 1, 0, 0, 0)])
    assert (only.arm, only.chance, "a 0 of 0, b 0 of 1" in only.because) == ("b", None, True)
    nobody = verdict(trial, [])
    assert (nobody.arm, nobody.chance, nobody.because) == (
        "a",
        None,
        "the trial reached nobody, so a, the first by name",
    )


@pytest.mark.parametrize(
    ("one", "other", "exactly"),
    [((0, 0), (0, 0), 1 / 2), ((1, 1), (0, 1), 5 / 6), ((0, 1), (1, 1), 1 / 6), ((2, 2), (0, 2), 19 / 20)],
)
def test_how_sure_a_lead_is_follows_from_the_counts(
    one: tuple[int, int], other: tuple[int, int], exactly: float
) -> None:
    assert better(one, other) == pytest.approx(exactly)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_one_of_two_shares_is_the_higher_one(hits: int, misses: int, others: int, other_misses: int) -> None:
    one, other = (hits, hits + misses), (others, others + other_misses)
    assert better(one, other) + better(other, one) == pytest.approx(1)
    assert better((hits + 1, hits + misses + 1), other) >= better(one, other) - 1e-9


KEYS = st.sampled_from(["broadcast", "title", "segment", "send", "start", "throttle", "ab", "x"])
VALUES = NAMES | st.integers() | st.none() | st.lists(NAMES) | st.dictionaries(NAMES, NAMES)


@given(st.dictionaries(KEYS, VALUES))
def test_no_file_is_worse_than_refused(data: dict[str, object]) -> None:
    text = "\n".join(f"{key}: {value!r}" for key, value in data.items())
    with contextlib.suppress(InvalidFile):
        assert parse(text or "{}", "x.yaml", fields={}, segments=["active"]).broadcast.messages
