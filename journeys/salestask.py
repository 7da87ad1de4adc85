"""`SalesTask`: the promise about one task of sales. `SalesDay`: the end of somebody's day. `SalesSweep`: what was left.

Thin, as `CustomerJourney` is: what is due, and whether it still is, stands in the records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, VersioningBehavior
from temporalio.workflow import ContinueAsNewVersioningBehavior

from journeys import attributes
from journeys.instruction import channel_queue

PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
"""A database that is away is waited for."""
FEW = RetryPolicy(maximum_attempts=3)
"""What the next minute does anyway."""
LONGEST_REST = timedelta(days=7)
"""A task is looked at once a week even where nothing is due, in case nobody could tell its workflow that it is done."""
LONG_AGO = timedelta(days=30)
"""A workflow of this age starts afresh at its next rest, on the newest code, with a short history."""
LONGEST_MAIL = timedelta(minutes=30)
_DUE = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@dataclass(frozen=True, slots=True)
class Promise:
    """The task that a workflow keeps."""

    task: int


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a task, at this moment on the server's clock."""

    task: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a look came to: how the task stands, and what is due next (None: nothing). `mail`: some is to go now.

    `ended` holds how the task ended, once it has.
    """

    status: str
    next: str
    until: datetime | None = None
    mail: bool = False
    ended: str | None = None


@workflow.defn(name="SalesTask", versioning_behavior=VersioningBehavior.PINNED)
class SalesTask:
    """Keeps the promise about one task: reminder, reassignment, escalation, expiry. Ends as the task does."""

    @workflow.init
    def __init__(self, promise: Promise) -> None:
        self._task = promise.task
        self._began = workflow.now()
        self._changes = 0
        self._outlook: Outlook | None = None
        self._shown: tuple[str, str] | None = None

    @workflow.run
    async def run(self, promise: Promise) -> str:
        """Look, do what is due, rest until the next thing is or something changes."""
        while True:
            seen = self._changes
            outlook = self._outlook = await self._look()
            self._show(outlook)
            if outlook.mail:
                await self._tell()
                continue
            if outlook.ended is not None:
                return outlook.ended
            await self._rest(outlook, seen)
            if self._tired() and seen == self._changes:
                workflow.continue_as_new(
                    Promise(self._task), initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE
                )

    @workflow.signal
    def changed(self) -> None:
        """Somebody has claimed, snoozed, done or reassigned the task; the records say what."""
        self._changes += 1

    @workflow.query
    def outlook(self) -> Outlook | None:
        """How the task stands and what is due next."""
        return self._outlook

    async def _look(self) -> Outlook:
        """Do what is due in one transaction; done again it changes nothing."""
        outlook: Outlook = await workflow.execute_local_activity(
            "keep_task", Look(self._task, workflow.now()), result_type=Outlook, retry_policy=PATIENT,
            start_to_close_timeout=timedelta(minutes=1), summary="what is due",
        )  # fmt: skip
        return outlook

    async def _tell(self) -> None:
        await workflow.execute_activity(
            "tell_sales", Look(self._task, workflow.now()), retry_policy=PATIENT, task_queue=channel_queue("email"),
            start_to_close_timeout=LONGEST_MAIL, summary="mail to sales",
        )  # fmt: skip

    async def _rest(self, outlook: Outlook, seen: int) -> None:
        latest = workflow.now() + LONGEST_REST
        until = min(outlook.until, latest) if outlook.until is not None else latest
        try:
            await workflow.wait_condition(
                lambda: self._changes != seen, timeout=max(until - workflow.now(), timedelta()),
                timeout_summary=outlook.next,
            )  # fmt: skip
        except TimeoutError:
            return

    def _show(self, outlook: Outlook) -> None:
        until = f" at {outlook.until:%Y-%m-%d %H:%M} UTC" if outlook.until else ""
        workflow.set_current_details(f"task {self._task} is **{outlook.status}**; next: {outlook.next}{until}")
        shown = (outlook.next, outlook.status)
        if shown != self._shown:
            workflow.upsert_search_attributes(
                [attributes.STEP.value_set(outlook.next), attributes.STATUS.value_set(outlook.status)]
            )
            self._shown = shown

    def _tired(self) -> bool:
        info = workflow.info()
        if info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed():
            return True
        return workflow.now() - self._began >= LONG_AGO


@dataclass(frozen=True, slots=True)
class Workday:
    """Whose day ends: a key made from the name, and all that the schedule says, so that a change of it is seen."""

    who: str
    terms: str


@workflow.defn(name="SalesDay", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class SalesDay:
    """Tells somebody of their day by mail; started by the schedule `waymark-day/KEY` when it ends."""

    @workflow.run
    async def run(self, day: Workday) -> str:
        """What became of the mail."""
        due = workflow.info().typed_search_attributes.get(_DUE) or workflow.now()
        told: str = await workflow.execute_activity(
            "tell_day", args=[day, due], result_type=str, retry_policy=PATIENT, task_queue=channel_queue("email"),
            start_to_close_timeout=LONGEST_MAIL, schedule_to_close_timeout=timedelta(hours=24),
            summary="the day in one mail",
        )  # fmt: skip
        return told


@workflow.defn(name="SalesSweep", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class SalesSweep:
    """Starts what a crash left without a workflow, and keeps the schedules of the days; started every minute by the
    schedule `waymark-sales`."""

    @workflow.run
    async def run(self) -> int:
        """How many tasks were taken up."""
        taken_up: int = await workflow.execute_activity(
            "sweep_tasks", workflow.now(), result_type=int, retry_policy=FEW,
            start_to_close_timeout=timedelta(minutes=5), summary="start what was left",
        )  # fmt: skip
        await workflow.execute_activity(
            "keep_days", workflow.now(), retry_policy=FEW, start_to_close_timeout=timedelta(minutes=1),
            summary="the ends of days as handoff.yaml says",
        )  # fmt: skip
        return taken_up
