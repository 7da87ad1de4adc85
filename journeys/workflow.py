"""`CustomerJourney`: one contact's durable run through one published journey.

A thin loop. Each turn asks the records what is next, then does the one thing that takes time: a delivery, or a wait
that a timer or an event ends. Everything else stands in the records.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ContinueAsNewVersioningBehavior

from journeys import attributes
from journeys.instruction import Event, Instruction, Run, Turn, Woke, channel_queue

SHAPE = 1
"""Which commands the workflow gives, and in which order. Raised by hand when recorded histories no longer replay: runs
of an older shape stay with the workers of their release until they start afresh.
"""
ADVANCE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
"""A database that is away is waited for: a turn is retried for as long as it takes."""
DELIVER = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=2))
HEARTBEAT = timedelta(seconds=10)
LONGEST_DELIVERY = timedelta(minutes=30)
MOST_SEEN = 200
"""How many event keys are remembered for dropping repeats; a repeat that comes later only costs an empty turn."""
LONG_AGO = timedelta(days=30)
"""A run that waited this long starts afresh, so that it wakes on the newest code with a short history."""


@workflow.defn(name="CustomerJourney", versioning_behavior=VersioningBehavior.PINNED)
class CustomerJourney:
    """The run of one enrolment. Ends with the outcome's name."""

    @workflow.init
    def __init__(self, run: Run) -> None:
        self._run = run
        self._began = workflow.now()
        self._instruction: Instruction | None = run.resting
        self._seen = dict.fromkeys(run.seen)
        self._shown: tuple[str, str] | None = None
        self._orders: list[int] = []
        self._answers: dict[int, str | None] = {}

    @workflow.run
    async def run(self, run: Run) -> str:
        """Walk the journey to its end."""
        if self._instruction is None:
            self._instruction = await self._advance("start")
        while self._instruction.act != "finish":
            instruction = self._instruction
            if instruction.act == "deliver":
                self._instruction = await self._deliver(instruction, "delivery")
                continue
            self._show(instruction)
            woke = await self._rest(instruction)
            if woke == "timer" and instruction.channel is not None:
                self._instruction = await self._deliver(instruction, woke)
            else:
                self._instruction = await self._advance(woke)
            if self._tired() and not self._orders:
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._start_afresh()
        self._show(self._instruction)
        self._answers |= dict.fromkeys(self._orders, "the run has ended")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._instruction.outcome or "completed"

    @workflow.signal
    def happened(self, event: Event) -> None:
        """Something happened to the customer that this run may care about. A repeat is dropped."""
        if event.key in self._seen:
            return
        self._seen[event.key] = None
        self._run.inbox.append(event.name)

    @workflow.update
    async def order(self, number: int) -> str:
        """Somebody told the run to do something; the records hold what. Answers where the run stands after it.

        Raises:
            ApplicationError: of the type `Refused`, with the reason, when the order makes no sense where the run is.
        """
        self._orders.append(number)
        await workflow.wait_condition(lambda: number in self._answers)
        refusal = self._answers[number]
        if refusal is not None:
            raise ApplicationError(refusal, type="Refused", non_retryable=True)
        at = self._instruction
        return f"{at.step}: {at.summary}" if at is not None else ""

    @workflow.query
    def state(self) -> Instruction | None:
        """What the run is at: its step, what it waits for, until when, and why."""
        return self._instruction

    async def _rest(self, instruction: Instruction) -> Literal["timer", "event", "order"]:
        """Wait for the time, an event or an order, whichever comes first."""
        if self._orders:
            return "order"
        if self._run.inbox:
            return "event"
        timeout = None
        if instruction.until is not None:
            timeout = max(instruction.until - workflow.now(), timedelta())
        try:
            await workflow.wait_condition(
                lambda: bool(self._run.inbox or self._orders), timeout=timeout, timeout_summary=instruction.summary
            )
        except TimeoutError:
            return "timer"
        return "order" if self._orders else "event"

    async def _advance(self, woke: Woke) -> Instruction:
        """Take a turn where nothing is sent: a local activity, one transaction."""
        self._run.inbox.clear()
        asked = list(self._orders)
        instruction: Instruction = await workflow.execute_local_activity(
            "advance", self._turn(woke), result_type=Instruction, retry_policy=ADVANCE,
            start_to_close_timeout=timedelta(minutes=1), summary=f"advance: {woke}",
        )  # fmt: skip
        return self._heed(instruction, asked)

    async def _deliver(self, instruction: Instruction, woke: Literal["timer", "delivery"]) -> Instruction:
        """Take a turn where a channel delivers, on that channel's queue."""
        assert instruction.channel is not None
        self._run.inbox.clear()
        asked = list(self._orders)
        summary = instruction.summary if woke == "delivery" else instruction.then
        self._say(f"{summary}, on the queue {channel_queue(instruction.channel)}")
        came_to: Instruction = await workflow.execute_activity(
            "deliver", self._turn(woke), result_type=Instruction, retry_policy=DELIVER,
            task_queue=channel_queue(instruction.channel), start_to_close_timeout=LONGEST_DELIVERY,
            heartbeat_timeout=HEARTBEAT, summary=summary,
        )  # fmt: skip
        return self._heed(came_to, asked)

    def _heed(self, instruction: Instruction, asked: list[int]) -> Instruction:
        """Answer the orders that the turn has dealt with; another version of the map is the run's own from now on."""
        self._answers |= {number: instruction.refusals.get(str(number)) for number in asked}
        self._orders = [number for number in self._orders if number not in asked]
        if instruction.version is not None and instruction.version != self._run.version:
            self._run.version = instruction.version
            workflow.upsert_search_attributes([attributes.VERSION.value_set(instruction.version)])
        return instruction

    def _turn(self, woke: Woke) -> Turn:
        last = self._instruction.turn if self._instruction is not None else self._run.turn
        return Turn(self._run.enrolment, last + 1, workflow.now(), woke)

    def _show(self, instruction: Instruction) -> None:
        """Tell operators where the run stands; the search attributes only when they change."""
        until = f" until {instruction.until:%Y-%m-%d %H:%M} UTC" if instruction.until else ""
        why = f", because {instruction.because}" if instruction.because else ""
        self._say(f"**{instruction.step}** ({instruction.status}): {instruction.summary}{until}{why}")
        shown = (instruction.step, instruction.status)
        if shown != self._shown:
            workflow.upsert_search_attributes(
                [attributes.STEP.value_set(instruction.step), attributes.STATUS.value_set(instruction.status)]
            )
            self._shown = shown

    def _say(self, what: str) -> None:
        """The journey stands beside it, because the server forgets a run's summary when it continues as new."""
        workflow.set_current_details(f"{self._run.journey} v{self._run.version}: {what}")

    def _tired(self) -> bool:
        if self._instruction is None or self._instruction.act != "wait":
            return False
        info = workflow.info()
        if info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed():
            return True
        return workflow.now() - self._began >= LONG_AGO

    def _start_afresh(self) -> None:
        """Continue as new at a rest, with the inbox and the keys that were seen; nothing is lost on the way."""
        run = self._run
        workflow.continue_as_new(
            Run(
                run.enrolment, run.journey, run.version, run.turn, self._instruction,
                list(self._seen)[-MOST_SEEN:], list(run.inbox),
            ),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )  # fmt: skip


@workflow.defn(name="Sweep", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Sweep:
    """Finishes what crashes left half done; started by the schedule `waymark-sweep`."""

    @workflow.run
    async def run(self) -> int:
        """How many enrolments and events were taken up."""
        taken_up: int = await workflow.execute_activity(
            "sweep", result_type=int, retry_policy=RetryPolicy(maximum_attempts=3),
            start_to_close_timeout=timedelta(hours=24), heartbeat_timeout=timedelta(seconds=30),
            summary="start and route what was left",
        )  # fmt: skip
        return taken_up
