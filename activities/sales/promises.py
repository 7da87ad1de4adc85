"""Keeping what is promised about tasks of sales: the activity of `SalesTask`.

Every look is one transaction over the task's row: it does what has become due, and tells what is due next. A look that
is repeated after a crash finds it done.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.discretion import discreet
from activities.entering.audience import Router
from activities.sales import assigning
from activities.sales.agenda import Item, agenda
from activities.sales.office import Office
from activities.sales.outcomes import affect
from journeys.sales import Rule, Sales, rule_of
from journeys.salestask import Look, Outlook
from journeys.timing import punctual
from journeys.worktime import WorkWeek
from records import events
from records.events import StoredEvent
from records.sales import assignments, notices, tasks
from records.sales.tasks import OPEN, Task, UnknownTask

LOOK_FOR_SOMEBODY = timedelta(hours=4)
"""How often it is seen whether somebody is back for a task that nobody could be given."""


class Promises:
    """Looks after tasks. Without rules, those that one once kept only wait for their end."""

    def __init__(self, office: Office, router: Router) -> None:
        self._office = office
        self._router = router

    @activity.defn(name="keep_task")
    async def keep(self, look: Look) -> Outlook:
        """Do what is due about a task at this moment, and tell what is next."""
        now = self._office.calendar.from_server(look.now)
        with discreet("keep_task"):
            caused: list[StoredEvent] = []
            async with self._office.database.begin() as db:
                try:
                    task = await tasks.lock(db, look.task)
                except UnknownTask:
                    return Outlook("erased", "nothing", ended="erased")
                outlook = await self._look(db, task, now, caused)
            await self._router.route_all(caused)
            if outlook.until is None:
                return outlook
            return Outlook(
                outlook.status,
                outlook.next,
                self._office.calendar.to_server(outlook.until),
                outlook.mail,
                outlook.ended,
            )

    async def _look(self, db: AsyncConnection, task: Task, now: datetime, caused: list[StoredEvent]) -> Outlook:
        sales = self._office.sales
        rule = rule_of(sales, task.rule)
        while task.status in OPEN and rule is not None and sales is not None:
            if task.status == "open" and assigning.is_nobodys(self._office.team, task):
                task = await assigning.find_somebody(db, self._office, rule, task, now)
            week = self._office.week_of(task)
            items = agenda(task, rule, week, others=await assigning.others(db, self._office, task, now))
            if not items or items[0].at > now:
                return await self._outlook(db, task, items[0] if items else None, now)
            # after a long standstill the task only expires: nobody is reminded of what is over
            item = next((one for one in items if one.what == "expire" and one.at <= now), items[0])
            task = await self._do(db, sales, rule, week, task, item, punctual(item.at, now), caused)
        return await self._outlook(db, task, None, now)

    async def _outlook(self, db: AsyncConnection, task: Task, item: Item | None, now: datetime) -> Outlook:
        mail = await notices.next_for(db, task.id)
        ended = (task.outcome or task.status) if task.status not in OPEN else None
        if mail is not None and mail <= now:
            return Outlook(task.status, "mail", mail=True)
        moments: list[tuple[datetime, str]] = [(item.at, item.what)] if item is not None else []
        if mail is not None:
            moments.append((mail, "mail"))
        if task.status == "open" and assigning.is_nobodys(self._office.team, task) and self._office.team.reps:
            moments.append((now + LOOK_FOR_SOMEBODY, "assign"))
        if ended is not None or not moments:
            return Outlook(task.status, "nothing", ended=ended)
        until, what = min(moments)
        return Outlook(task.status, what, until)

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
                return await assigning.hand_on(db, self._office, rule, task, now)
            case "escalate":
                await notices.about(db, "escalation", task.id, sales.manager, f"{task.due_at}", now)
                name = sales.manager.name if sales.manager is not None else None
                await assignments.note(db, task.id, "escalated", rep=name, because="overdue", at=now)
                return await tasks.change(db, task.id, escalated_at=now)
            case "expire":
                return await self._expire(db, sales, rule, task, now, caused)

    async def _remind(self, db: AsyncConnection, sales: Sales, task: Task, now: datetime) -> Task:
        """Who has the task is told; a reminder of what was due already would be none."""
        has = task.claimed_by or task.assigned_to
        rep = sales.person(has) if has is not None else None
        if rep is not None and task.due_at is not None and now < task.due_at:
            await notices.about(db, "reminder", task.id, rep, f"{rep.name}/{task.due_at}", now)
            await assignments.note(db, task.id, "reminded", rep=rep.name, at=now)
        return await tasks.change(db, task.id, reminded_at=now)

    async def _expire(
        self, db: AsyncConnection, sales: Sales, rule: Rule, task: Task, now: datetime, caused: list[StoredEvent]
    ) -> Task:  # fmt: skip
        await assignments.note(db, task.id, "expired", rep=task.assigned_to, because="nobody claimed it", at=now)
        expired = await tasks.change(db, task.id, status="expired")
        because = f"task {task.id} expired"
        await affect(db, sales, task.customer_id, rule.effect("expired"), because, now)
        event = await events.store(
            db, customer_id=task.customer_id, name="task.expired", occurred_at=now, received_at=now,
            key=f"task.expired/{task.id}", properties={"task": task.id, "queue": task.queue, "rule": rule.name},
        )  # fmt: skip
        caused += [event] if event is not None else []
        return expired
