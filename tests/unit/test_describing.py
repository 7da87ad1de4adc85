"""Maps in words: complete, on one line, and never the same for two things that differ."""

from __future__ import annotations

from typing import Any

import pytest

from journeys.definition import Journey
from journeys.describing import arms_in_words, describe_header, describe_step
from journeys.program import Program
from journeys.steps.ways import KINDS, arms_of, kind_of

STEPS: dict[str, dict[str, Any]] = {
    "send email/welcome": {"send": "email/welcome"},
    "send sms/hi, transactional, at any hour, wait when a cap is reached, go on when it is uncertain whether it went": {
        "send": "sms/hi", "transactional": True, "window": "any", "if_capped": "wait", "if_uncertain": "go_on",
    },
    "send email/a, only sat from 09:00 to 18:00 spread over 2 hours": {
        "send": "email/a", "window": {"days": "sat", "from": "09:00", "to": "18:00", "spread": "2h"},
    },
    "wait 1 day": {"wait": "1d"},
    "wait 3 working days, at 09:00": {"wait": {"working_days": 3, "at": "09:00"}},
    "wait until 09:30 on mon or fri": {"wait": {"until": {"time": "09:30", "weekday": ["fri", "mon"]}}},
    "wait until 7 days before renewal_date at 09:00": {
        "wait": {"until": {"date": "customer.renewal_date", "offset": "-7d"}}
    },
    "wait for order.placed with amount at least 50, up to 3 days": {
        "wait_for": {"on": "order.placed", "with": {"amount": {"at_least": 50}}, "up_to": "3d"}
    },
    "wait for a.b or email.clicked on email/x (a way of its own), up to 1 day": {
        "wait_for": {
            "any": [{"on": "a.b"}, {"on": "email.clicked", "message": "email/x", "then": [{"tag": "t"}]}],
            "up_to": "1d",
        },
    },
    "branch: if score at least 5; otherwise": {
        "branch": [{"when": {"score": {"at_least": 5}}, "steps": []}, {"otherwise": True, "steps": []}]
    },
    "split a 70, b 30": {"split": {"a": 70, "b": 30}, "a": [{"tag": "x"}]},
    "score -5, because bored": {"score": {"points": -5, "because": "bored"}},
    'clear plan, set stage to "won"': {"set": {"stage": "won", "plan": None}},
    'tag a, "b,c"': {"tag": ["a", "b,c"]},
    "untag a": {"untag": "a"},
    "consent to sms is withdrawn, because they said so": {
        "consent": {"channel": "sms", "granted": False, "because": "they said so"}
    },
    "task for sales: Call, due in 4h, priority 2": {
        "task": {"queue": "sales", "title": "Call", "due": "4h", "priority": 2}
    },
    'call https://crm.example/in, with email, saying {"a": 1}': {
        "webhook": {"url": "https://crm.example/in", "fields": ["email"], "body": {"a": 1}}
    },
    "start the journey other": {"start": "other"},
    "go back to first, at most 1 time, while tagged a": {
        "loop": {"to": "first", "at_most": 1, "when": {"tag": "a"}}
    },
    "finish as won": {"finish": "won"},
}  # fmt: skip


def step(data: dict[str, Any]) -> Any:
    return KINDS[kind_of(data) or ""].model_validate(data)


@pytest.mark.parametrize(("words", "data"), STEPS.items())
def test_a_step_reads_as_a_sentence(words: str, data: dict[str, Any]) -> None:
    assert describe_step(step(data)) == words


def test_every_kind_of_step_has_words() -> None:
    assert {kind_of(data) for data in STEPS.values()} == set(KINDS)


@pytest.mark.parametrize("data", STEPS.values())
def test_every_way_of_a_step_is_named(data: dict[str, Any]) -> None:
    assert len(arms_in_words(step(data))) == len(arms_of(step(data)))


def test_text_of_a_map_stays_on_one_line() -> None:
    assert describe_step(step({"score": {"points": 1, "because": "two\nlines\x1b[31m"}})).isprintable()


def test_the_head_of_a_map_says_who_comes_in_who_leaves_and_what_it_is_for() -> None:
    journey = Journey.model_validate(
        {
            "journey": "carts",
            "title": "Carts",
            "enter": [
                {"on": "cart.updated", "with": {"amount": {"at_least": 50}}, "where": {"country": "DE"}},
                {"segment": "at_risk"},
                {"date": "customer.birthday", "every": "year", "offset": "-7d", "spread": "1h"},
                {"schedule": "0 9 * * mon", "time_zone": "Asia/Shanghai"},
                "api",
            ],
            "re_enter": {"after": "90d"},
            "exit": [{"on": "order.placed", "as": "converted"}, {"left": "at_risk"}],
            "goal": {"on": "order.placed", "within": "30d"},
            "holdout": "5%",
            "send_window": {"days": "sat"},
            "steps": [{"tag": "x"}],
        }
    )
    assert Program.of(journey).first == "tag"
    assert describe_header(journey) == {
        "title": ("the title: Carts",),
        "enter": (
            "comes in on cart.updated with amount at least 50, if country is DE",
            "comes in on coming into the segment at_risk",
            "comes in on 7 days before each anniversary of birthday at 09:00 spread over 1 hour",
            "comes in at the times of 0 9 * * mon in Asia/Shanghai, made up for within 1 hour",
            "comes in by API or command",
        ),
        "re_enter": ("comes in again: 90 days after the last entry",),
        "exit": (
            "leaves at once on order.placed, as converted",
            "leaves at once on leaving the segment at_risk, as exited",
        ),
        "goal": ("the goal: order.placed within 30 days",),
        "holdout": ("held out: 5%",),
        "send_window": ("messages go sat",),
        "if_quiet": ("wait when a message may not go at this hour",),
        "if_capped": ("go on without it when a cap is reached",),
    }
