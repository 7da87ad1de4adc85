"""Giving a task to somebody who sells: who is there, whose turn it is, and what is written down of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.assigning import Choice, choose
from journeys.sales import Rule, Sales
from journeys.team import Rep
from records.people.customers import Customer
from records.sales import assignments


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
