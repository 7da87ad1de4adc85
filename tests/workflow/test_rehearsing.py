"""Rehearsals of small maps, with every touch at its moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal import Rehearse

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANN = {"external_id": "ann", "first_name": "Ann", "time_zone": "Europe/Berlin"}

DAILY = """
journey: daily
title: Daily
enter: {on: customer.signed_up}
re_enter: always
exit: [{on: order.placed, as: bought}]
steps:
  - {id: hello, send: email/welcome}
  - {id: later, wait: 1d}
  - {id: guide, send: email/brew_guide}
"""

FREE = "channels: {}\n"
"""No rule of sending: every hour will do."""

ANSWERS = """
journey: answers
title: Answers
enter: {on: customer.signed_up}
steps:
  - {id: hello, send: email/welcome}
  - id: clicked
    wait_for: {on: email.clicked, message: email/welcome, up_to: 3d}
    then: [{finish: clicked}]
    else: [{finish: silent}]
"""


def touches(lines: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Who was to get what when, and what became of it."""
    return [(one["customer"], one["message"], one["at"], one["status"]) for one in lines if "message" in one]


def ends(lines: list[dict[str, Any]]) -> list[tuple[str, str | None, str | None]]:
    """How each run ended, and when."""
    return [(one["customer"], one["outcome"], one["at"]) for one in lines if "outcome" in one]


async def test_every_touch_is_at_its_moment_and_a_day_is_a_day_on_the_contacts_clock(rehearse: Rehearse) -> None:
    event = {"customer": "ann", "event": "customer.signed_up", "at": "2026-03-28T08:00:00+01:00"}
    lines = await rehearse([DAILY], customers=[ANN], events=[event])
    # Summer time begins on 29 March: the next day's eight o'clock comes after 23 hours.
    assert lines == [
        {
            "customer": "ann", "journey": "daily", "version": 1, "step": "hello", "visit": 1, "channel": "email",
            "message": "email/welcome", "at": "2026-03-28T07:00:00Z", "status": "sent", "because": None,
        },
        {
            "customer": "ann", "journey": "daily", "version": 1, "step": "guide", "visit": 1, "channel": "email",
            "message": "email/brew_guide", "at": "2026-03-29T06:00:00Z", "status": "sent", "because": None,
        },
        {"customer": "ann", "journey": "daily", "outcome": "completed", "at": "2026-03-29T06:00:00Z"},
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["1999-12-31T23:30:00+00:00", "2087-06-01T00:00:00+02:00"])
async def test_it_may_start_in_the_past_and_in_the_far_future(rehearse: Rehearse, start: str) -> None:
    event = {"customer": "ann", "event": "customer.signed_up", "at": "+1h"}
    lines = await rehearse([DAILY], customers=[ANN], events=[event], start=start, days=5, sending=FREE)
    begin = datetime.fromisoformat(start).astimezone(UTC)
    moments = [begin + timedelta(hours=1), begin + timedelta(days=1, hours=1)]
    assert [one[2] for one in touches(lines)] == [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments]


async def test_who_may_come_in_again_does_and_who_buys_leaves_all_runs(rehearse: Rehearse) -> None:
    signed_up = [{"customer": "ann", "event": "customer.signed_up", "at": at} for at in ("+0m", "+12h")]
    bought = {"customer": "ann", "event": "order.placed", "at": "+30h"}
    lines = await rehearse([DAILY], customers=[ANN], events=[*signed_up, bought], sending=FREE)
    assert touches(lines) == [
        ("ann", "email/welcome", "2026-03-02T09:00:00Z", "sent"),
        ("ann", "email/welcome", "2026-03-02T21:00:00Z", "sent"),
        ("ann", "email/brew_guide", "2026-03-03T09:00:00Z", "sent"),
    ]
    assert ends(lines) == [("ann", "completed", "2026-03-03T09:00:00Z"), ("ann", "bought", "2026-03-03T15:00:00Z")]


@pytest.mark.parametrize(
    ("at", "outcome", "ended"),
    [
        ("2026-03-05T08:59:59Z", "clicked", "2026-03-05T08:59:59Z"),
        ("2026-03-05T09:00:00Z", "clicked", "2026-03-05T09:00:00Z"),
        ("2026-03-05T09:00:00.000001Z", "silent", "2026-03-05T09:00:00Z"),
    ],
)
async def test_an_event_at_the_very_limit_counts_and_one_a_microsecond_later_does_not(
    rehearse: Rehearse, at: str, outcome: str, ended: str
) -> None:
    events = [
        {"customer": "ann", "event": "customer.signed_up", "at": "+0m"},
        {"customer": "ann", "event": "email.clicked", "at": at, "message": "email/welcome"},
    ]
    lines = await rehearse([ANSWERS], customers=[ANN], events=events)
    assert ends(lines) == [("ann", outcome, ended)]


async def test_two_journeys_share_a_cap_and_quiet_hours_are_waited_for(rehearse: Rehearse) -> None:
    other = DAILY.replace("journey: daily", "journey: second").replace("email/welcome", "email/taster_answers")
    event = {"customer": "ann", "event": "customer.signed_up", "at": "2026-03-02T23:30:00+01:00"}
    lines = await rehearse(
        [DAILY, other], customers=[ANN], events=[event],
        sending="channels:\n  email:\n    quiet_hours: {from: '21:00', to: '08:00'}\n"
        "    at_most: [{count: 1, per: 1d}]\n",
    )  # fmt: skip
    found = touches(lines)
    # Nothing at night; at eight one of the two, the other is left out.
    assert [(one[2], one[3]) for one in found][:2] == [
        ("2026-03-03T07:00:00Z", "sent"),
        ("2026-03-03T07:00:00Z", "skipped"),
    ]
    assert lines[1]["because"] == "capped: 1 mail within 1 day"


async def test_a_day_of_the_contact_and_a_schedule_let_it_in(rehearse: Rehearse) -> None:
    dated = """
journey: dated
title: Dated
enter: {date: customer.renewal_date, offset: -3d, at: "09:00"}
steps: [{send: email/renewal_notice}]
"""
    scheduled = """
journey: mondays
title: Mondays
enter: {schedule: "0 10 * * mon", time_zone: Asia/Shanghai}
re_enter: always
steps: [{send: email/studio_story}]
"""
    ann = {**ANN, "renewal_date": "2026-03-13"}
    lines = await rehearse([dated, scheduled], customers=[ann], days=10, sending=FREE)
    assert touches(lines) == [
        ("ann", "email/studio_story", "2026-03-09T02:00:00Z", "sent"),
        ("ann", "email/renewal_notice", "2026-03-10T08:00:00Z", "sent"),
    ]


async def test_what_happened_before_the_start_is_known_and_begins_nothing(rehearse: Rehearse) -> None:
    events = [
        {"customer": "ann", "event": "customer.signed_up", "at": "-3d"},
        {"customer": "ann", "event": "customer.signed_up", "at": "+1d"},
    ]
    lines = await rehearse([DAILY.replace("always", "never")], customers=[ANN], events=events)
    assert touches(lines)[0][2] == "2026-03-03T09:00:00Z"
    assert rehearse.report is not None
    assert rehearse.report.history == 1


async def test_who_unsubscribes_gets_no_more(rehearse: Rehearse) -> None:
    events = [
        {"customer": "ann", "event": "customer.signed_up", "at": "+0m"},
        {"customer": "ann", "event": "email.unsubscribed", "at": "+2h", "message": "email/welcome"},
    ]
    lines = await rehearse([DAILY], customers=[ANN], events=events)
    assert [(one["message"], one["status"], one["because"]) for one in lines if "message" in one] == [
        ("email/welcome", "sent", None),
        ("email/brew_guide", "skipped", "consent to email was withdrawn"),
    ]


async def test_rows_that_cannot_be_used_are_told_and_the_rest_is_rehearsed(rehearse: Rehearse) -> None:
    customers = [ANN, {"external_id": "bob", "email": "no address"}]
    events = [
        {"customer": "ann", "event": "customer.signed_up", "at": "+0m"},
        {"customer": "bob", "event": "customer.signed_up", "at": "+0m"},
        {"customer": "ann", "event": "Signed up!", "at": "+1h"},
        {"customer": "ann", "event": "order.placed", "at": "tomorrow"},
        {"customer": "ann", "event": "order.placed", "at": "2026-03-04T10:00"},
        {"customer": "ann", "event": "order.placed", "at": "+1h", "properties": "[1]"},
        {"customer": "ann", "event": "order.placed", "at": "+99999w"},
        {"customer": "ann", "event": "email.clicked", "at": "+1h", "message": "email/never_sent"},
        {"customer": "ann", "event": "task.done", "at": "+1h"},
    ]
    lines = await rehearse([DAILY], customers=customers, events=events)
    assert len(touches(lines)) == 2
    assert rehearse.report is not None
    assert [one.line for one in rehearse.report.imported.rejected] == [3]
    assert [one.line for one in rehearse.report.rejects] == [3, 4, 5, 6, 7, 8, 9, 10]


async def test_a_journey_that_only_the_api_enters_takes_in_everybody_at_the_start(rehearse: Rehearse) -> None:
    lines = await rehearse([DAILY.replace("{on: customer.signed_up}", "api")], customers=[ANN])
    assert touches(lines)[0] == ("ann", "email/welcome", "2026-03-02T09:00:00Z", "sent")


async def test_the_same_rehearsal_twice_comes_to_the_same(rehearse: Rehearse) -> None:
    customers = [{"external_id": f"c{n}", "time_zone": zone} for n, zone in enumerate(("Asia/Tokyo", "UTC") * 5)]
    events = [
        {"customer": f"c{n}", "event": name, "at": at, "message": message}
        for n in range(10)
        for name, at, message in (
            ("customer.signed_up", "+1h", ""), ("email.opened", "+1h", "email/welcome"),
            ("email.clicked", "+2d1h7m", "email/welcome"), ("customer.signed_up", "+2d1h7m", ""),
        )
    ]  # fmt: skip
    first = await rehearse([DAILY, ANSWERS], customers=customers, events=events, days=10, sending=FREE)
    second = await rehearse([DAILY, ANSWERS], customers=customers, events=events, days=10, sending=FREE)
    assert first == second
    assert len(touches(first)) == 50
    assert all("." not in one["at"] for one in first if one["at"])


async def test_a_message_that_cannot_be_written_for_a_contact_is_told_and_holds_up_nobody_else(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    (tmp_path / "templates" / "sms" / "odd").mkdir(parents=True)
    (tmp_path / "templates" / "sms" / "odd" / "en.txt").write_text("{{ 10 // customer.score }}", encoding="utf-8")
    odd = "journey: odd\ntitle: Odd\nenter: api\nsteps: [{id: count, send: sms/odd}]\n"
    first = "journey: first\ntitle: First\nenter: api\nsteps: [{score: {points: 5, because: kind}}]\n"
    people = [{**ANN, "phone": "+4915112345678"}, {"external_id": "bob"}]
    lines = await rehearse([odd, first], customers=people, sending=FREE, templates=tmp_path / "templates", days=30)
    told = {one["customer"]: (one["status"], one["because"]) for one in lines if "message" in one}
    assert told["bob"] == ("skipped", "no phone number")
    assert told["ann"][0] == "failed"
    assert "sms/odd/en.txt:1" in told["ann"][1]
    assert ("ann", None, None) in ends(lines)
