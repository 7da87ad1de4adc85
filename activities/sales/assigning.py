"""Giving a task to somebody who sells: who is there, whose turn it is, and what is written down of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.sales.office import Office
from journeys.assigning import Choice, choose
from journeys.sales import Rule, Sales
from journeys.team import Person, Rep
from journeys.worktime import WorkWeek
from records.people import customers
from records.people.customers import Customer
from records.sales import assignments, notices, tasks
from records.sales.tasks import Task

LATE = "{} did not claim it in time"
GONE = "{} sells no more"
BY_HAND = "by hand"
"""Why a task changed hands: nobody had claimed it, its rep stands in the file no more, somebody said so."""


def present(sales: Sales, queue: str, now: datetime, default_zone: str) -> tuple[Rep, ...]:
    """Those who work on the queue and are not away on the day on which they would begin: what comes on a Friday night
    is for who is there on Monday."""

    def begins(rep: Rep) -> date:
        week = replace(sales.week(rep, default_zone), away=())
        return week.today(week.at_work(now))

    return tuple(rep for rep in sales.working_on(queue) if not rep.is_away(begins(rep)))


async def pick(
    db: AsyncConnection,
    sales: Sales,
    rule: Rule,
    queue: str,
    customer: Customer,
    now: datetime,
    default_zone: str,
    *,
    besides: Collection[str] = (),
) -> Choice:
    """Who gets a task about the customer, by the rule's ways; `besides` have had it already.

    Until the transaction ends nobody else gives out tasks, so that of two leads in the same moment each counts for the
    other's turn. Write the choice down with `records.sales.assignments.note` in the same transaction.
    """
    reps = [rep for rep in present(sales, queue, now, default_zone) if rep.name not in besides]
    if not reps:
        return choose(rule.assign, [], {}, owner=None, country=None)
    await assignments.one_at_a_time(db)
    hands = await assignments.hands(db, [rep.name for rep in reps])
    return choose(rule.assign, reps, hands, owner=customer.owner, country=customer.country)


def is_nobodys(team: Sales, task: Task) -> bool:
    """Whether nobody has the task: who no longer stands in the file sells no more."""
    if task.assigned_to is None:
        return True
    return bool(team.reps) and team.person(task.assigned_to) is None


async def others(db: AsyncConnection, office: Office, task: Task, now: datetime) -> bool:
    """Whether anybody who is there has not had the task yet."""
    had = await _had(db, task)
    return any(rep.name not in had for rep in present(office.team, task.queue, now, office.zone))


async def find_somebody(db: AsyncConnection, office: Office, rule: Rule, task: Task, now: datetime) -> Task:
    """Give a task that nobody has to somebody, where there is anybody."""
    customer = await customers.get(db, task.customer_id)
    choice = await pick(db, office.team, rule, task.queue, customer, now, office.zone)
    if choice.rep is None:
        return task
    if task.assigned_to is not None:
        return await _change_hands(db, office, rule, task, choice.rep, GONE.format(task.assigned_to), now)
    entry = await assignments.note(db, task.id, "assigned", rep=choice.rep.name, because=choice.because, at=now)
    await announce(db, rule, "assigned", task.id, choice.rep, office.week(choice.rep), entry, now)
    return await tasks.change(db, task.id, assigned_to=choice.rep.name, assigned_at=now)


async def hand_on(db: AsyncConnection, office: Office, rule: Rule, task: Task, now: datetime) -> Task:
    """Give a task that nobody claimed to somebody who has not had it; there must be `others`."""
    customer, had = await customers.get(db, task.customer_id), await _had(db, task)
    choice = await pick(db, office.team, rule, task.queue, customer, now, office.zone, besides=had)
    if choice.rep is None:  # nobody of the territory is left: anybody is better than nobody
        anybody = rule.model_copy(update={"assign": ("round_robin",)})
        choice = await pick(db, office.team, anybody, task.queue, customer, now, office.zone, besides=had)
    assert choice.rep is not None
    because = LATE.format(task.assigned_to or "nobody")
    return await _change_hands(db, office, rule, task, choice.rep, because, now)


async def announce(
    db: AsyncConnection,
    rule: Rule | None,
    kind: Literal["assigned", "reassigned"],
    task_id: int,
    to: Person,
    week: WorkWeek,
    entry: int,
    now: datetime,
) -> None:
    """Decide on the mail that tells somebody that a task is theirs, once for each `entry` of its history; it goes when
    the rule says so."""
    tell = rule.tell if rule is not None else "at_once"
    if tell != "never":
        due = week.at_work(now) if tell == "working_time" else now
        await notices.about(db, kind, task_id, to, str(entry), now, due)


async def _change_hands(
    db: AsyncConnection, office: Office, rule: Rule, task: Task, rep: Rep, because: str, now: datetime
) -> Task:
    entry = await assignments.note(db, task.id, "reassigned", rep=rep.name, because=because, at=now)
    await announce(db, rule, "reassigned", task.id, rep, office.week(rep), entry, now)
    return await tasks.change(db, task.id, assigned_to=rep.name, assigned_at=now, reminded_at=None)


async def _had(db: AsyncConnection, task: Task) -> set[str]:
    """Those who have had the task."""
    given = {step.rep for step in await assignments.history(db, task.id) if step.kind in ("assigned", "reassigned")}
    return {name for name in (*given, task.assigned_to) if name is not None}
