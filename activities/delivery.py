"""Delivering one touch: claim, send, record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audience import Router
from activities.channels.channel import Channel, Message, Refused, TryLater, Unknown
from activities.composing import Composer, Unrenderable
from activities.turns import PATIENCE, Taken, Turns, next_try
from journeys.identity import touch_key
from journeys.instruction import Instruction, Turn
from records import events, ledger, suppressions
from records.events import StoredEvent

log = logging.getLogger(__name__)


class Delivery:
    """The activity `deliver`, for all channels; each channel's queue has its own worker."""

    def __init__(
        self, database: AsyncEngine, turns: Turns, channels: Mapping[str, Channel], composer: Composer, router: Router
    ) -> None:
        self._database = database
        self._turns = turns
        self._channels = channels
        self._composer = composer
        self._router = router

    @activity.defn(name="deliver")
    async def deliver(self, turn: Turn) -> Instruction:
        """Take the turn; where it comes to a send on this queue's channel, make the delivery and go on from it.

        The claim is committed before anything leaves, the outcome after. An attempt that finds a claim was cut off
        in between, and cannot know: what happens then is the step's `if_uncertain`.
        """
        now = _present(turn)
        async with self._database.begin() as db:
            taken = await self._turns.take(db, turn)
            message = await self._claim(db, taken, now)
        if message is not None:
            await self._send(taken, message, now)
        await self._router.route_all(taken.caused)
        return taken.instruction

    async def _claim(self, db: AsyncConnection, taken: Taken, now: datetime) -> Message | None:
        """Claim the slot; returns the message to send, or None when there is nothing (more) to send this turn."""
        if taken.instruction.act != "deliver" or taken.instruction.channel not in self._channels:
            return None
        step, slot = taken.send, taken.slot
        found = await ledger.find(db, slot)
        if found is not None and found.status in ("sent", "skipped", "failed"):
            await self._turns.settle(db, taken, found.status, now, {"found": found.status})
            return None
        if found is not None and not await self._resend(db, taken, now):
            return None
        recipient = await ledger.recipient(db, taken.enrolment.customer_id, step.channel)
        row: dict[str, Any] = {
            "customer_id": taken.enrolment.customer_id, "journey": taken.enrolment.journey,
            "version": taken.enrolment.version, "channel": step.channel, "message": step.send,
            "key": touch_key(slot.enrolment_id, slot.step, slot.visit), "claimed_at": now,
            "address": recipient.address, "attempts": taken.put_off.get("times", 0) + 1,
            "subject": None, "locale": None, "because": None, "settled_at": None,
        }  # fmt: skip
        if (refusal := recipient.refusal(step.channel)) is not None:
            await ledger.skip(db, slot, row, refusal)
            await self._turns.settle(db, taken, "skipped", now, {"because": refusal})
            return None
        try:
            message = self._composer.compose(taken, recipient, row["key"], now)
        except Unrenderable as error:
            await self._put_off(db, taken, now, str(error), timedelta(hours=1))
            return None
        await ledger.claim(db, slot, {**row, "subject": message.subject, "locale": message.locale})
        return message

    async def _resend(self, db: AsyncConnection, taken: Taken, now: datetime) -> bool:
        """Settle a claim that was cut off, by the step's policy; True when the message is to be sent again."""
        policy = taken.send.if_uncertain
        if policy == "resend":
            await ledger.release(db, taken.slot)
            return True
        doubt = "a crash came between the claim and the record"
        await ledger.settle(db, taken.slot, "uncertain", at=None, because=doubt)
        if policy == "go_on":
            await self._turns.settle(db, taken, "uncertain", now, {"because": doubt})
        else:
            await self._turns.put_off(db, taken, None, doubt, taken.put_off)
        return False

    async def _send(self, taken: Taken, message: Message, now: datetime) -> None:
        channel = self._channels[taken.send.channel]
        began = asyncio.get_running_loop().time()
        problem: Refused | TryLater | Unknown | None = None
        provider: str | None = None
        try:
            provider = (await channel.send(message)).provider_id
        except (Refused, TryLater, Unknown) as error:
            problem = error
        now += timedelta(seconds=asyncio.get_running_loop().time() - began)
        async with self._database.begin() as db:
            await self._record(db, taken, message, problem, provider, now)

    async def _record(
        self,
        db: AsyncConnection,
        taken: Taken,
        message: Message,
        problem: Refused | TryLater | Unknown | None,
        provider: str | None,
        now: datetime,
    ) -> None:
        slot, turns = taken.slot, self._turns
        match problem:
            case None:
                known = await ledger.settle(db, slot, "sent", at=now, provider_id=provider)
                if known:
                    await turns.settle(db, taken, "sent", now, {})
                else:
                    log.warning("touch %s was settled by somebody else while it was sent", message.key)
            case Refused(reason=reason):
                await ledger.settle(db, slot, "failed", at=now, because=reason)
                if problem.suppress:
                    taken.caused += await self._bounce(db, taken, message, reason, now)
                await turns.settle(db, taken, "failed", now, {"because": reason})
            case TryLater(reason=reason):
                await ledger.release(db, slot)
                await self._put_off(db, taken, now, reason, problem.after, for_ever=problem.configuration)
            case Unknown(reason=reason):
                await ledger.settle(db, slot, "uncertain", at=None, because=reason)
                await self._turns.put_off(db, taken, None, reason, taken.put_off)

    async def _bounce(
        self, db: AsyncConnection, taken: Taken, message: Message, reason: str, now: datetime
    ) -> list[StoredEvent]:
        """An address that does not exist is written to no more, by any journey."""
        name = taken.send.channel
        await suppressions.add(db, name, message.address, reason="bounced", source=reason, at=now)
        event = await events.store(
            db, customer_id=taken.enrolment.customer_id,
            name="email.bounced" if name == "email" else "sms.failed", occurred_at=now, received_at=now,
            key=f"bounce/{message.key}", properties={"message": taken.send.send, "reason": reason},
        )  # fmt: skip
        return [event] if event is not None else []

    async def _put_off(
        self,
        db: AsyncConnection,
        taken: Taken,
        now: datetime,
        reason: str,
        after: timedelta | None,
        for_ever: bool = False,
    ) -> None:
        """Try again later, for three days; for ever when the fault is in our own settings."""
        earlier = taken.put_off
        times, first = earlier.get("times", 0) + 1, earlier.get("first", now.isoformat())
        if not for_ever and now - datetime.fromisoformat(first) >= PATIENCE:
            because = f"gave up after {PATIENCE.days} days: {reason}"
            row = {"customer_id": taken.enrolment.customer_id, "journey": taken.enrolment.journey,
                   "version": taken.enrolment.version, "channel": taken.send.channel, "message": taken.send.send,
                   "key": touch_key(taken.slot.enrolment_id, taken.slot.step, taken.slot.visit), "claimed_at": now,
                   "attempts": times}  # fmt: skip
            await ledger.claim(db, taken.slot, row)
            await ledger.settle(db, taken.slot, "failed", at=now, because=because)
            await self._turns.settle(db, taken, "failed", now, {"because": because})
            return
        note = {"times": times, "first": first, "because": reason}
        await self._turns.put_off(db, taken, now + next_try(times, after), reason, note)


def _present(turn: Turn) -> datetime:
    """The turn's time plus what the task waited for a worker, both by the server's clock: in a rehearsal that clock
    is the run's own, so the machine's must not be asked."""
    info = activity.info()
    return turn.now + max(info.started_time - info.scheduled_time, timedelta())
