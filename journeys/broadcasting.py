"""The workflow of a broadcast: one for all its recipients, whatever their number.

It knows times and numbers only. Who gets the message is asked page by page by its activity; see
`activities/broadcasts/broadcasting.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.workflow import ContinueAsNewVersioningBehavior

from journeys.instruction import QUEUE, channel_queue

PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
HEARTBEAT = timedelta(seconds=20)
"""A worker that dies in the middle of a leg is missed within this."""
LONGEST = timedelta(days=7)
"""How long one leg may take; a throttled one takes days."""
LOOK_AGAIN = timedelta(minutes=5)
"""A paused broadcast looks so often whether it may go on, beside being told."""
GIVING_UP = timedelta(days=3)
"""How long after its last wave messages are tried again that were put off."""

Part = Literal["all", "trial", "rest"]
State = Literal["done", "paused", "held", "away", "cancelled"]


@dataclass(frozen=True, slots=True)
class Wave:
    """Messages that go from one moment on (UTC): to this part of the contacts, in these zones (None: in any)."""

    due: datetime
    part: Part
    zones: list[list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a broadcast does after its beginning. `decide_after`: seconds from the end of the trial's waves to the
    winner."""

    waves: list[Wave] = field(default_factory=list)
    shards: int = 1
    trial: int = 0
    decide_after: float | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Leg:
    """One way through the contacts by one of `shards`; `number` counts the ways, `tries` those again for put off
    messages. `final`: what is put off now has failed."""

    broadcast: int
    number: int
    now: datetime
    part: Part
    zones: list[list[str]] | None
    shard: int
    shards: int
    tries: int = 0
    final: bool = False


@dataclass(frozen=True, slots=True)
class LegDone:
    """How a leg ended. `again` is when somebody could be served who was not (UTC)."""

    state: State
    because: str = ""
    again: datetime | None = None
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records say of a broadcast."""

    status: str
    winner: str | None


@dataclass(slots=True)
class Run:
    """The argument of `BroadcastRun`, carried over continue-as-new."""

    broadcast: int
    name: str
    channel: str
    starts_at: datetime
    plan: Plan | None = None
    wave: int = 0
    number: int = 1
    tries: int = 0
    again: datetime | None = None
    waves_ended: datetime | None = None
    decide_at: datetime | None = None
    sent: int = 0


@workflow.defn(name="Broadcast", versioning_behavior=VersioningBehavior.PINNED)
class BroadcastRun:
    """The run of one broadcast. Ends with `finished` or `cancelled`."""

    @workflow.init
    def __init__(self, run: Run) -> None:
        self._run = run
        self._looks = 0

    @workflow.run
    async def run(self, run: Run) -> str:
        """Wait for the beginning, go through the waves, then serve those who could not be served in their wave."""
        if run.plan is None:
            self._say(f"begins at {run.starts_at:%Y-%m-%d %H:%M} UTC")
            if not await self._until(run.starts_at, "the broadcast begins"):
                return await self._end("cancelled")
            run.plan = await self._plan("plan_broadcast", run.starts_at)
            if not run.plan.waves:
                return await self._end("finished" if await self._goes_on() else "cancelled")
        if not await self._waves(run, run.plan):
            return await self._end("cancelled")
        return await self._end("finished" if await self._stragglers(run, run.plan) else "cancelled")

    @workflow.signal
    def look(self) -> None:
        """Somebody paused, resumed or cancelled the broadcast, or picked a winner: the records say which."""
        self._looks += 1

    async def _waves(self, run: Run, plan: Plan) -> bool:
        """Go through the waves, the trial's first; False when the broadcast was cancelled."""
        while run.wave < len(plan.waves):
            if run.wave == plan.trial and plan.decide_after is not None:
                if not await self._decide(run, plan.decide_after):
                    return False
                if plan.local:
                    # The rest get it when it is that time where they live, after the winner is known.
                    later = await self._plan("plan_rest", workflow.now())
                    plan = run.plan = Plan([*plan.waves[: run.wave], *later.waves], plan.shards, plan.trial)
                else:
                    plan = run.plan = Plan(plan.waves, plan.shards, plan.trial)
                continue
            wave = plan.waves[run.wave]
            if not await self._until(wave.due, f"wave {run.wave + 1} of {len(plan.waves)}"):
                return False
            if not await self._leg(run, wave.part, wave.zones):
                return False
            run.wave += 1
        run.waves_ended = run.waves_ended or workflow.now()
        return True

    async def _decide(self, run: Run, after: float) -> bool:
        """Wait for what the trial comes to, and let the records say who won."""
        run.decide_at = run.decide_at or workflow.now() + timedelta(seconds=after)
        self._say(f"the trial is out; the winner is known at {run.decide_at:%Y-%m-%d %H:%M} UTC")
        if not await self._until(run.decide_at, "the winner of the trial", winner=True):
            return False
        won: str = await workflow.execute_activity(
            "decide_broadcast", args=[run.broadcast, workflow.now()], result_type=str, retry_policy=PATIENT,
            start_to_close_timeout=timedelta(minutes=10), summary="which arm won",
        )  # fmt: skip
        self._say(f"{won} won")
        # Those of the trial who could not be served by now get what the rest get.
        run.again = None
        return True

    async def _stragglers(self, run: Run, plan: Plan) -> bool:
        """Serve those who had quiet hours, and those whose messages were put off, for as long as there are any."""
        while (again := run.again) is not None:
            self._say(f"{run.sent:,} sent; the next can go at {again:%Y-%m-%d %H:%M} UTC")
            if not await self._until(again, "those who could not be served before"):
                return False
            run.again, run.tries = None, run.tries + 1
            if not await self._leg(run, "rest" if plan.trial else "all", None):
                return False
        return True

    async def _leg(self, run: Run, part: Part, zones: list[list[str]] | None) -> bool:
        """Go through the contacts once, standing still for as long as it is told to; False when cancelled."""
        assert run.plan is not None
        while True:
            seen = self._looks
            self._say(f"sending, {run.sent:,} sent so far")
            ended = workflow.now() - run.waves_ended >= GIVING_UP if run.waves_ended is not None else False
            legs = [
                Leg(run.broadcast, run.number, workflow.now(), part, zones, shard, run.plan.shards, run.tries, ended)
                for shard in range(run.plan.shards)
            ]
            done = await asyncio.gather(*(self._shard(leg) for leg in legs))
            went = sum(one.sent for one in done)
            run.sent += went
            first = min(done, key=lambda one: ("cancelled", "paused", "held", "away", "done").index(one.state))
            if first.state == "cancelled":
                return False
            if first.state == "done":
                agains = [one.again for one in done if one.again is not None]
                run.again = min([*agains, *([run.again] if run.again else [])], default=None)
                run.number += 1
                return True
            self._say(f"**{first.state}**: {first.because}; {run.sent:,} sent")
            until = first.again if first.state == "away" and first.again else workflow.now() + LOOK_AGAIN
            run.tries = (0 if went else run.tries) + (first.state == "away")
            await self._told(seen, until - workflow.now(), f"{first.state}: {first.because}")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(run, initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE)

    async def _shard(self, leg: Leg) -> LegDone:
        done: LegDone = await workflow.execute_activity(
            "send_broadcast", leg, result_type=LegDone, retry_policy=PATIENT,
            task_queue=channel_queue(self._run.channel), start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT,
            summary=f"{self._run.name}: way {leg.number}, part {leg.shard + 1} of {leg.shards}",
        )  # fmt: skip
        return done

    async def _plan(self, activity: str, now: datetime) -> Plan:
        plan: Plan = await workflow.execute_activity(
            activity, args=[self._run.broadcast, max(now, workflow.now())], result_type=Plan, retry_policy=PATIENT,
            start_to_close_timeout=timedelta(hours=1), heartbeat_timeout=timedelta(minutes=2), task_queue=QUEUE,
            summary="who gets it when",
        )  # fmt: skip
        return plan

    async def _until(self, moment: datetime, summary: str, *, winner: bool = False) -> bool:
        """Wait until a moment; False when the broadcast was cancelled before. `winner`: or until somebody picks one."""
        while (remaining := moment - workflow.now()) > timedelta():
            if not await self._told(self._looks, remaining, summary):
                return True
            standing = await self._standing()
            if standing.status == "cancelled":
                return False
            if winner and standing.winner is not None:
                return True
        return True

    async def _told(self, seen: int, timeout: timedelta, summary: str) -> bool:
        """Wait until somebody says that the records should be looked at; False when that takes too long."""
        try:
            await workflow.wait_condition(
                lambda: self._looks > seen, timeout=max(timeout, timedelta(seconds=1)), timeout_summary=summary[:200]
            )
        except TimeoutError:
            return False
        return True

    async def _goes_on(self) -> bool:
        return (await self._standing()).status != "cancelled"

    async def _standing(self) -> Standing:
        standing: Standing = await workflow.execute_local_activity(
            "broadcast_standing", self._run.broadcast, result_type=Standing, retry_policy=PATIENT,
            start_to_close_timeout=timedelta(minutes=1), summary="what the records say",
        )  # fmt: skip
        return standing

    async def _end(self, status: Literal["finished", "cancelled"]) -> str:
        said: str = await workflow.execute_activity(
            "end_broadcast", args=[self._run.broadcast, status, workflow.now()], result_type=str,
            retry_policy=PATIENT, start_to_close_timeout=timedelta(minutes=5), task_queue=QUEUE, summary=status,
        )  # fmt: skip
        self._say(f"{said}; {self._run.sent:,} sent")
        return said

    def _say(self, what: str) -> None:
        workflow.set_current_details(f"{self._run.name}: {what}")
