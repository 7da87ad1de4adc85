"""What shows only with messages and with the contacts who could enter."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.checking import Checker, entrants, published_names
from activities.intake.importing import CustomerFile, Rejection
from activities.messages.rendering import Templates
from activities.publishing import load_all, publish
from journeys.fields import load_fields, parse_fields
from journeys.loading import LoadedJourney, parse
from journeys.saying import say
from records.people import upserts
from records.people.contacts import Contact

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
FIELDS = parse_fields("fields:\n  company: {type: text}\n  plan: {type: text}\n")
HEAD = "journey: a\ntitle: A\nenter: api\nsteps:\n"
BODY = "templates/email/x/en/body.txt"
GUARDED = "{{ customer.first_name or 'there' }}{% if customer.company %} of {{ customer.company }}{% endif %}"


@pytest.fixture
def checker(tmp_path: Path) -> Checker:
    (tmp_path / "definitions" / "journeys").mkdir(parents=True)
    rules = "channels:\n  email: {}\n  sms: {most_segments: 2}\n"
    (tmp_path / "definitions" / "sending.yaml").write_text(rules, encoding="utf-8")
    return Checker(tmp_path / "definitions", Templates(tmp_path / "templates"), FIELDS)


def mail(checker: Checker, text: str, name: str = "x") -> None:
    folder = checker.templates.folder / "email" / name / "en"
    folder.mkdir(parents=True)
    for file in ("subject.txt", "body.html", "body.txt"):
        unsubscribe = "" if file == "subject.txt" else " {{ links.unsubscribe }}"
        (folder / file).write_text((text if file == "body.txt" else "Hello") + unsubscribe, encoding="utf-8")


def text(checker: Checker, words: str, locale: str = "en") -> None:
    folder = checker.templates.folder / "sms" / "x"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{locale}.txt").write_text(words, encoding="utf-8")


def journey(steps: str, head: str = HEAD) -> LoadedJourney:
    return parse(f"{head}{steps}\n", "map.yaml", FIELDS)


async def people(db: AsyncConnection, *contacts: dict[str, Any]) -> None:
    for number, contact in enumerate(contacts):
        one = Contact(external_id=f"c{number}", email=f"c{number}@post.example", **contact)
        await upserts.upsert(db, one, now=NOW)


async def look(checker: Checker, engine: AsyncEngine, loaded: LoadedJourney, *contacts: dict[str, Any]) -> list[str]:
    async with engine.connect() as db:
        await people(db, *contacts)
        found = await checker.check_contacts(db, [loaded], NOW)
        await db.rollback()
    assert {one.severity for one in found} <= {"warning"}
    return [f"{one.line}:{one.column}: {one.message}" for one in found]


ACME = {"properties": {"company": "Acme"}, "country": "DE"}
NOBODY: dict[str, Any] = {"country": "CN"}
BLANK = {"properties": {"company": "  "}, "country": "CN"}


async def test_a_field_that_contacts_lack_is_counted_at_the_message_that_names_it_bare(
    checker: Checker, engine: AsyncEngine
) -> None:
    mail(checker, "Dear {{ customer.company }}, hello")
    assert await look(checker, engine, journey("  - send: email/x"), ACME, NOBODY, BLANK) == [
        f"5:5: company is empty for 2 of 3 contacts; email/x names it without a default ({BODY}:1)"
    ]
    assert await look(checker, engine, journey("  - send: email/x"), ACME) == []


async def test_only_those_who_could_enter_are_counted(checker: Checker, engine: AsyncEngine) -> None:
    mail(checker, "Dear {{ customer.company }}, hello")
    loaded = journey("  - send: email/x", HEAD.replace("api", "{on: e, where: {country: DE}}"))
    assert await look(checker, engine, loaded, ACME, NOBODY) == []
    loaded = journey("  - send: email/x", HEAD.replace("api", "[{on: e, where: {country: DE}}, api]"))
    assert len(await look(checker, engine, loaded, ACME, NOBODY)) == 1


@pytest.mark.parametrize(
    "words",
    [
        GUARDED,
        "{{ customer.company | default('you', true) }}",
        "{{ customer.company if customer.company else 'you' }}",
        "{% if customer.plan and customer.company %}{{ customer.plan | upper }} {{ customer.company[0] }}{% endif %}",
        "{% if not customer.company %}you{% else %}{{ customer.company }}{% endif %}",
        "{% set company = customer.company or 'you' %}{{ company }}",
        "{% if customer.plan == 'home' %}at home{% else %}at work{% endif %} {{ customer.email }} {{ customer.stage }}",
        "{% for tag in customer.tags %}{{ tag }}{% endfor %}",
    ],
)
async def test_a_field_with_something_in_its_place_is_no_alarm(
    checker: Checker, engine: AsyncEngine, words: str
) -> None:
    mail(checker, words)
    assert await look(checker, engine, journey("  - send: email/x"), NOBODY) == []


@pytest.mark.parametrize(
    "words",
    [
        "{{ customer.company }}",
        "{{ customer['company'] | upper }}",
        "{% if customer.plan %}{% endif %}{{ customer.company }}",
        "{% if customer.company %}{% endif %}{{ customer.company }}",
        "{% include 'parts/name.txt' %}",
    ],
)
async def test_a_bare_field_is_found_wherever_it_stands(checker: Checker, engine: AsyncEngine, words: str) -> None:
    mail(checker, words)
    (checker.templates.folder / "parts").mkdir()
    (checker.templates.folder / "parts" / "name.txt").write_text("{{ customer.company }}", encoding="utf-8")
    (warning,) = await look(checker, engine, journey("  - send: email/x"), NOBODY)
    assert warning.startswith("5:5: company is empty for 1 of 1 contact;")


@pytest.mark.parametrize(
    "arms",
    [
        "{when: {all: [{tag: a}, {field: {name: company, exists: true}}]}, steps: [{send: email/x}]}",
        "{when: {field: {name: company, contains: Inc}}, steps: [{tag: b}, {send: email/x}]}",
        "{when: {field: {name: company, exists: false}}, steps: []}, {otherwise: true, steps: [{send: email/x}]}",
    ],
)
async def test_a_field_that_the_way_to_the_message_asked_for_is_no_alarm(
    checker: Checker, engine: AsyncEngine, arms: str
) -> None:
    mail(checker, "Dear {{ customer.company }}, hello")
    assert await look(checker, engine, journey(f"  - branch: [{arms}]"), NOBODY) == []
    elsewhere = arms.replace("company, exists: true", "plan, exists: true").replace("company, c", "plan, c")
    if elsewhere != arms:
        assert len(await look(checker, engine, journey(f"  - branch: [{elsewhere}]"), NOBODY)) == 1


async def test_the_title_of_a_task_is_looked_at_too(checker: Checker, engine: AsyncEngine) -> None:
    loaded = journey("  - task: {queue: q, title: 'Call {{ customer.name }} of {{ customer.company or 1 }}'}")
    assert await look(checker, engine, loaded, NOBODY, {"last_name": "Lovelace"}) == [
        "5:22: name is empty for 1 of 2 contacts; the title names it without a default"
    ]


async def test_a_text_that_gets_long_for_some_is_a_warning_with_how_many(checker: Checker, engine: AsyncEngine) -> None:
    text(checker, f"Hello {{{{ customer.first_name or 'there' }}}}, {'x' * 270}")
    loaded = journey("  - send: sms/x")
    assert checker.check([loaded]) == []
    assert await look(checker, engine, loaded, {"first_name": "Ada"}, {"first_name": "Bartholomew" * 4}, {}) == [
        "5:5: sms/x runs to 3 segments for 1 contact, such as c1; at most 2"
    ]
    assert await look(checker, engine, loaded, {"first_name": "Ada"}) == []


async def test_a_letter_that_changes_the_alphabet_makes_a_text_long(checker: Checker, engine: AsyncEngine) -> None:
    text(checker, f"Hello {{{{ customer.first_name or 'there' }}}}, {'x' * 150}")
    assert await look(checker, engine, journey("  - send: sms/x"), {"first_name": "Zoé"}, {"first_name": "Ада"}) == [
        "5:5: sms/x runs to 3 segments for 1 contact, such as c1; at most 2"
    ]


def test_a_text_that_is_long_for_everybody_is_an_error_in_its_language(checker: Checker) -> None:
    text(checker, "x" * 300)
    text(checker, "短" * 140, "zh")
    (problem,) = checker.check([journey("  - send: sms/x")])
    assert (problem.severity, str(problem)) == ("error", "map.yaml:5:5: sms/x in zh runs to 3 segments; at most 2")


def test_what_is_wrong_with_a_call_stands_at_it(checker: Checker) -> None:
    (problem,) = checker.check([journey("  - webhook: {url: 'https://a.example', body: {x: '{{ customer.nmae }}'}}")])
    assert (problem.severity, problem.line, problem.column) == ("error", 5, 5)
    assert "nmae" in problem.message


def test_other_maps_of_the_folder_are_known_to_one_that_is_checked_alone(checker: Checker) -> None:
    (checker.definitions / "journeys" / "other.yaml").write_text(
        HEAD.replace("journey: a", "journey: other") + "  - send: email/news\n", encoding="utf-8"
    )
    (checker.definitions / "journeys" / "broken.yaml").write_text("journey: [", encoding="utf-8")
    loaded = journey("  - branch: [{when: {opened: email/news}, steps: [{start: other}]}]")
    assert checker.check([loaded], published=()) == []


async def test_a_published_journey_may_be_started_though_its_file_is_elsewhere(
    checker: Checker, engine: AsyncEngine
) -> None:
    starts, far = journey("  - start: far"), journey("  - tag: x", HEAD.replace("journey: a", "journey: far"))
    assert [one.severity for one in checker.check([starts])] == ["warning"]
    async with engine.connect() as db:
        assert [one.severity for one in checker.check([starts], await published_names(db))] == ["error"]
        await publish(db, [far], now=NOW, by="test")
        assert checker.check([starts], await published_names(db)) == []


def test_who_may_enter_is_told_by_all_ways_in() -> None:
    ways = "[{on: e, where: {tag: a}}, {segment: s, where: {tag: b}}]"
    among = entrants(journey("  - tag: x", HEAD.replace("api", ways)).journey)
    assert among is not None
    assert say(among) == "tagged a or tagged b"
    assert entrants(journey("  - tag: x", HEAD.replace("api", "[{on: e, where: {tag: a}}, {on: f}]")).journey) is None


async def test_the_shipped_journeys_raise_no_alarm_among_the_contacts_of_the_sample(engine: AsyncEngine) -> None:
    fields = load_fields(ROOT / "definitions" / "fields.yaml")
    shipped = load_all(ROOT / "definitions" / "journeys", fields)
    checker = Checker(ROOT / "definitions", Templates(ROOT / "templates"), fields)
    table = CustomerFile(ROOT / "samples" / "customers.csv", fields, relative_to=NOW.date())
    async with engine.connect() as db:
        for row in table:
            if not isinstance(row, Rejection):
                await upserts.upsert(db, row.contact, now=NOW)
        found = await checker.check_contacts(db, shipped, NOW)
        found += checker.check(shipped, await published_names(db))
    assert [str(one) for one in found] == []
