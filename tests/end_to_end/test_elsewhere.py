"""The whole main job on servers that others run: a second PostgreSQL and a second Temporal server, a relay and an SMS
provider, all named by environment variables only."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from journeys import attributes
from tests.end_to_end.apart import NAMESPACE, Apart, Role, apart
from tests.end_to_end.conftest import until
from tests.patience import PATIENCE, gone

TASTING = """\
journey: tasting
title: A tasting at the office
enter:
  - {on: tasting.requested, where: {consent: email}}
  - api
exit:
  - {on: customer.left, as: left}
steps:
  - score: {points: 20, because: asked for a tasting}
  - send: email/office_guide
  - wait_for: {on: email.clicked, message: email/office_guide, up_to: 3d}
    then:
      - score: {points: 20, because: read the guide}
      - branch:
          - when: {all: [{consent: sms}, {clicked: email/office_guide}]}
            steps:
              - send: sms/office_question
              - wait_for: {on: sms.replied, up_to: 2d}
                then:
                  - score: {points: 25, because: answered our text}
    else:
      - tag: quiet
  - branch:
      - when: {score: {at_least: 60}}
        steps:
          - send: email/meet_your_roaster
          - wait_for: {on: task.done, up_to: 14d}
          - branch:
              - when: {event: {name: task.done, with: {outcome: won}}}
                steps:
                  - set: {stage: customer}
                  - send: email/onboarding
                  - finish: won
  - finish: not_yet
"""

PEOPLE = """\
external_id,first_name,email,phone,email_consent,sms_consent,company,country,locale
ada,Ada,ada@far.example,+6581230001,yes,yes,Acme,SG,en
wen,文,wen@far.example,+8616600000001,yes,yes,远帆,CN,zh-CN
bo,Bo,bo@far.example,,yes,no,,,en
nobody,No,not an address,,yes,no,,,en
"""


@pytest.fixture(scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apart]:
    """The servers, and nothing of Waymark on them yet."""
    async with apart(tmp_path_factory.mktemp("far"), tasting=TASTING) as servers:
        yield servers


@pytest.fixture(scope="module")
def migrated(far: Apart) -> Any:
    """What the first `waymark migrate` said."""
    return far.document("migrate")


@pytest.fixture(scope="module")
def crew(far: Apart, migrated: Any) -> Iterator[Role]:
    """Two worker processes, the console, the contacts and the map."""
    far.waymark("journeys", "publish")
    people = far.home.parent / "people.csv"
    people.write_text(PEOPLE)
    report = far.document("import", str(people))
    assert (report["created"], [row["line"] for row in report["rejected"]]) == (3, [5])
    with (
        far.role("worker", "--processes", "2", until="2 worker processes run") as workers,
        far.role("console", until="The console listens"),
    ):
        yield workers


async def known_attributes(far: Apart) -> set[str]:
    client = await Client.connect(far.temporal.address, namespace=NAMESPACE)
    listing = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=NAMESPACE))
    return set(listing.custom_attributes) & set(attributes.KINDS)


async def test_migrate_brings_a_bare_database_and_a_bare_namespace_to_this_release(far: Apart, migrated: Any) -> None:
    assert migrated["applied"]
    assert set(migrated["search_attributes"]) == set(attributes.KINDS) == await known_attributes(far)


async def test_migrate_changes_nothing_where_all_is_up_to_date(far: Apart, migrated: Any) -> None:
    again = far.waymark("migrate", "--json")
    assert (far.document("migrate")["applied"], again.stderr) == ([], "")
    assert "up to date" in far.waymark("migrate").stderr


def test_doctor_is_content_with_all_servers_and_finds_both_workers(far: Apart, crew: Role) -> None:
    findings = far.lines("doctor")
    assert {one["state"] for one in findings} == {"ok"}
    details = {one["part"]: one["detail"] for one in findings}
    assert far.temporal.address in details["Temporal"]
    assert NAMESPACE in details["Temporal"]
    assert details["workers"].startswith("2 on the queue")


def test_maps_are_checked_and_published_and_contacts_are_there(far: Apart, crew: Role) -> None:
    assert far.document("journeys", "validate")["journeys"] == ["tasting"]
    assert [(one["journey"], one["new"]) for one in far.lines("journeys", "publish")] == [("tasting", False)]
    assert [one["external_id"] for one in far.lines("customers", "list")] == ["ada", "wen", "bo"]


def test_a_contact_goes_all_the_way_from_an_event_to_a_won_deal(far: Apart, crew: Role) -> None:
    sent = far.document("events", "send", "ada", "tasting.requested", "--key", "ada-asks")
    assert (sent["enrolled"], sent["complete"]) == (["tasting"], True)
    assert far.document("events", "send", "ada", "tasting.requested", "--key", "ada-asks")["duplicate"]

    [guide] = until(lambda: far.mails_to("ada"))
    run = arrives(far, "ada", "wait-for-email-clicked")
    shown = far.document("runs", "show", str(run["id"]))
    assert shown["workflow"] == f"journey/tasting/{run['customer_id']}/1"
    assert [touch["status"] for touch in shown["touches"]] == ["sent"]

    follow_the_link(far, guide)
    [text] = until(lambda: far.texts.messages(to="+6581230001"))
    assert "how many of you drink coffee" in text["body"]
    arrives(far, "ada", "wait-for-sms-replied")
    far.texts.reply("+6581230001", "12 of us")

    until(lambda: len(far.mails_to("ada")) == 2)
    [task] = far.lines("tasks", "list", "--queue", "sales")
    assert (task["status"], task["customer"], task["details"]["score"]) == ("open", "Ada", 65)
    assert "answered our text" in task["because"]
    arrives(far, "ada", "wait-for-task-done")
    far.waymark("tasks", "claim", str(task["id"]), "--rep", "lena")
    far.waymark("tasks", "done", str(task["id"]), "--rep", "lena", "--outcome", "won", "--note", "a box a week")

    ended = until(lambda: [one for one in far.lines("runs", "list", "--customer", "ada") if one["ended_at"]])[0]
    assert (ended["status"], ended["outcome"]) == ("finished", "won")
    assert far.lines("tasks", "list", "--status", "open") == []

    story = far.document("customers", "show", "ada")
    assert (story["customer"]["stage"], story["customer"]["score"]) == ("customer", 65)
    told = [entry["title"] for entry in story["timeline"]]
    for chapter in (
        "tasting.requested", "entered tasting", "+20 points", "email/office_guide sent", "email.clicked",
        "sms/office_question sent", "sms.replied", "+25 points", "Qualified lead: Ada, Acme",
        "email/meet_your_roaster sent", "task.done", "Qualified lead: Ada, Acme: won", "stage: qualified → customer",
        "email/onboarding sent", "left tasting: won",
    ):  # fmt: skip
        assert told.count(chapter) == (2 if chapter == "+20 points" else 1), (chapter, told)
    assert len(far.mails_to("ada")) == 3
    assert len({mail["subject"] for mail in far.mails_to("ada")}) == 3


def test_a_chinese_contact_who_is_enrolled_by_hand_is_written_to_in_chinese(far: Apart, crew: Role) -> None:
    [entered] = far.lines("enrol", "tasting", "wen")
    [guide] = until(lambda: far.mails_to("wen"))
    arrives(far, "wen", "wait-for-email-clicked")
    follow_the_link(far, guide)
    [text] = until(lambda: far.texts.messages(to="+8616600000001"))
    assert re.search("[一-鿿]", text["body"])
    assert re.search("[一-鿿]", guide["subject"])
    shown = far.document("runs", "show", str(entered["enrolment"]))
    assert [touch["locale"] for touch in shown["touches"]] == ["zh", "zh"]


def test_an_event_that_is_an_exit_ends_a_run_in_the_middle_of_its_wait(far: Apart, crew: Role) -> None:
    far.waymark("enrol", "tasting", "bo")
    until(lambda: far.mails_to("bo"))
    arrives(far, "bo", "wait-for-email-clicked")
    assert far.document("events", "send", "bo", "customer.left")["woken"] == ["tasting"]
    [run] = until(lambda: [one for one in far.lines("runs", "list", "--customer", "bo") if one["ended_at"]])
    assert (run["status"], run["outcome"]) == ("exited", "left")


# The last test: it sends the workers home.
def test_no_server_of_its_own_was_started_and_workers_leave_in_order(far: Apart, crew: Role) -> None:
    assert sorted(path.name for path in far.home.iterdir()) == ["logs"]
    family = crew.family()
    assert len(family) == 3
    assert crew.stop() == 0
    assert gone(family)


def arrives(far: Apart, name: str, step: str) -> dict[str, Any]:
    """The run of somebody who is here once, when it waits at a step."""

    def found() -> list[dict[str, Any]]:
        runs = far.lines("runs", "list", "--customer", name)
        return [run for run in runs if (run["step"], run["state"]) == (step, "waiting")]

    run: dict[str, Any] = until(found)[0]
    return run


def follow_the_link(far: Apart, mail: dict[str, Any]) -> None:
    """Click on the first link of a mail, which leads through the console."""
    body = far.mails.message(mail["id"])["html"]
    console = far.environment["WAYMARK_CONSOLE_URL"]
    [link, *_] = re.findall(rf"{re.escape(console)}/c/[\w.~-]+", body)
    answer = httpx.get(link, timeout=PATIENCE)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("https://kettlewick.example/")
