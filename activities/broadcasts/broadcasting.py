"""Broadcasts at work: page by page, the messages of one leg.

A leg goes through the contacts of one shard by their numbers. Each page is claimed by one statement, and its messages
leave in bundles. Before a bundle leaves, one transaction records how the last one ended, says up to which customer
messages may have left, and asks whether the broadcast still runs and the shard is still ours. So whatever is killed
and wherever: only a bundle can be in doubt, nobody gets two, and a pause acts between two bundles.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.broadcasts import pace as pacing
from activities.broadcasts.admission import Admission
from activities.broadcasts.dispatching import dispatching
from activities.broadcasts.errand import Errand, Slot, Stop, concerns_all, heed
from activities.broadcasts.logbook import Logbook
from activities.broadcasts.pace import Pace
from activities.calendar import Calendar
from activities.channels.channel import Channel, Message, Refused, TryLater
from activities.channels.letters import Letter
from activities.channels.mime import Unsendable
from activities.discretion import discreet
from activities.entering.audience import Router
from activities.messages.composing import Composer
from activities.messages.rendering import Unrenderable
from activities.pulse import Pulse
from journeys.broadcast import Broadcast
from journeys.broadcasting import Leg, LegDone
from records.messages import addressees, broadcasts, claims, outcomes, shards
from records.messages.addressees import Addressee
from records.messages.claims import Claim
from records.people.customers import Customer

LAST_WORDS = 15.0
"""Seconds in which a bundle that is leaving is brought to its end when the worker stops."""
PATIENT = 2.0
"""Seconds between two looks at whether the broadcast still runs, while a throttle lets nothing go."""

log = logging.getLogger(__name__)


class Broadcasting:
    """The activity `send_broadcast` of one channel. `per_second` is the most that goes over it in broadcasts, over all
    workers."""

    def __init__(
        self,
        database: AsyncEngine,
        channel: Channel,
        composer: Composer,
        admission: Admission,
        router: Router,
        calendar: Calendar,
        per_second: float | None = None,
    ) -> None:
        self._database = database
        self._channel = channel
        self._composer = composer
        self._admission = admission
        self._logbook = Logbook(database, router)
        self._calendar = calendar
        self._per_second = per_second

    @activity.defn(name="send_broadcast")
    async def send(self, leg: Leg) -> LegDone:
        """Go through the contacts of a leg once, from where the last attempt at it had come."""
        info = activity.info()
        waited = max(info.started_time - info.scheduled_time, timedelta())
        began = self._calendar.from_server(leg.now + waited)
        with discreet("send_broadcast"), Pulse() as pulse:
            async with self._database.begin() as db:
                row = await broadcasts.get(db, leg.broadcast)
                mine = await shards.take_over(db, row.id, leg.shard, leg.shards, leg.number)
                await broadcasts.note(db, row.id, {f"shard {leg.shard}": {"state": "going"}})
            if mine.doubtful:
                log.warning("broadcast %s: of %s messages nobody knows whether they went", row.name, mine.doubtful)
            of = row.broadcast
            async with dispatching(self._channel, self._composer, of) as dispatch:
                errand = Errand(
                    leg, row, of, dispatch, Pace(self._database, leg, of, self._per_second), mine.epoch, mine.cursor,
                    began, asyncio.get_running_loop().time(), again=mine.again,
                )  # fmt: skip
                try:
                    done = await self._protected(errand, pulse)
                except Exception as error:
                    await self._complain(errand, error)
                    raise
            await self._tell(errand, done)
        return self._in_server_time(done)

    async def _tell(self, errand: Errand, done: LegDone) -> None:
        """Let people see how a way ended."""
        async with self._database.begin() as db:
            await broadcasts.note(db, errand.row.id, {f"shard {errand.leg.shard}": _told(errand, done)})

    async def _complain(self, errand: Errand, error: Exception) -> None:
        """Let people see that an error keeps the broadcast, which is tried again by the server."""
        if isinstance(error, ApplicationError):
            return
        because = f"an error that is tried again ({type(error).__name__}); the worker's log has the details"
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._tell(errand, errand.done("away", because))

    async def _protected(self, errand: Errand, pulse: Pulse) -> LegDone:
        """The work. Where somebody loses patience with it, what has begun to leave is first written down."""
        work = asyncio.create_task(self._work(errand, pulse))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            errand.halted = True
            await asyncio.wait([work], timeout=LAST_WORDS)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise

    async def _work(self, errand: Errand, pulse: Pulse) -> LegDone:
        try:
            while await self._page(errand, pulse):
                pulse.at({"up to": errand.cursor, "sent": errand.sent})
            await self._sees_nothing_taken(errand)
        except Stop as stop:
            await self._logbook.record(errand, heeding=False)
            if stop.state is None:
                raise ApplicationError("the worker stops; another one goes on", type="Moved") from None
            return errand.done(stop.state, stop.because or await self._stopped(errand))
        return errand.done("done")

    async def _stopped(self, errand: Errand) -> str:
        """Why the broadcast stands still, where another shard has seen the reason."""
        async with self._database.connect() as db:
            return str((await broadcasts.get(db, errand.row.id)).progress.get("stopped", ""))

    async def _sees_nothing_taken(self, errand: Errand) -> None:
        """Raises `Stop` where all have been tried, of the trial or at all, messages were refused and none went: however
        few they were, it is nothing to end with. What the records say counts: whoever refused may have done so before a
        crash, on another shard or in an earlier wave."""
        if errand.regardless:
            return
        async with self._database.connect() as db:
            count, reason = await outcomes.to_go_again(db, errand.row.id)
            if not count or await outcomes.any_sent(db, errand.row.id):
                return
            everywhere = errand.whom | {"zones": None, "shard": (0, 1)}
            waiting = await addressees.page(db, errand.of, after=0, limit=1, **everywhere)
        if not waiting:
            raise errand.stop(count, reason)

    async def _page(self, errand: Errand, pulse: Pulse) -> bool:
        """Claim a page and send it; False when there was none. Raises `Stop`."""
        leg, of, pace = errand.leg, errand.of, errand.pace
        await self._logbook.record(errand, cursor=errand.cursor)
        # A page is claimed when it may leave: what happens to people while a throttle lets nothing go is heeded.
        wait = await pace.reserve(pace.bundle)
        if wait > PATIENT and not await self._look(errand, 1):
            await pace.give_back(pace.bundle)
            return False
        await self._wait(errand, wait)
        now = errand.now
        async with self._database.begin() as db:
            page = await addressees.page(db, of, after=errand.cursor, limit=pace.page, **errand.whom)
            if self._admission.gates.counting and not of.transactional:
                await claims.one_at_a_time(db, [one.id for one in page])
            judged = await self._admission.judge(db, of, page, now)
            slots = [errand.slot(one) for one in judged if one.until is None]
            free = await claims.claim(db, leg.broadcast, of, [_claim(of, slot) for slot in slots], now)
            # The claims stand only where the shard is still ours.
            heed(await shards.standing(db, leg.broadcast, leg.shard, errand.epoch, channel=of.channel))
        for one in judged:
            errand.pass_over(one.until)
        going = [slot for slot in slots if slot.to.because is None and slot.customer in free]
        await pace.give_back(pace.bundle - len(going))
        if not page:
            return False
        if await self._send(errand, going, pulse):
            errand.cursor = page[-1].id
        return True

    async def _look(self, errand: Errand, limit: int) -> list[Addressee]:
        async with self._database.connect() as db:
            return await addressees.page(db, errand.of, after=errand.cursor, limit=limit, **errand.whom)

    async def _send(self, errand: Errand, going: list[Slot], pulse: Pulse) -> bool:
        """Send what is claimed of a page, bundle by bundle, for whose first there is room. False when the page has
        become stale: what has not left is given back, to be looked at again."""
        pace, clock = errand.pace, asyncio.get_running_loop()
        claimed, at = clock.time(), 0
        try:
            while at < len(going):
                bundle = going[at : at + pace.bundle]
                if at:
                    await self._wait(errand, await pace.reserve(len(bundle)))
                    if clock.time() - claimed > pacing.FRESH:
                        await pace.give_back(len(bundle))
                        errand.give_back(going[at:])
                        return False
                await self._bundle(errand, bundle)
                at += len(bundle)
                errand.cursor = bundle[-1].customer
                pulse.at({"up to": errand.cursor, "sent": errand.sent})
        except Stop:
            errand.give_back(going[at:])
            raise
        return True

    async def _wait(self, errand: Errand, seconds: float) -> None:
        """Wait as a throttle asks, by the loop's clock. How messages ended is not left unwritten for long."""
        clock = asyncio.get_running_loop()
        until = clock.time() + seconds
        while (remaining := until - clock.time()) > 0:
            if remaining > PATIENT / 2:
                await self._logbook.record(errand)
            errand.heed()
            await asyncio.sleep(min(remaining, PATIENT))

    async def _bundle(self, errand: Errand, bundle: list[Slot]) -> None:
        errand.heed()
        now = errand.now
        written = [(slot, _written(errand, slot, now)) for slot in bundle]
        await self._logbook.record(errand, leaving=bundle[-1].customer)
        ready = [(slot, one) for slot, one in written if not isinstance(one, Exception)]
        outcomes = await errand.dispatch.send([one for _, one in ready])
        for (slot, one), outcome in zip(ready, outcomes, strict=True):
            errand.note(slot, outcome, one.subject, one.locale)
        for slot, fault in written:
            if isinstance(fault, Exception):
                errand.note(slot, fault, None, None)
        away = next((one for one in outcomes if isinstance(one, TryLater) and concerns_all(one)), None)
        if away is not None:
            errand.asked = away.after
            raise Stop("away", f"{away.reason}{f' ({away.hint})' if away.hint else ''}")
        if errand.refusals.too_many and not errand.regardless:
            raise errand.stop(errand.refusals.count, errand.refusals.last)
        if len(bundle) > 1 and not ready and all(isinstance(one, TryLater) for _, one in written):
            raise Stop("away", str(written[0][1]))

    def _in_server_time(self, done: LegDone) -> LegDone:
        if done.again is None:
            return done
        return LegDone(done.state, done.because, self._calendar.to_server(done.again), done.sent)


def _claim(of: Broadcast, slot: Slot) -> Claim:
    address, because = slot.to.to.recipient.address, slot.to.because
    status: Any = "claimed" if because is None else "skipped"
    return Claim(slot.customer, slot.arm, of.message(slot.arm), slot.key, address, status, because)


def _written(errand: Errand, slot: Slot, now: datetime) -> Letter | Message | Refused | TryLater:
    recipient = slot.to.to.recipient
    try:
        return errand.dispatch.write(
            errand.of, slot.arm, Customer(**recipient.row), recipient.address or "", slot.key, now
        )
    except Unrenderable as error:
        return TryLater(str(error))
    except Unsendable as error:
        return Refused(str(error))


def _told(errand: Errand, done: LegDone) -> Mapping[str, Any]:
    again = done.again.isoformat() if done.again else None
    way = {"way": errand.leg.number, "shards": errand.leg.shards, "ended": errand.now.isoformat()}
    return {"state": done.state, "because": done.because, "again": again, **way}
