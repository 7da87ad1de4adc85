"""What stands in the Temporal UI: enough to follow a run by, and not a word about the person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

from activities.channels.email import EmailChannel
from journeys.attributes import KINDS
from records.runs.enrolments import Enrolment
from tests.patience import PATIENCE
from tests.relay import ScriptedRelay, relay
from tests.workflow.stage import Stage, staged

DAY = timedelta(days=1)

PERSON: dict[str, Any] = {
    "email": "zenobia.quill@roasters.example", "phone": "+4930901820", "last_name": "Quillfeather",
    "external_id": "crm-81723", "time_zone": "Asia/Kathmandu", "locale": "en",
}  # fmt: skip
COMPANY = "Zirkon Verlag"
SECRETS = ("zenobia", "quillfeather", "roasters.example", "30901820", "crm-81723", "kathmandu", "zirkon", "mailbox of")
"""Pieces of what we know about the person, and of what the relay says about it."""
MAIL_WORDS = ("three coffees", "unsubscribe")
"""Pieces of what the templates make of it."""

SHAPES = {
    "sends": """
  - send: email/welcome
  - wait: 3d
  - send: email/brew_guide
  - wait_for: {on: email.clicked, message: email/brew_guide, up_to: 3d}
    then: [{tag: keen}]
    else: [{set: {plan: team}}]
  - wait: 40d
  - send: email/first_order
  - wait: 40d""",
    "sells": """
  - branch:
      - when: {field: {name: company, exists: true}}
        steps: [{score: {points: 70, because: has an office}}]
  - task: {queue: sales, title: "Call {{ customer.first_name }} at {{ customer.company }}"}
  - wait_for: {on: task.done, up_to: 9d}
  - wait: {until: {date: customer.renewal_date, offset: -5d}}
  - finish: sold""",
}


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedRelay]:
    async with relay() as one:
        yield one


@pytest.fixture
async def stage(engine: AsyncEngine, client: Client, tmp_path: Path, scripted: ScriptedRelay) -> AsyncIterator[Stage]:
    email = EmailChannel(scripted.url, "Waymark <hello@waymark.example>")
    async with staged(engine, client, tmp_path, channels={"email": email}) as one:
        yield one
    await email.close()


async def publish(stage: Stage, shape: str) -> None:
    exits = "exit: [{on: customer.left, as: gone}]"
    await stage.publish(f"journey: {shape}\ntitle: About {shape}\nenter: api\n{exits}\nsteps:{SHAPES[shape]}\n")


async def zenobia(stage: Stage) -> int:
    renewal = (stage.start + 20 * DAY).date().isoformat()
    return await stage.customer("Zenobia", properties={"company": COMPANY, "renewal_date": renewal}, **PERSON)


def words(message: Message) -> Iterator[str]:
    """Every text in a message of the Temporal API, payloads decoded."""
    for field, value in message.ListFields():
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            for key in value:
                yield str(key)
                one = value[key]
                yield from words(one) if isinstance(one, Message) else [_text(one)]
            continue
        for one in value if field.is_repeated else [value]:
            yield from words(one) if isinstance(one, Message) else [_text(one)]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


async def shown(stage: Stage, run: Enrolment) -> str:
    """Everything that Temporal knows of a run: the histories of all its executions, and what describes it."""
    parts: list[str] = []
    async for execution in stage.client.list_workflows(f"WorkflowId = '{stage.handle(run).id}'"):
        handle = stage.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        history = await handle.fetch_history()
        for event in history.events:
            parts += words(event)
        parts += words((await handle.describe()).raw_description)
    parts += [await stage.details(run), str(await stage.handle(run).query("state"))]
    return "\n".join(parts).lower()


def assert_discreet(everything: str) -> None:
    assert "waymarkstep" in everything  # we did look
    assert [secret for secret in (*SECRETS, *MAIL_WORDS) if secret in everything] == []


async def test_a_run_of_sends_and_waits_over_months_shows_nothing_of_the_person(stage: Stage) -> None:
    await publish(stage, "sends")
    customer = await zenobia(stage)
    run = await stage.enrol(customer, "sends")
    await stage.event(customer, "email.clicked", 4 * DAY, message="email/brew_guide", by="Zenobia Quillfeather")
    await stage.pass_time(customer, 100 * DAY)
    assert (await stage.run(run.id)).outcome == "completed"
    assert [touch.status for touch in await stage.touches(customer)] == ["sent"] * 3
    await listed(stage, run, executions=2)
    assert_discreet(await shown(stage, run))


async def test_a_run_that_sells_shows_nothing_of_the_person(stage: Stage) -> None:
    await publish(stage, "sells")
    customer = await zenobia(stage)
    run = await stage.enrol(customer, "sells")
    first, _ = await stage.tasks()
    await stage.time.meet(customer, stage.start + DAY, "task.done")
    waiting = await stage.run(run.id)
    await stage.parts.desk.finish(
        first.id, "Rae", "won", note="Zenobia is nice", now=stage.start + DAY, amount=Decimal(900)
    )
    await stage.time.moved([waiting])
    await stage.pass_time(customer, 30 * DAY)
    assert (await stage.run(run.id)).outcome == "sold"
    await listed(stage, run)
    assert_discreet(await shown(stage, run))


@pytest.mark.parametrize("code", ["550 5.1.1", "451 4.2.2", "554 5.7.1"])
async def test_what_a_relay_says_about_the_person_stays_in_the_records(
    stage: Stage, scripted: ScriptedRelay, code: str
) -> None:
    scripted.answers = {"rcpt": f"{code} <{PERSON['email']}>: no mailbox of Zenobia Quillfeather"}
    await publish(stage, "sends")
    customer = await zenobia(stage)
    run = await stage.enrol(customer, "sends")
    because = (await stage.run(run.id)).because or ""
    touches = await stage.touches(customer)
    assert "zenobia" in f"{because} {[touch.because for touch in touches]}".lower()
    await listed(stage, run)
    assert_discreet(await shown(stage, run))


async def test_a_failure_names_its_kind_and_place_and_nothing_of_the_row(stage: Stage) -> None:
    await publish(stage, "sends")
    customer = await zenobia(stage)
    async with stage.engine.begin() as db:
        await db.execute(text("ALTER TABLE touches ADD CONSTRAINT broken CHECK (subject IS NULL) NOT VALID"))
    run = await stage.parts.audience.router.enrol(customer, "sends", source="api", now=stage.start)
    carried = asyncio.create_task(stage.time.carry_all(customer, stage.start))
    failure = ""
    while not failure:
        pending = (await stage.handle(run).describe()).raw_description.pending_activities
        failure = "\n".join(words(pending[0].last_failure)) if pending and pending[0].HasField("last_failure") else ""
    assert "IntegrityError in records/messages/ledger.py:" in failure
    assert_discreet(f"waymarkstep {failure.lower()}")
    async with stage.engine.begin() as db:
        await db.execute(text("ALTER TABLE touches DROP CONSTRAINT broken"))
    await carried
    await listed(stage, run)
    everything = await shown(stage, run)
    assert "integrityerror in records/messages/ledger.py:" in everything
    assert_discreet(everything)


async def listed(stage: Stage, run: Enrolment, executions: int = 1) -> None:
    """Return when the server's index, which follows a little behind, knows all executions of a run."""
    query = f"WorkflowId = '{stage.handle(run).id}' AND WaymarkEnrolment = '{run.id}'"
    async with asyncio.timeout(PATIENCE):
        while (await stage.client.count_workflows(query)).count < executions:
            await asyncio.sleep(0.05)


async def test_a_run_is_found_by_journey_version_step_status_and_enrolment(stage: Stage) -> None:
    await publish(stage, "sends")
    customer = await zenobia(stage)
    run = await stage.enrol(customer, "sends")
    described = await stage.handle(run).describe()
    ours = {pair.key.name: pair.value for pair in described.typed_search_attributes if pair.key.name in KINDS}
    assert ours == {
        "WaymarkJourney": "sends", "WaymarkVersion": 1, "WaymarkStep": "wait-3d", "WaymarkStatus": "waiting",
        "WaymarkEnrolment": str(run.id),
    }  # fmt: skip
    assert await described.static_summary() == "About sends v1"
    assert f"waymark runs show {run.id}" in (await described.static_details() or "")
    until = run.wakes_at
    assert await stage.details(run) == (
        f"sends v1: **wait-3d** (waiting): wait 3 days until {until:%Y-%m-%d %H:%M} UTC, because sent"
    )


async def test_each_timer_and_activity_says_what_it_is_for_in_the_words_of_the_map(stage: Stage) -> None:
    await publish(stage, "sends")
    customer = await zenobia(stage)
    run = await stage.enrol(customer, "sends")
    await stage.pass_time(customer, 7 * DAY)
    history = await stage.handle(run).fetch_history()
    timers = [event for event in history.events if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED]
    sends = [event for event in history.events if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
    summaries = [[event.user_metadata.summary.data.decode().strip('"') for event in kind] for kind in (timers, sends)]
    assert summaries == [
        ["wait 3 days", "wait 3 days for email.clicked on email/brew_guide", "wait 40 days"],
        ["send email/welcome", "send email/brew_guide"],
    ]


def cost(history: WorkflowHistory) -> int:
    """The events of a run but for those that only skipping time causes: its own, and tasks in which nothing came of
    them because the server woke the run to tell it of the skip."""
    skips = (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    )
    tasks = [one.workflow_task_completed_event_attributes for one in history.events]
    done = [one for one in tasks if one.started_event_id]
    causes = {getattr(_attributes(one), "workflow_task_completed_event_id", 0) for one in history.events}
    idle = [one for one in done if one.started_event_id + 1 not in causes]
    return len([one for one in history.events if one.event_type not in skips]) - 3 * len(idle)


def _attributes(event: Any) -> Any:
    return getattr(event, event.WhichOneof("attributes"))


async def test_a_send_and_a_wait_cost_twelve_events_where_the_barest_workflow_has_eleven(stage: Stage) -> None:
    lengths = []
    for count in (1, 10):
        steps = "".join(f"  - {{id: s{n}, send: email/welcome}}\n  - {{id: w{n}, wait: 1d}}\n" for n in range(count))
        await stage.publish(f"journey: long_{count}\ntitle: Long\nenter: api\nsteps:\n{steps}")
        customer = await stage.customer(f"Zenobia{count}")
        run = await stage.enrol(customer, f"long_{count}")
        await stage.pass_time(customer, (count + 1) * DAY)
        assert (await stage.run(run.id)).outcome == "completed"
        assert len(await stage.touches(customer)) == count
        lengths.append(cost(await stage.handle(run).fetch_history()))
    per_step = (lengths[1] - lengths[0]) / 9
    assert per_step == 12, f"{per_step} events"
