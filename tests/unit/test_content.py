"""What ships for marketers: nine journeys, their messages, and the sample that shows them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from activities.channels.segments import segments
from activities.intake.importing import CustomerFile, Rejection
from activities.messages.rendering import CustomerView, Templates, render_line
from activities.turns import gates
from journeys import sales
from journeys.definition import ENTERED
from journeys.fields import load_fields
from journeys.loading import LoadedJourney, load
from journeys.saying import say
from journeys.steps.ways import Branch, Loop, Split, WaitFor
from records.people.contacts import Contact
from tests.sample_walk import Event, Walker

ROOT = Path(__file__).parents[2]
DEFINITIONS, SAMPLES = ROOT / "definitions", ROOT / "samples"
TEMPLATES = Templates(ROOT / "templates")
FIELDS = load_fields(DEFINITIONS / "fields.yaml")
PLAYED = ("nurture", "renewal", "welcome", "win_back")
"""The journeys that the sample goes every way of."""
JOURNEYS = ("abandoned_cart", "birthday", "holiday_greetings", "post_purchase", "re_permission", *PLAYED)
MAPS: dict[str, LoadedJourney] = {name: load(DEFINITIONS / "journeys" / f"{name}.yaml", FIELDS) for name in JOURNEYS}
MESSAGES = sorted({send.send for one in MAPS.values() for _, send in one.program.sends()})
EMAILS = [message for message in MESSAGES if message.startswith("email/")]
TEXTS = [message for message in MESSAGES if message.startswith("sms/")]
LOCALES = ("en", "zh")
UNSUBSCRIBE = "https://kettlewick.example/u/token"
KNOWN: dict[str, dict[str, Any]] = {
    "en": {"first_name": "Christopher", "company": "Bramble & Sons", "tags": ["taster"]},
    "zh": {"first_name": "欧阳雨桐", "company": "云杉设计", "tags": ["taster"]},
}
OPTIONAL = {
    "birthday": "1988-02-29",
    "consent_date": "2024-05-01",
    "plan": "team",
    "renewal_date": "2027-01-04",
    "lifetime_value": 912,
    "last_order_at": "2026-08-01",
}
STANDARD_EVENTS = {"customer.signed_up", "email.opened", "email.clicked", "sms.replied", "order.placed", "task.done"}


def context(locale: str, *, known: bool) -> dict[str, Any]:
    """What a template is given, for somebody of whom everything or nothing optional is known."""
    values = {"email": "a@b.example", **(KNOWN[locale] | OPTIONAL if known else {})}
    return {
        "customer": CustomerView(values, FIELDS),
        "links": {"unsubscribe": UNSUBSCRIBE},
        "workspace": {
            "name": "Kettlewick Coffee",
            "address": "21 Ropewalk Lane, Singapore",
            "url": "https://k.example",
        },
        "journey": {"title": "Any"},
        "event": {},
    }


@cache
def rows() -> list[Contact | Rejection]:
    start = datetime(2026, 11, 23, tzinfo=UTC).date()
    table = CustomerFile(SAMPLES / "customers.csv", FIELDS, relative_to=start)
    return [row if isinstance(row, Rejection) else row.contact for row in table]


def contacts() -> dict[str, Contact]:
    return {row.external_id or "": row for row in rows() if isinstance(row, Contact)}


@cache
def happenings() -> list[dict[str, str]]:
    with (SAMPLES / "events.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str) -> timedelta:
    """`+1d2h30m` from the start."""
    match = re.fullmatch(r"\+(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?", text)
    assert match is not None, text
    assert any(match.groups()), text
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_shipped_journey_has_at_least_ten_steps_and_reacts_to_what_a_contact_does(name: str) -> None:
    steps = [node.step for node in MAPS[name].program.nodes.values()]

    assert len(steps) >= 10
    assert any(isinstance(step, Branch | Loop) or (isinstance(step, WaitFor) and step.else_) for step in steps)
    assert any(isinstance(step, WaitFor) for step in steps)


@pytest.mark.parametrize("name", JOURNEYS)
def test_every_step_of_a_shipped_journey_has_a_name_of_its_own(name: str) -> None:
    nodes = MAPS[name].program.nodes.values()

    assert [node.id for node in nodes if node.step.id is None] == []


def test_the_shipped_journeys_use_every_kind_of_step_that_needs_no_other_system() -> None:
    kinds = {type(node.step).__name__ for one in MAPS.values() for node in one.program.nodes.values()}

    assert kinds == {
        "Send", "Wait", "WaitFor", "Branch", "Split", "Score", "SetFields", "AddTag", "RemoveTag", "SetConsent",
        "Task", "Start", "Loop", "Finish",
    }  # fmt: skip


def test_every_template_that_ships_is_sent_by_a_journey() -> None:
    assert sorted([*TEMPLATES.messages("email"), *TEMPLATES.messages("sms")]) == MESSAGES


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_is_written_in_english_and_chinese_and_sound(message: str) -> None:
    assert TEMPLATES.locales(message) == ["en", "zh"]
    assert TEMPLATES.problems(message, FIELDS) == []


@pytest.mark.parametrize("known", [True, False], ids=["everything known", "nothing known"])
@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("message", EMAILS)
def test_every_email_renders_whatever_is_known_of_the_contact(message: str, locale: str, known: bool) -> None:
    mail = TEMPLATES.render_email(message, locale, context(locale, known=known))

    for part in (mail.subject, mail.html, mail.text):
        assert "None" not in part
        assert not re.search(r"\{[{%#]|[%#}]\}", part.partition("<style>")[0] + part.partition("</style>")[2])
    assert mail.subject == mail.subject.strip()
    assert len(mail.subject) <= (60 if locale == "en" else 30)
    assert f'lang="{"en" if locale == "en" else "zh-CN"}"' in mail.html
    assert "<p" not in mail.text
    assert not re.search(r"^[,，]|[,，]\s*[,，]|\s[,，。]", mail.text, re.MULTILINE), mail.text


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("message", EMAILS)
def test_every_email_can_be_left_by_a_link_and_says_who_wrote_it(message: str, locale: str) -> None:
    mail = TEMPLATES.render_email(message, locale, context(locale, known=True))

    for part in (mail.html, mail.text):
        assert UNSUBSCRIBE in part
        assert "21 Ropewalk Lane" in part


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("message", EMAILS)
def test_both_parts_of_an_email_lead_to_the_same_places(message: str, locale: str) -> None:
    mail = TEMPLATES.render_email(message, locale, context(locale, known=True))
    linked = re.findall(r'<a\s[^>]*href="([^"]+)"', mail.html)
    written = re.findall(r"https?://[^\s<>]+", mail.text)

    assert sorted(set(linked)) == sorted(set(written))
    assert all(re.match(r"https://kettlewick\.example/[a-z/-]+", link) for link in linked)


@pytest.mark.parametrize("known", [True, False], ids=["everything known", "nothing known"])
@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("message", TEXTS)
def test_every_text_message_fits_two_segments_and_says_how_to_stop(message: str, locale: str, known: bool) -> None:
    text = TEMPLATES.render_sms(message, locale, context(locale, known=known)).text

    assert segments(text).count <= (1 if locale == "en" else 2)
    assert len(text.encode("utf-16-le")) // 2 <= 134, "a name outside GSM-7 would make it three segments"
    assert text.endswith("STOP to opt out" if locale == "en" else "拒收请回复R")
    assert text.startswith("Kettlewick: " if locale == "en" else "【壶巷咖啡】")
    assert all(link.startswith("https://kettlewick.example/") for link in re.findall(r"https?://\S+", text))


def test_both_languages_of_a_message_lead_to_the_same_places() -> None:
    for message in EMAILS:
        places = [
            set(re.findall(r"https://\S+", TEMPLATES.render_email(message, locale, context(locale, known=True)).text))
            for locale in LOCALES
        ]
        assert places[0] == places[1], message


def test_the_task_that_sales_gets_names_the_lead_even_when_little_is_known() -> None:
    team = sales.load(DEFINITIONS, FIELDS)
    assert team is not None
    [rule] = team.rules
    titles = [
        render_line(rule.title, {"customer": CustomerView(values, FIELDS)})
        for values in ({"first_name": "Mei", "company": "Linden Press"}, {})
    ]

    assert titles == ["Qualified lead: Mei, Linden Press", "Qualified lead: unnamed, no company given"]


def test_a_layout_reads_only_what_every_message_has() -> None:
    used = {name for message in MESSAGES for name in TEMPLATES.variables(message)}

    assert {name for name in used if not name.startswith("customer.")} <= {
        "links.unsubscribe", "workspace.name", "workspace.address",
    }  # fmt: skip


def test_two_hundred_contacts_import_and_every_dirty_row_is_refused_with_its_reason() -> None:
    refused = [row for row in rows() if isinstance(row, Rejection)]

    assert len(contacts()) == 200
    assert [(row.fields, row.error.split(": ")[0][:45]) for row in refused] == [
        ("email", "email and phone are both missing"),
        ("email", "email 'maria.lind.at.post.example' is no mail"),
        ("phone", "phone '+44 12' is no phone number of GB"),
        ("renewal_date", "renewal_date '2026-02-30' is no day that exis"),
        ("country", "country 'Atlantis' is no country"),
        ("email", "email 'iris.vane.post.example' is no mail add"),
        ("phone", "phone '1.60455E+10' is a number that Excel ha"),
        ("time_zone", "time_zone 'Australia/Atlantis' is no time zon"),
        ("", "has 20 columns where the header has 19"),
        ("", "has 7 columns where the header has 19"),
        ("", 'a quote (") is opened or closed in the wrong '),
        ("consent_email", "consent_email 'ask again in May' is neither y"),
        ("lifetime_value", "lifetime_value 'lots' is no number"),
        ("locale", "locale 'english please' is no language tag (B"),
    ]


def test_the_sample_can_reach_nobody() -> None:
    for contact in contacts().values():
        assert (contact.email or "").endswith(".example")
        if contact.phone:
            assert phonenumbers.is_valid_number(phonenumbers.parse(contact.phone))


def test_the_sample_is_a_mixed_company() -> None:
    people = contacts().values()

    assert {person.country for person in people} == {"US", "GB", "DE", "CN", "SG", "AU", "CA", "IN"}
    assert sum((person.locale or "").startswith("zh") for person in people) > 40
    assert sum(not person.consents.get("email") for person in people) >= 3
    assert sum(not person.phone for person in people) >= 20
    assert len({person.email for person in people}) == len({person.external_id for person in people}) == 200
    phones = [person.phone for person in people if person.phone]
    assert len(set(phones)) == len(phones)


def test_events_name_only_contacts_events_and_messages_that_there_are() -> None:
    used = {entry.event for one in MAPS.values() for entry in one.journey.triggers}
    used |= {way.event for one in MAPS.values() for way in one.journey.exit}

    assert {row["customer"] for row in happenings()} == set(contacts())
    used |= {name for one in MAPS.values() for node in one.program.nodes.values()
             if isinstance(node.step, WaitFor) for name in node.step.wait_for.events}  # fmt: skip
    assert {row["event"] for row in happenings()} <= used | STANDARD_EVENTS
    assert {row["message"] for row in happenings()} <= {*MESSAGES, ""}
    assert {row["event"] for row in happenings() if row["message"]} == {"email.opened", "email.clicked", "sms.replied"}
    for row in happenings():
        assert timedelta(0) <= moment(row["at"]) <= timedelta(days=45)
        assert not row["properties"] or isinstance(json.loads(row["properties"]), dict)
        assert not row["value"] or float(row["value"]) > 0
    assert all(moment(one["at"]) <= moment(other["at"]) for one, other in pairwise(happenings()))


def test_every_contact_begins_a_story() -> None:
    triggers = {entry.event for name in PLAYED for entry in MAPS[name].journey.triggers} - {ENTERED}
    first: dict[str, dict[str, str]] = {}
    for row in happenings():
        first.setdefault(row["customer"], row)

    assert {row["event"] for row in first.values()} == triggers
    assert all(moment(row["at"]) <= timedelta(days=2) for row in first.values())


@cache
def everybody(start: datetime) -> list[Walker]:
    """The sample's people, walked through the maps on paper from `start` on."""
    team = sales.load(DEFINITIONS, FIELDS)
    assert team is not None
    [rule] = team.rules
    programs, ways = [one.program for one in MAPS.values()], Counter[tuple[str, str, str]]()
    table = CustomerFile(SAMPLES / "customers.csv", FIELDS, relative_to=start.date())
    people = {row.contact.external_id: row.contact for row in table if not isinstance(row, Rejection)}
    rules = gates.load(DEFINITIONS)
    lives: dict[str, list[Event]] = {}
    walkers = []
    for row in happenings():
        properties = json.loads(row["properties"]) if row["properties"] else {}
        if row["message"]:
            properties["message"] = row["message"]
        value = float(row["value"]) if row["value"] else None
        lives.setdefault(row["customer"], []).append(Event(start + moment(row["at"]), row["event"], properties, value))
    for customer, events in lives.items():
        walker = Walker(people[customer], programs, rule, rules, ways)
        walker.live(events, start + timedelta(days=46))
        walkers.append(walker)
    return walkers


HOURS = [datetime(2026, 11, 23, hour, minute, tzinfo=UTC) for hour, minute in ((0, 5), (9, 0), (15, 30), (23, 55))]
CLOCKS_CHANGE = [datetime(2027, 3, 2, 12, 0, tzinfo=UTC), datetime(2026, 10, 20, 12, 0, tzinfo=UTC)]


@pytest.mark.parametrize("start", [*HOURS, *CLOCKS_CHANGE], ids=str)
def test_nobody_answers_what_was_not_sent_yet_whenever_the_demo_starts(start: datetime) -> None:
    assert [misfit for walker in everybody(start) for misfit in walker.misfits] == []


@pytest.mark.parametrize("start", [*HOURS, *CLOCKS_CHANGE], ids=str)
def test_several_contacts_take_every_way_of_every_branch(start: datetime) -> None:
    walkers = everybody(start)
    taken = walkers[0].ways
    few = {way: taken[way] for way in ways_there_are() if taken[way] < 3}

    assert few == {}
    assert {way for way in taken if way[0] in PLAYED} == ways_there_are()


def ways_there_are() -> set[tuple[str, str, str]]:
    ways: set[tuple[str, str, str]] = set()
    for name, one in ((name, MAPS[name]) for name in PLAYED):
        for node in one.program.nodes.values():
            if isinstance(node.step, WaitFor):
                ways |= {(name, node.id, f"option {number}") for number in range(len(node.step.wait_for.options))}
                ways.add((name, node.id, "else"))
            if isinstance(node.step, Split):
                ways |= {(name, node.id, arm) for arm in node.step.split}
            if isinstance(node.step, Branch):
                ways |= {(name, node.id, say(arm.when) if arm.when else "otherwise") for arm in node.step.branch}
    return ways


def test_every_outcome_of_every_journey_is_reached_and_tasks_stay_open_for_sales() -> None:
    walkers = everybody(HOURS[1])
    outcomes = Counter((name, outcome) for walker in walkers for name, outcome in walker.outcomes.items())

    assert {outcome for name, outcome in outcomes if name == "nurture"} == {
        "converted", "won", "lost", "nurtured", "with_sales", "cold",
    }  # fmt: skip
    assert {outcome for name, outcome in outcomes if name == "renewal"} == {
        "renewed", "cancelled", "lapsed", "interrupted",
    }  # fmt: skip
    assert {outcome for name, outcome in outcomes if name == "welcome"} == {"converted", "warm", "tasted", "quiet"}
    assert {outcome for name, outcome in outcomes if name == "win_back"} == {
        "returned", "won_by_phone", "later", "gone", "kept", "sleeping",
    }  # fmt: skip
    assert sum(walker.open_tasks for walker in walkers) >= 10
    open_runs = [run.name for walker in walkers for run in walker.runs]
    assert not set(open_runs) & set(PLAYED), "everybody has come to an end in 46 days"


def test_the_generator_writes_the_sample_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SAMPLES / "generate.py"), str(tmp_path)], check=True)

    for name in ("customers.csv", "events.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / name).read_bytes()
