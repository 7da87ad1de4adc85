"""Keeping what is promised about tasks of sales: the activities of `SalesTask`, and how one is started and woken.

Every look is one transaction over the task's row: it does what has become due, and tells what is due next. A look that
is repeated after a crash finds it done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.discretion import discreet
from activities.entering.audience import Router, away
from activities.sales import assigning
from activities.sales.agenda import Item, agenda
from activities.sales.office import Office
from activities.sales.outcomes import affect
from journeys import attributes
from journeys.instruction import QUEUE
from journeys.sales import Rule, Sales, rule_of
from journeys.salestask import Look, Outlook, Promise
from journeys.team import Person
from journeys.timing import punctual
from journeys.worktime import WorkWeek
from records import events
from records.events import StoredEvent
from records.people import customers
from records.sales import assignments, notices, tasks
from records.sales.tasks import OPEN, Task, UnknownTask

log = logging.getLogger(__name__)
BEGINNINGS = ("score.qualified", "task.created")
"""The events that tell of a new task, by the score or by a map."""
LOOK_FOR_SOMEBODY = timedelta(hours=4)
"""How often it is seen whether somebody is back for a task that nobody could be given."""


class Promises:
    """Looks after tasks. Without rules, those that one once kept only wait for their end."""

    def __init__(self, office: Office, client: Client, router: Router) -> None:
        self._office = office
        self._database = office.database
        self._client = client
        self._router = router
        self._sales = office.sales
        self._calendar = office.calendar
        self._zone = office.zone

    @activity.defn(name="keep_task")
    async def keep(self, look: Look) -> Outlook:
        """Do what is due about a task at this moment, and tell what is next."""
        now = self._calendar.from_server(look.now)
        with discreet("keep_task"):
            caused: list[StoredEvent] = []
            async with self._database.begin() as db:
                try:
                    task = await tasks.lock(db, look.task)
                except UnknownTask:
                    return Outlook("erased", "nothing", ended="erased")
                outlook = await self._look(db, task, now, caused)
            await self._router.route_all(caused)
            if outlook.until is None:
                return outlook
            return Outlook(
                outlook.status, outlook.next, self._calendar.to_server(outlook.until), outlook.mail, outlook.ended
            )

    async def launch_for(self, stored: Iterable[StoredEvent]) -> None:
        """Start the workflows of the tasks that these events tell of. What Temporal cannot take now is left to the
        sweep."""
        for event in stored:
            task = event.properties.get("task") if event.name in BEGINNINGS else None
            if isinstance(task, int):
                try:
                    await self.launch(task)
                except (RPCError, RuntimeError) as error:
                    log.warning("task %s waits for Temporal: %s", task, away(error))

    async def launch(self, task: int) -> None:
        """Start the task's workflow, once: a second start finds the first, or that it has ended."""
        try:
            await self._client.start_workflow(
                "SalesTask", Promise(task), id=workflow_id(task), task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Task {task} of sales",
                static_details=f"What it is about and what became of it: `waymark tasks show {task}`",
                search_attributes=attributes.of_task(task),
            )  # fmt: skip
        except WorkflowAlreadyStartedError:
            log.info("the workflow of task %s has been there before", task)
        async with self._database.begin() as db:
            await tasks.mark_launched(db, task, self._calendar.from_server(datetime.now(UTC)))

    async def wake(self, task: Task) -> None:
        """Tell the task's workflow to look. One that has ended or not begun needs no telling; and where Temporal does
        not answer, it finds out at its next look."""
        if task.rule is None:
            return
        try:
            await self._client.get_workflow_handle(workflow_id(task.id)).signal("changed")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                log.info("task %s is not told: %s", task.id, away(error))
        except RuntimeError as error:
            log.info("task %s is not told: %s", task.id, away(error))

    async def _look(self, db: AsyncConnection, task: Task, now: datetime, caused: list[StoredEvent]) -> Outlook:
        rule = rule_of(self._sales, task.rule)
        while task.status in OPEN and rule is not None and self._sales is not None:
            if task.status == "open" and self._is_nobodys(task):
                task = await self._find_somebody(db, self._sales, rule, task, now)
            week = self._office.week_of(task)
            items = agenda(task, rule, week, others=await self._others(db, self._sales, task, now))
            if not items or items[0].at > now:
                return await self._outlook(db, task, items[0] if items else None, now)
            # after a long standstill the task only expires: nobody is reminded of what is over
            item = next((one for one in items if one.what == "expire" and one.at <= now), items[0])
            task = await self._do(db, self._sales, rule, week, task, item, punctual(item.at, now), caused)
        return await self._outlook(db, task, None, now)

    async def _outlook(self, db: AsyncConnection, task: Task, item: Item | None, now: datetime) -> Outlook:
        mail = await notices.next_for(db, task.id)
        ended = (task.outcome or task.status) if task.status not in OPEN else None
        if mail is not None and mail <= now:
            return Outlook(task.status, "mail", mail=True)
        moments: list[tuple[datetime, str]] = [(item.at, item.what)] if item is not None else []
        if mail is not None:
            moments.append((mail, "mail"))
        if task.status == "open" and self._is_nobodys(task) and self._office.team.reps:
            moments.append((now + LOOK_FOR_SOMEBODY, "assign"))
        if ended is not None or not moments:
            return Outlook(task.status, "nothing", ended=ended)
        until, what = min(moments)
        return Outlook(task.status, what, until)

    def _is_nobodys(self, task: Task) -> bool:
        """Whether nobody has the task: who no longer stands in the file sells no more."""
        if task.assigned_to is None:
            return True
        return bool(self._office.team.reps) and self._office.team.person(task.assigned_to) is None

    async def _others(self, db: AsyncConnection, sales: Sales, task: Task, now: datetime) -> bool:
        """Whether anybody who is there has not had the task yet."""
        had = await _had(db, task)
        return any(rep.name not in had for rep in assigning.present(sales, task.queue, now, self._zone))

    async def _find_somebody(
        self, db: AsyncConnection, sales: Sales, rule: Rule, task: Task, now: datetime
    ) -> Task:  # fmt: skip
        customer = await customers.get(db, task.customer_id)
        choice = await assigning.pick(db, sales, rule, task.queue, customer, now, self._zone)
        if choice.rep is None:
            return task
        if task.assigned_to is None:
            await assignments.note(db, task.id, "assigned", rep=choice.rep.name, because=choice.because, at=now)
        else:
            because = f"{task.assigned_to} sells no more"
            entry = await assignments.note(db, task.id, "reassigned", rep=choice.rep.name, because=because, at=now)
            await self.mail(db, "reassigned", task, choice.rep, str(entry), now)
        return await tasks.change(db, task.id, assigned_to=choice.rep.name, assigned_at=now, reminded_at=None)

    async def _do(
        self,
        db: AsyncConnection,
        sales: Sales,
        rule: Rule,
        week: WorkWeek,
        task: Task,
        item: Item,
        now: datetime,
        caused: list[StoredEvent],
    ) -> Task:
        match item.what:
            case "remind":
                return await self._remind(db, sales, task, now)
            case "reassign":
                return await self._reassign(db, sales, rule, task, now)
            case "escalate":
                await self.mail(db, "escalation", task, sales.manager, f"{task.due_at}", now)
                name = sales.manager.name if sales.manager is not None else None
                await assignments.note(db, task.id, "escalated", rep=name, because="overdue", at=now)
                return await tasks.change(db, task.id, escalated_at=now)
            case "expire":
                return await self._expire(db, sales, rule, task, now, caused)

    async def _remind(self, db: AsyncConnection, sales: Sales, task: Task, now: datetime) -> Task:
        """Who has the task is told; a reminder of what was due already would be none."""
        rep = sales.rep(task.claimed_by or task.assigned_to)
        if rep is not None and task.due_at is not None and now < task.due_at:
            await self.mail(db, "reminder", task, rep, f"{rep.name}/{task.due_at}", now)
            await assignments.note(db, task.id, "reminded", rep=rep.name, at=now)
        return await tasks.change(db, task.id, reminded_at=now)

    async def _reassign(self, db: AsyncConnection, sales: Sales, rule: Rule, task: Task, now: datetime) -> Task:
        customer = await customers.get(db, task.customer_id)
        had = await _had(db, task)
        choice = await assigning.pick(db, sales, rule, task.queue, customer, now, self._zone, besides=had)
        if choice.rep is None:  # nobody of the territory is left: anybody is better than nobody
            others = rule.model_copy(update={"assign": ("round_robin",)})
            choice = await assigning.pick(db, sales, others, task.queue, customer, now, self._zone, besides=had)
        assert choice.rep is not None
        because = f"{task.assigned_to or 'nobody'} did not claim it in time"
        entry = await assignments.note(db, task.id, "reassigned", rep=choice.rep.name, because=because, at=now)
        await self.mail(db, "reassigned", task, choice.rep, str(entry), now)
        return await tasks.change(db, task.id, assigned_to=choice.rep.name, assigned_at=now)

    async def _expire(
        self, db: AsyncConnection, sales: Sales, rule: Rule, task: Task, now: datetime, caused: list[StoredEvent]
    ) -> Task:  # fmt: skip
        await assignments.note(db, task.id, "expired", rep=task.assigned_to, because="nobody claimed it", at=now)
        expired = await tasks.change(db, task.id, status="expired")
        because = f"task {task.id} expired"
        await affect(db, sales, task.customer_id, rule.outcomes.expired, because, now)
        event = await events.store(
            db, customer_id=task.customer_id, name="task.expired", occurred_at=now, received_at=now,
            key=f"task.expired/{task.id}", properties={"task": task.id, "queue": task.queue, "rule": rule.name},
        )  # fmt: skip
        caused += [event] if event is not None else []
        return expired

    async def mail(
        self, db: AsyncConnection, kind: notices.Kind, task: Task, to: Person | None, which: str, now: datetime
    ) -> None:
        """Decide on a mail about a task that is kept, once for each `which`; its workflow sends it."""
        if to is not None and task.rule is not None:
            await notices.plan(
                db, key=f"{kind}/{task.id}/{which}", kind=kind, recipient=to.name, address=to.email, now=now,
                task=task.id,
            )  # fmt: skip


def workflow_id(task: int) -> str:
    """The workflow that keeps a task."""
    return f"task/{task}"


async def _had(db: AsyncConnection, task: Task) -> set[str]:
    """Those who have had the task."""
    given = {step.rep for step in await assignments.history(db, task.id) if step.kind in ("assigned", "reassigned")}
    return {name for name in (*given, task.assigned_to) if name is not None}
