"""What sales does with tasks: claim, snooze, hand on, work on the deal, finish. Each in one transaction, with what it
means for the customer; the task's workflow is told after the commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entering.audience import Router
from activities.sales.assigning import BY_HAND, announce
from activities.sales.deals import read_amount, read_close
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from activities.sales.outcomes import affect
from journeys.errors import WaymarkError
from journeys.nearest import unknown_word
from journeys.sales import Outcome, rule_of
from journeys.timing import require_aware
from records import events
from records.sales import assignments, taking, tasks
from records.sales.taking import TaskFinished
from records.sales.tasks import OPEN, Task

LONGEST_SNOOZE = timedelta(days=366)
NEEDS_REASON = ("lost", "bad_lead")
"""Outcomes of which somebody will want to know why."""


class Desk:
    """Where reps work. Where the file names none, anybody may be one."""

    def __init__(self, office: Office, router: Router, keepers: Keepers) -> None:
        self._office = office
        self._database = office.database
        self._router = router
        self._keepers = keepers
        self._sales = office.sales

    async def claim(self, task_id: int, rep: str, now: datetime) -> Task:
        """Give the task to `rep`, who becomes the owner of a customer without one. Raises as `taking.claim`,
        and WaymarkError for an unknown rep."""
        rep = self._known(rep)
        async with self._database.begin() as db:
            before = await tasks.lock(db, task_id)
            task = await taking.claim(db, task_id, rep, now)
            if before.status == "open":
                await assignments.note(db, task_id, "claimed", rep=rep, at=now)
            await assignments.own(db, task.customer_id, rep, because=f"claimed task {task_id}", now=now)
        await self._keepers.wake(task)
        return task

    async def finish(
        self,
        task_id: int,
        rep: str,
        outcome: Outcome,
        *,
        now: datetime,
        reason: str | None = None,
        amount: Decimal | None = None,
        note: str | None = None,
    ) -> Task:
        """Record how it ended and what that does to the customer, and tell the journeys by the event `task.done`; the
        same outcome again changes nothing.

        Raises:
            UnknownTask, TaskTaken, TaskFinished: as `records.sales.taking.finish`.
            WaymarkError: the rep or the outcome is unknown, the reason is missing, or the amount is none.
        """
        rep = self._known(rep)
        reason = (reason or "").strip() or None
        if outcome in NEEDS_REASON and reason is None:
            raise WaymarkError(f"{outcome} needs a reason.", hint="Say why: it is what can be learnt from it.")
        if amount is not None and outcome != "won":
            raise WaymarkError(f"{outcome} has no amount.", hint="Only what is won is worth something.")
        async with self._database.begin() as db:
            before = await tasks.lock(db, task_id)
            task = await taking.finish(db, task_id, rep, outcome, note, now, reason=reason, amount=amount)
            event = None
            if before.status != "done":
                await self._affect(db, task, now)
                event = await self._done(db, task, now)
        await self._keepers.wake(task)
        if event is not None:
            await self._router.route(event)
        return task

    async def snooze(self, task_id: int, rep: str, until: datetime, now: datetime) -> Task:
        """Let the task rest until a moment; all that is due about it moves by as much. Raises WaymarkError."""
        rep = self._known(rep)
        until = require_aware(until)
        if until <= now:
            raise WaymarkError(f"{until:%Y-%m-%d %H:%M} UTC is past.", hint="Snooze until a moment to come.")
        if until - now > LONGEST_SNOOZE:
            raise WaymarkError("A task rests for a year at most.", hint="Finish it as nurture: the journey goes on.")
        async with self._database.begin() as db:
            task = await self._mine(db, task_id, rep)
            values: dict[str, Any] = {"snoozed_until": until, "reminded_at": None, "escalated_at": None}
            if task.due_at is not None:
                values["due_at"] = until + max(task.due_at - now, timedelta())
                rule = rule_of(self._sales, task.rule)
                if rule is not None and rule.expire_after is not None:
                    values["expires_at"] = self._office.week_of(task).after(values["due_at"], rule.expire_after)
            task = await tasks.change(db, task_id, **values)
            because = f"until {until:%Y-%m-%d %H:%M} UTC"
            await assignments.note(db, task_id, "snoozed", rep=rep, because=because, at=now)
        await self._keepers.wake(task)
        return task

    async def reassign(self, task_id: int, to: str, because: str | None, now: datetime) -> Task:
        """Give the task to somebody else, who gets a mail and has yet to claim it. Raises UnknownTask, TaskFinished,
        WaymarkError."""
        to = self._known(to)
        person = self._office.team.person(to)
        async with self._database.begin() as db:
            await self._open(db, task_id)
            task = await tasks.change(
                db, task_id, assigned_to=to, assigned_at=now, status="open", claimed_by=None, claimed_at=None,
                reminded_at=None,
            )  # fmt: skip
            entry = await assignments.note(db, task_id, "reassigned", rep=to, because=because or BY_HAND, at=now)
            if task.rule is not None and person is not None:
                rule, week = rule_of(self._sales, task.rule), self._office.week(person)
                await announce(db, rule, "reassigned", task_id, person, week, entry, now)
        await self._keepers.wake(task)
        return task

    async def update(self, task_id: int, rep: str, given: Mapping[str, Any], now: datetime) -> Task:
        """Work on the deal: `stage`, `amount` and `close` (the day on which it is expected to), those that are given.

        Raises:
            UnknownTask, TaskTaken, TaskFinished: it is not there, not theirs, or done.
            WaymarkError: nothing is given, or it cannot be.
        """
        rep = self._known(rep)
        values: dict[str, Any] = {}
        if given.get("stage") is not None:
            values["pipeline"] = self._stage(str(given["stage"]))
        if given.get("amount") is not None:
            values["amount"] = read_amount(given["amount"])
        if given.get("close") is not None:
            today = self._office.week(self._office.team.rep(rep)).today(now)
            values["expected_close"] = read_close(given["close"], today)
        if not values:
            raise WaymarkError("Nothing is given to update.", hint="Give a stage, an amount, or the day of the close.")
        async with self._database.begin() as db:
            await self._mine(db, task_id, rep)
            task = await tasks.change(db, task_id, **values)
            because = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
            await assignments.note(db, task_id, "updated", rep=rep, because=because, at=now)
        await self._keepers.wake(task)
        return task

    async def _affect(self, db: AsyncConnection, task: Task, now: datetime) -> None:
        """A task that a rule keeps changes the customer as the rule says; after another of a map, the map goes on."""
        rule = rule_of(self._sales, task.rule)
        if self._sales is not None and rule is not None and task.outcome is not None:
            said = f": {task.reason}" if task.reason else ""
            because = f"sales: {task.outcome}{said}"
            await affect(db, self._sales, task.customer_id, rule.effect(task.outcome), because, now)
        if task.outcome == "won" and task.done_by is not None:
            await assignments.own(db, task.customer_id, task.done_by, because=f"won task {task.id}", now=now)

    async def _done(self, db: AsyncConnection, task: Task, now: datetime) -> events.StoredEvent | None:
        worth = task.amount if task.outcome == "won" else None
        said = {"reason": task.reason, "amount": float(worth) if worth is not None else None}
        return await events.store(
            db, customer_id=task.customer_id, name="task.done", occurred_at=now, received_at=now,
            key=f"task.done/{task.id}", value=worth,
            properties={
                "task": task.id, "queue": task.queue, "outcome": task.outcome,
                **{name: value for name, value in said.items() if value is not None},
            },
        )  # fmt: skip

    async def _open(self, db: AsyncConnection, task_id: int) -> Task:
        task = await tasks.lock(db, task_id)
        if task.status not in OPEN:
            how = f"{task.done_by} recorded {task.outcome}" if task.status == "done" else "nobody took it in time"
            raise TaskFinished(f"Task {task_id} is {task.status}: {how}.", hint="Nothing about it changes any more.")
        return task

    async def _mine(self, db: AsyncConnection, task_id: int, rep: str) -> Task:
        task = await self._open(db, task_id)
        if task.claimed_by is not None:
            taking.refuse_others(task, rep)
        return task

    def _known(self, name: str) -> str:
        """The rep, or the manager, of this name as the file writes it; anybody where it names no reps."""
        if self._sales is None or not self._sales.reps:
            return name
        found = self._sales.person(name)
        if found is None:
            names = [one.name for one in self._sales.reps]
            raise WaymarkError(unknown_word(name, names, "is no rep"), hint="Say who with --rep NAME.")
        return found.name

    def _stage(self, stage: str) -> str:
        known = [one.stage for one in self._office.team.pipeline]
        if stage not in known:
            raise WaymarkError(
                unknown_word(stage, known, "is no stage of the pipeline"),
                hint="The stages stand in definitions/handoff.yaml; what is won or lost is said by `tasks done`.",
            )
        return stage
