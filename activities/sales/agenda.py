"""What is due about a task, and when: read off its row, so that whoever looks again finds the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from journeys.sales import Rule
from journeys.worktime import WorkWeek
from records.sales.tasks import Task

What = Literal["remind", "reassign", "escalate", "expire"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is due at a moment (UTC)."""

    at: datetime
    what: What


def agenda(task: Task, rule: Rule, week: WorkWeek, *, others: bool) -> list[Item]:
    """What is still to be done about an open task, in order. `others` tells whether anybody is left who might get it.

    What a deal under way has become late with is for its rep to say: only tasks without a stage of the pipeline are
    escalated, and only those that nobody claimed change hands or expire. While a task is snoozed nothing is due.
    """
    if task.due_at is None:
        return []
    found = sorted(_items(task, rule, week, task.due_at, others=others), key=lambda item: item.at)
    if task.snoozed_until is None:
        return found
    return [Item(max(item.at, task.snoozed_until), item.what) for item in found]


def _items(task: Task, rule: Rule, week: WorkWeek, due: datetime, *, others: bool) -> Iterator[Item]:
    unclaimed = task.status == "open"
    if rule.remind is not None and task.reminded_at is None:
        yield Item(week.before(due, rule.remind), "remind")
    if rule.reassign_after is not None and unclaimed and others:
        since = max(due, task.assigned_at) if task.assigned_at is not None else due
        yield Item(week.after(since, rule.reassign_after), "reassign")
    if rule.escalate_after is not None and task.escalated_at is None and task.pipeline is None:
        yield Item(week.after(due, rule.escalate_after), "escalate")
    if unclaimed and task.expires_at is not None:
        yield Item(task.expires_at, "expire")
