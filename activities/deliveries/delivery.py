"""Delivering one touch: claim, send, record."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.calendar import Calendar
from activities.channels.channel import Channel, Message, Refused, TryLater, Unknown
from activities.deliveries.bounces import bounced
from activities.deliveries.persistence import persistently
from activities.discretion import discreet
from activities.entering.audience import Router
from activities.messages.composing import Composer
from activities.messages.rendering import Unrenderable
from activities.turns.taken import Taken, erased
from activities.turns.turn import Turns
from journeys.instruction import Event, Instruction, Turn
from journeys.steps.sends import Send
from journeys.timing import punctual
from records.messages import ledger
from records.runs import standings
from records.runs.enrolments import UnknownRun

BEAT = 3.0
"""Seconds between heartbeats: a worker that dies in the middle of a delivery is missed within HEARTBEAT."""
PATIENCE = timedelta(days=3)
"""How long a delivery is put off before it counts as failed: as mail servers do (RFC 5321, section 4.5.4.1)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a send ended: a provider's id, or what went wrong; and when (UTC)."""

    at: datetime
    problem: Refused | TryLater | Unknown | None
    provider_id: str | None


class Delivery:
    """The activity `deliver`, for all channels; each channel's queue has its own worker."""

    def __init__(
        self,
        database: AsyncEngine,
        turns: Turns,
        channels: Mapping[str, Channel],
        composer: Composer,
        router: Router,
        calendar: Calendar,
    ) -> None:
        self._database = database
        self._turns = turns
        self._channels = channels
        self._composer = composer
        self._router = router
        self._calendar = calendar

    @activity.defn(name="deliver")
    async def deliver(self, turn: Turn) -> Instruction:
        """Take the turn; where it comes to a send on one of our channels, make the delivery and go on from it.

        The claim is committed before anything leaves, the outcome after. An attempt that finds a claim was cut off
        in between, and cannot know: what happens then is the step's `if_uncertain`.
        """
        present = self._calendar.from_server(_present(turn))
        gates = self._turns.gates
        with discreet("deliver"), _heartbeats():
            try:
                async with self._database.begin() as db:
                    if gates.counting:
                        await ledger.one_at_a_time(db, turn.enrolment)
                    taken = await self._turns.take(db, self._calendar.turn(turn))
                    taken.now = punctual(taken.now, present)
                    message = await self._claim(db, taken)
                if message is not None:
                    taken = await self._record(taken, message, await self._send(taken, message))
            except UnknownRun:
                return erased(turn)
            await self._router.follow_up(taken.caused, taken.entered)
            return self._calendar.instruction(taken.instruction)

    async def _claim(self, db: AsyncConnection, taken: Taken) -> Message | None:
        """Claim the slot; returns the message to send, or None when there is nothing (more) to send this turn."""
        if taken.instruction.act != "deliver" or taken.instruction.channel not in self._channels:
            return None
        send, slot = taken.send, taken.slot
        found = await ledger.find(db, slot) if taken.been_here else None
        if found is not None and found.status in ("sent", "skipped", "failed"):
            await self._turns.settle(db, taken, found.status, {"found": found.status})
            return None
        if found is not None and not await self._claim_again(db, taken):
            return None
        recipient = await ledger.recipient(db, taken.enrolment.customer_id, send.channel)
        row = taken.row(recipient.address)
        if isinstance(send, Send):
            rule = self._turns.gates.rules.consent_rule(send.channel)
            refusal = recipient.refusal(send.channel, rule, transactional=send.transactional)
            if refusal is not None:
                await ledger.skip(db, slot, row, refusal)
                await self._turns.settle(db, taken, "skipped", {"because": refusal})
                return None
            capped = await self._turns.gates.capped(db, taken)
            if capped is not None:
                await self._turns.wait_at_gate(db, taken, capped)
                return None
        try:
            message = self._composer.compose(taken, recipient, row["key"], taken.now)
        except Unrenderable as error:
            await self._put_off(db, taken, row, TryLater(str(error), after=timedelta(minutes=15), configuration=True))
            return None
        await ledger.claim(db, slot, {**row, "subject": message.subject, "locale": message.locale})
        return message

    async def _claim_again(self, db: AsyncConnection, taken: Taken) -> bool:
        """Deal with a claim that was cut off, by the step's policy; True when the message is to be sent again."""
        if taken.send.if_uncertain == "resend":
            await ledger.release(db, taken.slot)
            return True
        doubt = "a crash came between the claim and the record"
        await ledger.settle(db, taken.slot, "uncertain", at=None, because=doubt)
        await self._doubt(db, taken, doubt)
        return False

    async def _doubt(self, db: AsyncConnection, taken: Taken, reason: str) -> None:
        if taken.send.if_uncertain == "go_on":
            await self._turns.settle(db, taken, "uncertain", {"because": reason})
        else:
            await self._turns.put_off(db, taken, None, reason, taken.put_off)

    async def _send(self, taken: Taken, message: Message) -> Outcome:
        clock = asyncio.get_running_loop()
        began = clock.time()
        try:
            receipt = await self._channels[taken.send.channel].send(message)
        except (Refused, TryLater, Unknown) as problem:
            return Outcome(self._at(taken, clock.time() - began), problem, None)
        return Outcome(self._at(taken, clock.time() - began), None, receipt.provider_id)

    def _at(self, taken: Taken, seconds: float) -> datetime:
        """When a delivery ended that took so long: when it was due, unless it took long."""
        return punctual(taken.now, taken.now + timedelta(seconds=seconds))

    async def _record(self, taken: Taken, message: Message, outcome: Outcome) -> Taken:
        """Write the outcome; returns the turn as it stands then."""

        async def write() -> tuple[Taken, bool]:
            concluded = taken.copy()
            concluded.now = outcome.at
            async with self._database.begin() as db:
                mine = await self._still_mine(db, taken)
                if mine:
                    await self._conclude(db, concluded, message, outcome)
                elif outcome.problem is None:
                    await ledger.settle(
                        db, taken.slot, "sent", at=outcome.at, provider_id=outcome.provider_id, because=None
                    )
            return concluded, mine

        concluded, mine = await persistently(write, f"touch {message.key} is sent but not yet recorded")
        if not mine:
            # Another attempt took this one for dead and put the run on hold; now that the truth is known it goes on.
            await self._router.wake(taken.enrolment, Event(f"settled/{message.key}", "touch.settled", outcome.at))
        return concluded

    async def _still_mine(self, db: AsyncConnection, taken: Taken) -> bool:
        standing = await standings.lock(db, taken.enrolment.id)
        instruction = standing.enrolment.instruction or {}
        here = (instruction.get("act"), instruction.get("step")) == ("deliver", taken.slot.step)
        return standing.enrolment.turn == taken.turn and here

    async def _conclude(self, db: AsyncConnection, taken: Taken, message: Message, outcome: Outcome) -> None:
        slot, turns, now = taken.slot, self._turns, outcome.at
        match outcome.problem:
            case None:
                await ledger.settle(db, slot, "sent", at=now, provider_id=outcome.provider_id)
                await turns.settle(db, taken, "sent", {})
            case Refused(reason=reason, suppress=dead):
                await ledger.settle(db, slot, "failed", at=now, because=reason)
                if dead:
                    await self._bounce(db, taken, message, reason, now)
                await turns.settle(db, taken, "failed", {"because": reason})
            case TryLater() as later:
                await ledger.release(db, slot)
                await self._put_off(db, taken, taken.row(), later)
            case Unknown(reason=reason) if taken.send.if_uncertain == "resend":
                await ledger.release(db, slot)
                await self._put_off(db, taken, taken.row(), TryLater(reason))
            case Unknown(reason=reason):
                await ledger.settle(db, slot, "uncertain", at=None, because=reason)
                await self._doubt(db, taken, reason)

    async def _bounce(self, db: AsyncConnection, taken: Taken, message: Message, reason: str, now: datetime) -> None:
        event = await bounced(
            db, taken.enrolment.customer_id, taken.send.channel, message.address, message=taken.send.message,
            key=message.key, reason=reason, now=now,
        )  # fmt: skip
        if event is not None:
            taken.caused.append(event)

    async def _put_off(self, db: AsyncConnection, taken: Taken, row: dict[str, Any], later: TryLater) -> None:
        """Try again later, for three days; for as long as it takes when the fault is in our own settings: that time
        is not held against the other side."""
        now, times = taken.now, taken.put_off.get("times", 0) + 1
        first = now.isoformat() if later.configuration else taken.put_off.get("first", now.isoformat())
        if not later.configuration and now - datetime.fromisoformat(first) >= PATIENCE:
            because = f"gave up after {PATIENCE.days} days: {later.reason}"
            await ledger.claim(db, taken.slot, {**row, "status": "failed", "because": because, "settled_at": now})
            await self._turns.settle(db, taken, "failed", {"because": because})
            return
        note = {"times": times, "first": first, "because": later.reason}
        await self._turns.put_off(db, taken, now + next_try(times, later.after), later.reason, note)


def next_try(times: int, asked: timedelta | None) -> timedelta:
    """How long to put a delivery off at the `times`-th time: doubling from one minute to four hours, or longer when
    the other side asked for more."""
    pause = min(timedelta(minutes=2 ** min(times - 1, 10)), timedelta(hours=4))
    return max(pause, asked or timedelta())


def _present(turn: Turn) -> datetime:
    """The turn's time plus what the task waited for a worker, both by the server's clock: in a rehearsal that clock
    is the run's own, so the machine's must not be asked."""
    info = activity.info()
    return turn.now + max(info.started_time - info.scheduled_time, timedelta())


@contextlib.contextmanager
def _heartbeats() -> Iterator[None]:
    """Tell the server every few seconds that this attempt lives."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def beat() -> None:
        nonlocal handle
        activity.heartbeat()
        handle = loop.call_later(BEAT, beat)

    handle = loop.call_later(BEAT, beat)
    try:
        yield
    finally:
        handle.cancel()
