"""Mails to those who sell, over the real email channel: claimed before they leave, settled after, none twice."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels.channel import Channel, Message, Refused, TryLater, Unknown
from activities.deliveries.delivery import PATIENCE, next_try
from activities.discretion import discreet
from activities.sales.briefing import brief
from activities.sales.office import Office
from activities.sales.salesday import read_day
from activities.sales.salesmail import SalesMails
from journeys.errors import WaymarkError
from journeys.salestask import Look, Workday
from journeys.team import Person, Rep
from records.sales import notices
from records.sales.notices import Notice
from records.sales.tasks import OPEN, Task, UnknownTask

log = logging.getLogger(__name__)
GIVEN = ("assigned", "reassigned")
"""The mails that tell somebody that a task is theirs."""
CUT_OFF = "a crash came between the claim and the record"


class Selling:
    """The activities `tell_sales` and `tell_day`."""

    def __init__(self, office: Office, email: Channel, mails: SalesMails) -> None:
        self._office = office
        self._database = office.database
        self._email = email
        self._mails = mails

    @activity.defn(name="tell_sales")
    async def tell(self, look: Look) -> None:
        """Send the mails about a task that are due. What cannot go now is put off: `SalesTask` comes again."""
        now = self._office.calendar.from_server(look.now)
        with discreet("tell_sales"):
            async with self._database.connect() as db:
                try:
                    known = await brief(db, look.task, now)
                except UnknownTask:
                    return
                waiting = await notices.for_task(db, look.task)
            given = max((one.id for one in waiting if one.kind in GIVEN), default=0)
            for notice in waiting:
                if notice.status == "claimed":
                    await self._settle(notice, "uncertain", now, CUT_OFF)
                elif notice.status == "pending" and known.task.status not in OPEN:
                    await self._settle(notice, "skipped", now, "the task is over")
                elif notice.status == "pending" and (late := _late(notice, known.task, given)) is not None:
                    await self._settle(notice, "skipped", now, late)
                elif notice.status == "pending" and notice.due_at <= now:
                    reader = next((one for one in self._office.team.everybody if one.name == notice.recipient), None)
                    language, week = self._office.language(reader), self._office.week(reader)
                    try:
                        message = self._mails.of_task(notice, known, language, week, now)
                    except WaymarkError as error:
                        await self._settle(notice, "failed", now, error.message)
                        log.exception("a mail to sales cannot be written")
                        continue
                    await self._send(notice, message, now)

    @activity.defn(name="tell_day")
    async def tell_day(self, day: Workday, due: datetime) -> str:
        """Send one mail about somebody's day, once; returns what became of it. `due` is when the day ended."""
        now = self._office.calendar.from_server(due)
        with discreet("tell_day"):
            found = next((one for one in self._office.team.everybody if key_of(one) == day.who), None)
            if found is None:
                return "nobody"
            week = self._office.week(found)
            today = week.today(now)
            if not week.works_on(today):
                return "not a working day"
            rep = found.name if isinstance(found, Rep) else None
            key = f"day/{day.who}/{today}"
            async with self._database.begin() as db:
                summary = await read_day(db, self._office.team, rep, today, now, self._office.zone)
                await notices.plan(db, key=key, kind="day", recipient=found.name, address=found.email, now=now)
                notice = await notices.find(db, key)
            assert notice is not None
            if notice.status == "claimed":
                await self._settle(notice, "uncertain", now, CUT_OFF)
                return "uncertain"
            if notice.status != "pending":
                return notice.status
            if summary.is_empty:
                await self._settle(notice, "skipped", now, "nothing to say")
                return "skipped"
            message = self._mails.of_day(notice, summary, self._office.language(found), week, now)
            status = await self._send(notice, message, now)
        if status == "pending":
            raise ApplicationError("the mail relay is away", type="TryLater", next_retry_delay=timedelta(minutes=5))
        return status

    async def _send(self, notice: Notice, message: Message, now: datetime) -> notices.Status:
        """Claim, send, record. What somebody else has claimed is theirs."""
        async with self._database.begin() as db:
            claimed = await notices.claim(db, notice.id)
        if claimed is None:
            return "uncertain"
        try:
            await self._email.send(message)
        except Refused as problem:
            return await self._settle(notice, "failed", now, problem.reason)
        except Unknown as problem:
            return await self._settle(notice, "uncertain", now, problem.reason)
        except TryLater as problem:
            if now - claimed.created_at >= PATIENCE and not problem.configuration:
                return await self._settle(notice, "failed", now, f"gave up: {problem.reason}")
            until = now + next_try(claimed.attempts, problem.after)
            async with self._database.begin() as db:
                await notices.put_off(db, notice.id, until, problem.reason)
            return "pending"
        return await self._settle(notice, "sent", now, None)

    async def _settle(
        self, notice: Notice, status: notices.Status, now: datetime, because: str | None
    ) -> notices.Status:  # fmt: skip
        async with self._database.begin() as db:
            await notices.settle(db, notice.id, status, at=now, because=because)
        return status


def _late(notice: Notice, task: Task, given: int) -> str | None:
    """Why a mail about a task, which has waited, says nothing new to whom it is for; None where it does. `given` is the
    last mail that tells somebody that it is theirs."""
    has = task.claimed_by or task.assigned_to
    if notice.kind == "escalation":
        return None
    if has != notice.recipient:
        return f"{has or 'nobody'} has it by now"
    if notice.kind in GIVEN and notice.id < given:
        return "it has changed hands since"
    return "it is claimed by now" if notice.kind == "assigned" and task.claimed_by is not None else None


def key_of(person: Person) -> str:
    """What schedules know somebody by: no name stands in the Temporal server."""
    return hashlib.sha256(f"{type(person).__name__}/{person.name}".encode()).hexdigest()[:12]
