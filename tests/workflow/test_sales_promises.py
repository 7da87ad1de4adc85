"""What is promised about a task of sales is kept at its exact moment, whatever happens in between."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import TimeSkippingConfig
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from activities.sales.keepers import workflow_id
from activities.sales.selling import key_of
from journeys.salestask import Look, Outlook, SalesTask, Workday
from journeys.team import Manager, Rep
from records.people import customers
from records.people.timeline import timeline
from records.sales import assignments, notices, tasks
from records.sales.assignments import Step
from records.sales.notices import Notice
from records.sales.tasks import Task
from tests.patience import PATIENCE
from tests.workflow.stage import ROOT, Stage, staged
from workers import histories
from workers.salesdays import PREFIX, SalesDays, end_of_day

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RULE = """
threshold: 60
again_below: 40
due: 1 working day
stage: qualified
marketing: stop
assign: round_robin
remind: 2h before due
reassign_after: 4 working hours
escalate_after: 1 working day
expire_after: 3 working days
working: {days: mon-fri, from: "09:00", to: "18:00"}
reps:
  - {name: Mei, email: mei@acme.example, time_zone: UTC}
  - {name: Tom, email: tom@acme.example, time_zone: UTC}
manager: {name: Ada, email: ada@acme.example, time_zone: UTC}
"""
HOT = """
journey: hot
title: Hot
enter: api
steps:
  - score: {points: 65, because: asked for a call}
  - wait_for: {on: [task.done, task.expired], up_to: 60d}
  - send: email/welcome
"""
CALL = """
journey: call
title: Call
enter: api
steps:
  - task: {queue: sales, title: "Ring {{ customer.first_name }}", because: asked for a call, WHAT}
  - wait_for: {on: [task.done, task.expired], up_to: 60d}
  - send: email/welcome
"""
DUE = MONDAY + DAY


@asynccontextmanager
async def selling(
    engine: AsyncEngine, client: Client, home: Path, rule: str = RULE, start: datetime = MONDAY
) -> AsyncIterator[Stage]:
    """A Waymark with this rule of the handoff."""
    definitions = home / "definitions"
    definitions.mkdir(exist_ok=True)
    (definitions / "handoff.yaml").write_text(rule)
    shutil.copy(ROOT / "definitions" / "fields.yaml", definitions)
    async with staged(engine, client, home, start=start, definitions=definitions) as stage:
        await stage.publish(HOT)
        yield stage


@pytest.fixture
async def sales(engine: AsyncEngine, client: Client, tmp_path: Path) -> AsyncIterator[Stage]:
    async with selling(engine, client, tmp_path) as stage:
        yield stage


async def qualify(stage: Stage, name: str = "Ann", **columns: Any) -> Task:
    """A lead that goes to sales at the start."""
    customer = await stage.customer(name, **columns)
    await stage.enrol(customer, "hot")
    return next(task for task in await stage.tasks() if task.customer_id == customer)


async def hand_over(stage: Stage, name: str = "Ann", **columns: Any) -> Task:
    """A lead that goes to sales at the start, of which its rep has heard."""
    task = await qualify(stage, name, **columns)
    await hear(stage, task.id)
    return task


async def hear(stage: Stage, task: int) -> None:
    """Let the mail go that tells of a task: the server's clock is a minute behind the start."""
    outlook = await rests(stage, task)
    assert outlook is not None
    if outlook.next == "mail":
        await elapse(stage, task)


async def rests(stage: Stage, task: int, unlike: Callable[[Outlook], bool] = lambda _: False) -> Outlook | None:
    """Return when the workflow rests, and no longer as `unlike` says: what is next; None once it has ended."""
    handle: WorkflowHandle[Any, Any] = stage.client.get_workflow_handle(workflow_id(task))
    async with asyncio.timeout(PATIENCE):
        while True:
            described = await handle.describe()
            if described.status is not WorkflowExecutionStatus.RUNNING:
                return None
            raw = described.raw_description
            now: Outlook | None = await handle.query(SalesTask.outlook)
            quiet = not (raw.HasField("pending_workflow_task") or raw.pending_activities)
            if quiet and now is not None and not now.mail and not unlike(now):
                return now
            await asyncio.sleep(0.02)


async def elapse(stage: Stage, task: int) -> Outlook | None:
    """Let the task's timer elapse, exactly; returns what is next."""
    before = await rests(stage, task)
    assert before is not None
    where = SimpleNamespace(workflow=workflow_id(task))
    await stage.time._skip(where, TimeSkippingConfig(enabled=True, max_session_skip_count=1))  # type: ignore[arg-type]
    return await rests(stage, task, lambda now: now == before)


async def read(stage: Stage, task: int) -> tuple[Task, list[Step], list[Notice]]:
    async with stage.engine.connect() as db:
        return (
            await tasks.get(db, task),
            await assignments.history(db, task),
            await notices.for_task(db, task),
        )


async def sent(stage: Stage, customer: int, journey: str) -> bool:
    """Whether the journey goes on to its message, now that the task has ended."""
    async with asyncio.timeout(PATIENCE):
        while not (made := [touch for touch in await stage.touches(customer) if touch.journey == journey]):
            await asyncio.sleep(0.02)
        while made[-1].status == "claimed":
            await asyncio.sleep(0.02)
            made = [touch for touch in await stage.touches(customer) if touch.journey == journey]
    return made[-1].status == "sent"


async def story(stage: Stage, task: int) -> list[tuple[str, str | None, datetime]]:
    return [(step.kind, step.rep, step.at) for step in (await read(stage, task))[1]]


async def test_a_task_that_nobody_touches_is_reminded_of_reassigned_escalated_and_expires_each_at_its_moment(
    sales: Stage,
) -> None:
    task = await hand_over(sales)
    assert (task.due_at, task.assigned_to, task.rule, task.marketing) == (DUE, "Mei", "qualified", "stop")
    tuesday, wednesday, friday = DUE, DUE + DAY, DUE + 3 * DAY
    await sales.time.meet(task.customer_id, friday, "task.expired")
    for _ in range(4):
        await elapse(sales, task.id)
    assert await story(sales, task.id) == [
        ("assigned", "Mei", MONDAY),
        ("reminded", "Mei", tuesday - 2 * HOUR),
        ("reassigned", "Tom", tuesday + 4 * HOUR),
        ("escalated", "Ada", wednesday),
        ("expired", "Tom", friday),
    ]
    now, _, mails = await read(sales, task.id)
    assert (now.status, now.assigned_to) == ("expired", "Tom")
    assert [(mail.kind, mail.recipient, mail.status) for mail in mails] == [
        ("assigned", "Mei", "sent"), ("reminder", "Mei", "sent"), ("reassigned", "Tom", "sent"),
        ("escalation", "Ada", "sent"),
    ]  # fmt: skip
    assert sales.mailbox.to("mei@acme.example") == ["New: Qualified lead", "Due soon: Qualified lead"]
    assert sales.mailbox.to("tom@acme.example") == ["Yours now: Qualified lead"]
    assert sales.mailbox.to("ada@acme.example") == ["Overdue: Qualified lead"]
    assert await sales.client.get_workflow_handle(workflow_id(task.id)).result() == "expired"
    assert await sent(sales, task.customer_id, "hot")
    history = await sales.client.get_workflow_handle(workflow_id(task.id)).fetch_history()
    assert len(history.events) < 90
    known = "".join(str(event) for event in history.events)
    assert "keep_task" in known
    assert [secret for secret in ("Ann", "Mei", "Tom", "example") if secret in known] == []

    async def kept() -> AsyncIterator[histories.Kept]:
        yield histories.Kept("promise", history)

    assert [one.because async for one in histories.replay(kept())] == [None]


async def test_what_is_claimed_is_neither_reassigned_nor_does_it_expire_but_the_manager_hears_that_it_is_late(
    sales: Stage,
) -> None:
    task = await hand_over(sales)
    await sales.parts.desk.claim(task.id, "Tom", MONDAY + HOUR)
    for _ in range(2):
        await elapse(sales, task.id)
    assert [step[:2] for step in await story(sales, task.id)] == [
        ("assigned", "Mei"), ("claimed", "Tom"), ("reminded", "Tom"), ("escalated", "Ada"),
    ]  # fmt: skip
    left = await rests(sales, task.id)
    assert left is not None
    assert (left.status, left.next, left.until) == ("claimed", "nothing", None)
    assert (await sales.person(task.customer_id)).owner == "Tom"


async def test_a_task_of_a_map_is_kept_by_the_rule_that_it_names_and_says_for_itself_what_differs(
    sales: Stage,
) -> None:
    await sales.publish(CALL.replace("WHAT", "rule: qualified, due: 4 working hours, priority: 8"))
    customer = await sales.customer("Ann")
    await sales.enrol(customer, "call")
    [task] = await sales.tasks()
    await hear(sales, task.id)
    due = MONDAY + 4 * HOUR
    assert (task.rule, task.title, task.because, task.priority) == ("qualified", "Ring Ann", "asked for a call", 8)
    assert (task.assigned_to, task.due_at, task.marketing, task.step) == ("Mei", due, "stop", "task-sales")
    await sales.time.meet(customer, due + 3 * DAY, "task.expired")
    for _ in range(4):
        await elapse(sales, task.id)
    assert await story(sales, task.id) == [
        ("assigned", "Mei", MONDAY),
        ("reminded", "Mei", due - 2 * HOUR),
        ("reassigned", "Tom", due + 4 * HOUR),
        ("escalated", "Ada", due + DAY),
        ("expired", "Tom", due + 3 * DAY),
    ]
    assert await sent(sales, customer, "call")


async def test_a_task_of_a_map_that_names_no_rule_is_kept_by_the_one_for_tasks_and_its_outcome_counts(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    rules = (
        "rules:\n  - {name: calls, due: 2 working hours, marketing: stop, outcomes: {lost: {stage: gone, score: 5}}}\n"
    )
    team = RULE[RULE.index("working:") :]
    async with selling(engine, client, tmp_path, f"{rules}tasks: calls\n{team}") as stage:
        earned = "steps:\n  - score: {points: 30, because: x}"
        await stage.publish(CALL.replace(", WHAT", "").replace("steps:", earned))
        customer = await stage.customer("Ann")
        await stage.enrol(customer, "call")
        [task] = await stage.tasks()
        assert (task.rule, task.due_at, task.assigned_to) == ("calls", MONDAY + 2 * HOUR, "Mei")
        await rests(stage, task.id)
        await stage.time.meet(customer, MONDAY + HOUR, "task.done")
        await stage.parts.desk.finish(task.id, "Mei", "lost", reason="too dear", now=MONDAY + HOUR)
        assert await stage.client.get_workflow_handle(workflow_id(task.id)).result() == "lost"
        person = await stage.person(customer)
        assert (person.stage, person.score) == ("gone", 5)
        assert await sent(stage, customer, "call")


async def test_a_snooze_moves_all_that_is_due(sales: Stage) -> None:
    task = await hand_over(sales)
    snoozed = await sales.parts.desk.snooze(task.id, "Mei", MONDAY + 2 * DAY, MONDAY + HOUR)
    due = MONDAY + 2 * DAY + (DUE - MONDAY - HOUR)
    assert snoozed.due_at == due
    for _ in range(2):
        await elapse(sales, task.id)
    assert [step[0::2] for step in await story(sales, task.id)][1:] == [
        ("snoozed", MONDAY + HOUR), ("reminded", due - 2 * HOUR), ("reassigned", due.replace(hour=13)),
    ]  # fmt: skip


async def test_a_task_that_is_done_ends_its_workflow_at_once_and_nothing_more_is_said(sales: Stage) -> None:
    task = await hand_over(sales)
    await elapse(sales, task.id)
    await sales.parts.desk.finish(task.id, "Mei", "lost", reason="too dear", now=DUE)
    assert await sales.client.get_workflow_handle(workflow_id(task.id)).result() == "lost"
    assert len(sales.mailbox.messages) == 2
    person = await sales.person(task.customer_id)
    assert (person.stage, person.score) == ("lost", 65)


async def test_nobody_is_told_twice_when_a_crash_comes_between_a_mail_and_its_record(
    sales: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, died = notices.settle, list[int]()

    async def dies(db: Any, notice: int, status: notices.Status, **others: Any) -> None:
        if status == "sent" and not died:
            died.append(notice)
            raise RuntimeError("the machine died")
        await settle(db, notice, status, **others)

    monkeypatch.setattr(notices, "settle", dies)
    task = await hand_over(sales)
    await elapse(sales, task.id)
    assert died
    assert sales.mailbox.to("mei@acme.example") == ["New: Qualified lead", "Due soon: Qualified lead"]
    assert [mail.status for mail in (await read(sales, task.id))[2]] == ["uncertain", "sent"]


SATURDAY = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)


async def test_in_working_time_a_rep_hears_of_a_lead_when_work_begins_unless_it_is_another_s_by_then(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    rule = RULE.replace("remind: 2h before due", "tell: working_time")
    async with selling(engine, client, tmp_path, rule, SATURDAY) as stage:
        everything = [await qualify(stage, name) for name in ("Ann", "Bea", "Cem", "Dan")]
        _, given_away, claimed, back = everything
        for one in everything:
            await rests(stage, one.id)
        await stage.parts.desk.reassign(given_away.id, "Mei", "speaks Polish", SATURDAY)
        await stage.parts.desk.claim(claimed.id, claimed.assigned_to or "", SATURDAY)
        for name in ("Mei", "Tom"):
            await stage.parts.desk.reassign(back.id, name, None, SATURDAY)
        assert stage.mailbox.messages == []
        for one in everything:
            await elapse(stage, one.id)
        work = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
        told = [(one.kind, one.recipient, one.status, one.because, one.due_at)
                for task in everything for one in (await read(stage, task.id))[2]]  # fmt: skip
        assert told == [
            ("assigned", "Mei", "sent", None, work),
            ("assigned", "Tom", "skipped", "Mei has it by now", work),
            ("reassigned", "Mei", "sent", None, work),
            ("assigned", "Mei", "skipped", "it is claimed by now", work),
            ("assigned", "Tom", "skipped", "it has changed hands since", work),
            ("reassigned", "Mei", "skipped", "Tom has it by now", work),
            ("reassigned", "Tom", "sent", None, work),
        ]  # fmt: skip
        [new, yours, _] = stage.mailbox.messages
        assert "It was with Tom. The reason: speaks Polish." in str(yours.get_body(("plain",)))
        assert "It was with" not in str(new)


async def test_a_task_that_a_crash_left_without_a_workflow_gets_one_from_the_sweep(sales: Stage) -> None:
    sales.parts.audience.router.afterwards = None
    customer = await sales.customer("Bea")
    [sweep] = [
        one for one in sales.parts.activities["waymark"] if one.__name__ == "sweep" and "Sales" in one.__qualname__
    ]
    async with sales.engine.begin() as db:
        task = await tasks.create(
            db, customer_id=customer, queue="sales", title="Call", now=MONDAY, rule="qualified", due_at=DUE
        )
    assert task is not None
    later = datetime.now(UTC) + timedelta(hours=1)
    assert [await sweep(later), await sweep(later)] == [1, 0]
    await sales.parts.keepers.launch(task)
    assert (await rests(sales, task)) is not None
    assert (await read(sales, task))[0].assigned_to == "Mei"


async def test_a_mail_about_a_task_that_is_over_does_not_go(sales: Stage) -> None:
    task = await hand_over(sales)
    await rests(sales, task.id)
    async with sales.engine.begin() as db:
        mei = Rep(name="Mei", email="mei@acme.example")
        await notices.about(db, "reminder", task.id, mei, "put off", MONDAY + HOUR)
    await sales.parts.desk.finish(task.id, "Mei", "nurture", now=MONDAY)
    later = Look(task.id, MONDAY + DAY + sales.parts.keepers._office.calendar.ahead)
    [tell] = [one for one in sales.parts.activities["waymark-email"] if one.__name__ == "tell"]
    await tell(later)
    [_, mail] = (await read(sales, task.id))[2]
    assert (mail.status, mail.because, len(sales.mailbox.messages)) == ("skipped", "the task is over", 1)


async def test_marketing_stops_while_sales_has_the_lead_and_goes_on_afterwards(sales: Stage) -> None:
    task = await hand_over(sales)
    await sales.publish("journey: news\ntitle: News\nenter: api\nsteps: [{send: email/welcome}]\n")
    await sales.publish(
        "journey: bill\ntitle: Bill\nenter: api\nsteps: [{send: email/first_order, transactional: true}]\n"
    )
    for journey in ("news", "bill"):
        await sales.enrol(task.customer_id, journey)
    said = {touch.message: (touch.status, touch.because) for touch in await sales.touches(task.customer_id)}
    assert said["email/welcome"] == ("skipped", "sales has the lead")
    assert said["email/first_order"][0] == "sent"
    await sales.time.meet(task.customer_id, MONDAY + HOUR, "task.done")
    await sales.parts.desk.finish(task.id, "Mei", "nurture", now=MONDAY + HOUR)
    assert await sent(sales, task.customer_id, "hot")


async def test_a_bad_lead_has_no_score_left_and_may_earn_its_way_again(sales: Stage) -> None:
    task = await hand_over(sales)
    await sales.parts.desk.finish(task.id, "Mei", "bad_lead", reason="a student", now=MONDAY + HOUR)
    person = await sales.person(task.customer_id)
    assert (person.score, person.stage, person.tags, person.qualified_at) == (0, "disqualified", ["bad_lead"], None)
    async with sales.engine.connect() as db:
        [told] = [one for one in await timeline(db, task.customer_id) if one.title == "task.done"]
    assert told.detail["properties"] == {
        "task": task.id, "queue": "sales", "outcome": "bad_lead", "reason": "a student",
    }  # fmt: skip


async def test_the_day_of_a_rep_is_told_once_by_mail_in_html_and_text(sales: Stage) -> None:
    await hand_over(sales)
    mei = Rep(name="Mei", email="mei@acme.example", time_zone="UTC")
    ends = MONDAY.replace(hour=18) + sales.parts.keepers._office.calendar.ahead
    [tell] = [one for one in sales.parts.activities["waymark-email"] if one.__name__ == "tell_day"]
    told = [await tell(Workday(key_of(mei), ""), ends) for _ in range(2)]
    assert told == ["sent", "sent"]
    [_, mail] = sales.mailbox.messages
    assert mail["Subject"] == "Your day: 0 done, 0 overdue, 1 new"
    assert mail["To"].addresses[0].addr_spec == "mei@acme.example"
    parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    assert "New today (1)" in parts["text/plain"]
    assert "Due by the end of Tuesday (1)" in parts["text/html"]


async def test_the_manager_hears_of_everybody_and_of_what_nobody_has(sales: Stage) -> None:
    first, second = await hand_over(sales), await hand_over(sales, "Bob")
    await sales.parts.desk.claim(first.id, "Mei", MONDAY + HOUR)
    given = {"stage": "offer", "amount": "1200", "close": "2026-03-31"}
    await sales.parts.desk.update(first.id, "Mei", given, MONDAY + HOUR)
    await sales.parts.desk.finish(second.id, "Tom", "won", amount=None, now=MONDAY + 2 * HOUR)
    ada = Manager(name="Ada", email="ada@acme.example", time_zone="UTC")
    ends = MONDAY.replace(hour=18) + sales.parts.keepers._office.calendar.ahead
    [tell] = [one for one in sales.parts.activities["waymark-email"] if one.__name__ == "tell_day"]
    assert await tell(Workday(key_of(ada), ""), ends) == "sent"
    [mail] = [one for one in sales.mailbox.messages if "ada@acme.example" in str(one["To"])]
    text = mail.get_body(("plain",))
    assert text is not None
    said = text.get_content()
    assert "Mei: 1 new, 1 claimed, 0 done, 0 won, 1 open, 0 late" in said
    assert "Tom: 1 new, 1 claimed, 1 done, 1 won, 0 open, 0 late" in said
    assert "March 2026 × 1: 1,200, weighted 600" in said


async def test_the_ends_of_days_are_kept_in_temporal_as_the_file_says(sales: Stage) -> None:
    team = sales.parts.sales
    assert team is not None
    assert end_of_day(team.reps[0], team) == "0 18 * * *"

    async def kept() -> set[str]:
        async with asyncio.timeout(PATIENCE):
            return {one.id async for one in await sales.client.list_schedules() if one.id.startswith(PREFIX)}

    async def become(wanted: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(await kept()) != wanted:
                await asyncio.sleep(0.05)

    for _ in range(2):
        await SalesDays(sales.client, team, "UTC").keep(MONDAY)
    await become(3)
    fewer = team.model_copy(update={"reps": team.reps[:1], "manager": None})
    await SalesDays(sales.client, fewer, "UTC").keep(MONDAY)
    await become(1)
    handle = sales.client.get_schedule_handle(PREFIX + key_of(team.reps[0]))
    spec = (await handle.describe()).schedule.spec
    assert spec.time_zone_name == "UTC"
    await handle.trigger()
    async with asyncio.timeout(PATIENCE):
        while not (recent := (await handle.describe()).info.recent_actions):
            await asyncio.sleep(0.05)
        workflow: Any = recent[0].action
        assert await sales.client.get_workflow_handle(workflow.workflow_id).result() in ("skipped", "not a working day")
    await handle.delete()


async def test_who_falls_below_the_mark_goes_to_sales_again_and_who_only_dips_does_not(sales: Stage) -> None:
    customer = await sales.customer("Cat")
    counts: list[int] = []
    for points in (65, -20, 30, -40, 40):  # 65, 45, 75, 35, 75
        await sales.publish(
            f"journey: j{len(counts)}\ntitle: J\nenter: api\nsteps: [{{score: {{points: {points}, because: x}}}}]\n"
        )
        await sales.enrol(customer, f"j{len(counts)}")
        counts.append(len(await sales.tasks()))
    assert counts == [1, 1, 1, 1, 2]
    async with sales.engine.connect() as db:
        assert (await customers.get(db, customer)).qualified_at is not None
