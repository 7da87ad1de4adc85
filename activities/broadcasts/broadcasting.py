"""Broadcasts at work: page by page, the messages of one leg.

A leg goes through the contacts of one shard by their numbers. Each page is claimed by one statement, and its messages
leave in bundles. Before a bundle leaves, one transaction records how the last one ended, says up to which customer
messages may have left, and asks whether the broadcast still runs and the shard is still ours. So whatever is killed
and wherever: only a bundle can be in doubt, nobody gets two, and a pause acts between two bundles.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.audience import Router
from activities.broadcasts.admission import Admission, Admitted
from activities.broadcasts.dispatching import Dispatch, dispatching
from activities.calendar import Calendar
from activities.channels.bulk import Away, Letter, Outcome
from activities.channels.channel import Channel, Message, Receipt, Refused, TryLater, Unknown
from activities.channels.mime import Unsendable
from activities.composing import Composer
from activities.delivery import next_try
from activities.discretion import discreet
from activities.pulse import Pulse
from activities.rendering import Unrenderable
from journeys.broadcast import Broadcast, touch_key
from journeys.broadcasting import Leg, LegDone, State
from records import events
from records.events import StoredEvent
from records.messages import addressees, broadcasts, claims, shards
from records.messages.claims import Claim, Settlement
from records.messages.shards import Standing
from records.people import suppressions
from records.people.customers import Customer

PAGE = 500
"""Contacts whose messages are claimed by one statement."""
BUNDLE = 50
"""Messages that leave between two looks at the records, and that can be in doubt when a worker dies."""

LAST_WORDS = 15.0
"""Seconds in which a bundle that is leaving is brought to its end when the worker stops."""

log = logging.getLogger(__name__)


class Superseded(ApplicationError):
    """Somebody else works on this shard: this attempt was taken for dead, and must send nothing more."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """One message of a page that is claimed: whose it is, and its key."""

    to: Admitted
    arm: str | None
    key: str

    @property
    def customer(self) -> int:
        return self.to.to.id


@dataclass
class _Errand:
    """A leg under way: whose it is, how far it has come, and what is still to be written down."""

    leg: Leg
    row: broadcasts.BroadcastRow
    of: Broadcast
    dispatch: Dispatch
    epoch: int
    cursor: int
    began: datetime
    clock: float
    ended: list[Settlement] = field(default_factory=list)
    dead: list[tuple[_Slot, str]] = field(default_factory=list)
    again: list[datetime] = field(default_factory=list)
    asked: timedelta | None = None
    put_off: int = 0
    sent: int = 0
    halted: bool = False

    def heed(self) -> None:
        """Raises `_Stop` where this worker is to stop."""
        if self.halted or activity.is_worker_shutdown():
            raise _Stop(None)

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.began + timedelta(seconds=asyncio.get_running_loop().time() - self.clock)

    def done(self, state: State, because: str = "") -> LegDone:
        again = list(self.again)
        if self.put_off or state == "away":
            again.append(self.now + next_try(self.leg.tries + 1, self.asked))
        return LegDone(state, because[:300], min(again, default=None), self.sent)


class _Stop(Exception):
    """The leg ends here: paused, cancelled, held, nothing passes; or (None) another worker is to go on with it."""

    def __init__(self, state: State | None, because: str = "") -> None:
        super().__init__(because)
        self.state = state
        self.because = because


class Broadcasting:
    """The activity `send_broadcast` of one channel. `per_second` is the most that goes over it, over all workers."""

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
        self._router = router
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
            if mine.doubtful:
                log.warning("broadcast %s: of %s messages nobody knows whether they went", row.name, mine.doubtful)
            of = row.broadcast
            async with dispatching(self._channel, self._composer, of) as dispatch:
                errand = _Errand(
                    leg, row, of, dispatch, mine.epoch, mine.cursor, began, asyncio.get_running_loop().time()
                )
                done = await self._protected(errand, pulse)
            async with self._database.begin() as db:
                await broadcasts.note(db, row.id, {f"shard {leg.shard}": _told(done)})
        return self._in_server_time(done)

    async def _protected(self, errand: _Errand, pulse: Pulse) -> LegDone:
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

    async def _work(self, errand: _Errand, pulse: Pulse) -> LegDone:
        try:
            while await self._page(errand, pulse):
                pulse.at({"up to": errand.cursor, "sent": errand.sent})
        except _Stop as stop:
            await self._record(errand, heed=False)
            if stop.state is None:
                raise ApplicationError("the worker stops; another one goes on", type="Moved") from None
            return errand.done(stop.state, stop.because)
        return errand.done("done")

    async def _page(self, errand: _Errand, pulse: Pulse) -> bool:
        """Claim a page and send it; False when there was none. Raises `_Stop`."""
        leg, of = errand.leg, errand.of
        await self._record(errand, cursor=errand.cursor)
        now = errand.now
        async with self._database.begin() as db:
            page = await addressees.page(
                db, of, after=errand.cursor, limit=PAGE, since=errand.row.started_at or now,
                part="trial" if leg.part == "trial" else "all",
                zones=None if leg.zones is None else [(zone, country) for zone, country in leg.zones],
                besides=leg.broadcast, shard=(leg.shard, leg.shards),
            )  # fmt: skip
            if not page:
                return False
            if self._admission.gates.counting and not of.transactional:
                await claims.one_at_a_time(db, [one.id for one in page])
            judged = await self._admission.judge(db, of, page, now)
            slots = [self._slot(errand, one) for one in judged if one.until is None]
            free = await claims.claim(db, leg.broadcast, of, [_claim(of, slot) for slot in slots], now)
            # The claims stand only where the shard is still ours.
            _heed(await shards.standing(db, leg.broadcast, leg.shard, errand.epoch, channel=of.channel))
        errand.again += [one.until for one in judged if one.until is not None]
        await self._send(errand, [slot for slot in slots if slot.to.because is None and slot.customer in free], pulse)
        errand.cursor = page[-1].id
        return True

    def _slot(self, errand: _Errand, one: Admitted) -> _Slot:
        of, part = errand.of, errand.leg.part
        arm = of.arm(one.to.id) if part == "trial" else errand.row.winner if of.ab is not None else None
        return _Slot(one, arm, touch_key(errand.row.id, one.to.id))

    async def _send(self, errand: _Errand, going: list[_Slot], pulse: Pulse) -> None:
        """Send what is claimed of a page, bundle by bundle."""
        rate = self._rate(errand)
        size = BUNDLE if rate is None else max(1, min(BUNDLE, round(rate)))
        at = 0
        try:
            while at < len(going):
                bundle = going[at : at + size]
                began = asyncio.get_running_loop().time()
                await self._bundle(errand, bundle)
                at += len(bundle)
                pulse.at({"up to": bundle[-1].customer, "sent": errand.sent})
                if rate is not None:
                    await self._pace(errand, began + len(bundle) / rate)
        except _Stop:
            # What was claimed and has not left is free again.
            told = {one.key for one in errand.ended}
            errand.ended += [Settlement(slot.key, "put off") for slot in going[at:] if slot.key not in told]
            raise

    async def _pace(self, errand: _Errand, until: float) -> None:
        """Wait as a throttle asks, by the loop's clock."""
        while (remaining := until - asyncio.get_running_loop().time()) > 0:
            errand.heed()
            await asyncio.sleep(min(remaining, 2))

    async def _bundle(self, errand: _Errand, bundle: list[_Slot]) -> None:
        errand.heed()
        now = errand.now
        written = [(slot, self._written(errand, slot, now)) for slot in bundle]
        await self._record(errand, leaving=bundle[-1].customer)
        ready = [(slot, one) for slot, one in written if not isinstance(one, Exception)]
        outcomes = await errand.dispatch.send([one for _, one in ready])
        for (slot, one), outcome in zip(ready, outcomes, strict=True):
            self._note(errand, slot, outcome, one.subject, one.locale)
        for slot, fault in written:
            if isinstance(fault, Exception):
                self._note(errand, slot, fault, None, None)
        away = next((one for one in outcomes if isinstance(one, TryLater) and _concerns_all(one)), None)
        if away is not None:
            errand.asked = away.after
            raise _Stop("away", f"{away.reason}{f' ({away.hint})' if away.hint else ''}")
        if len(bundle) > 1 and not ready and all(isinstance(one, TryLater) for _, one in written):
            raise _Stop("away", str(written[0][1]))

    def _written(self, errand: _Errand, slot: _Slot, now: datetime) -> Letter | Message | Refused | TryLater:
        recipient = slot.to.to.recipient
        try:
            return errand.dispatch.write(
                errand.of, slot.arm, Customer(**recipient.row), recipient.address or "", slot.key, now
            )
        except Unrenderable as error:
            return TryLater(str(error))
        except Unsendable as error:
            return Refused(str(error))

    def _note(self, errand: _Errand, slot: _Slot, outcome: Outcome, subject: str | None, locale: str | None) -> None:
        """What became of one message, to be written down with the next bundle."""
        match outcome:
            case Receipt():
                errand.sent += 1
                ended = Settlement(slot.key, "sent", None, subject, locale, outcome.provider_id)
            case Refused(reason=reason, suppress=dead):
                ended = Settlement(slot.key, "failed", reason, subject, locale)
                if dead:
                    errand.dead.append((slot, reason))
            case TryLater(reason=reason) if errand.leg.final and not _concerns_all(outcome):
                ended = Settlement(slot.key, "failed", f"gave up: {reason}", subject, locale)
            case TryLater(after=after):
                ended = Settlement(slot.key, "put off")
                errand.put_off += 1
                errand.asked = max(errand.asked or timedelta(), after or timedelta())
            case Unknown(reason=reason):
                ended = Settlement(slot.key, "uncertain", reason, subject, locale)
            case _:
                raise AssertionError(f"{outcome} is no way in which a message ends")
        errand.ended.append(ended)

    async def _record(self, errand: _Errand, *, heed: bool = True, **marks: int) -> None:
        """Write down how messages ended, and how far the shard is (`leaving`, `cursor`); `heed` what the records say.

        What we know must not become a doubt because the database is away for a moment: a lost connection is tried
        again for as long as the activity lives. Raises `_Stop`, and then nothing was written, and `Superseded`.
        """
        leg, pause = errand.leg, 0.5
        while True:
            try:
                async with self._database.begin() as db:
                    standing = await shards.standing(
                        db, leg.broadcast, leg.shard, errand.epoch, channel=errand.of.channel, **marks
                    )
                    if standing is None:
                        # Claims that we would give back are another's by now.
                        errand.ended = [one for one in errand.ended if one.status != "put off"]
                    elif heed:
                        _heed(standing)
                    caused = await self._write(db, errand)
                break
            except (OperationalError, InterfaceError, PoolTimeout):
                log.warning("broadcast %s: %s ends are not yet recorded", errand.row.name, len(errand.ended))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)
        errand.ended, errand.dead = [], []
        if caused:
            await self._router.follow_up(caused, [])
        if standing is None:
            _heed(standing)

    async def _write(self, db: AsyncConnection, errand: _Errand) -> list[StoredEvent]:
        """Write down how messages ended; returns what journeys are to hear. Done again, it changes nothing."""
        now, channel = errand.now, errand.of.channel
        await claims.settle(db, errand.ended, now)
        caused = []
        for slot, reason in errand.dead:
            address = slot.to.to.recipient.address or ""
            await suppressions.add(db, channel, address, reason="bounced", source=reason, at=now)
            event = await events.store(
                db, customer_id=slot.customer, name="email.bounced" if channel == "email" else "sms.failed",
                occurred_at=now, received_at=now, key=f"bounce/{slot.key}",
                properties={"message": errand.of.message(slot.arm), "reason": reason},
            )  # fmt: skip
            if event is not None:
                caused.append(event)
        return caused

    def _rate(self, errand: _Errand) -> float | None:
        """Messages per second that this leg may send."""
        stated = [rate for rate in (errand.of.throttle, self._per_second) if rate is not None]
        return min(stated) / errand.leg.shards if stated else None

    def _in_server_time(self, done: LegDone) -> LegDone:
        if done.again is None:
            return done
        return LegDone(done.state, done.because, self._calendar.to_server(done.again), done.sent)


def _claim(of: Broadcast, slot: _Slot) -> Claim:
    address, because = slot.to.to.recipient.address, slot.to.because
    status: Any = "claimed" if because is None else "skipped"
    return Claim(slot.customer, slot.arm, of.message(slot.arm), slot.key, address, status, because)


def _heed(standing: Standing | None) -> None:
    """Raises `_Stop` where nothing may leave, and `Superseded` where it is not ours to send."""
    if standing is None:
        raise Superseded("another attempt works on this part of the broadcast", type="Superseded")
    if standing.status != "running":
        raise _Stop("paused" if standing.status == "paused" else "cancelled")
    if standing.held is not None:
        raise _Stop("held", standing.held)


def _concerns_all(later: TryLater) -> bool:
    """Whether nothing would pass now, whoever it is for."""
    return later.configuration or isinstance(later, Away)


def _told(done: LegDone) -> Mapping[str, Any]:
    return {"state": done.state, "because": done.because, "again": done.again.isoformat() if done.again else None}
