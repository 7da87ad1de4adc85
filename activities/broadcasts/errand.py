"""A leg of a broadcast under way: how far it has come, what became of its messages, and what makes it stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.broadcasts.admission import Admitted
from activities.broadcasts.dispatching import Dispatch
from activities.broadcasts.pace import Pace
from activities.broadcasts.refusals import Refusals, why
from activities.channels.channel import Away, Outcome, Receipt, Refused, TryLater, Unknown
from activities.deliveries.delivery import next_try
from activities.discretion import nameless
from journeys.broadcast import Broadcast, touch_key
from journeys.broadcasting import Leg, LegDone, State
from records.messages.broadcasts import BroadcastRow
from records.messages.claims import Settlement
from records.messages.shards import Standing


class Superseded(ApplicationError):
    """Somebody else works on this shard: this attempt was taken for dead, and must send nothing more."""


class Stop(Exception):
    """The leg ends here: paused, cancelled, held, nothing passes; or (None) another worker is to go on with it."""

    def __init__(self, state: State | None, because: str = "") -> None:
        super().__init__(because)
        self.state = state
        self.because = because


@dataclass(frozen=True, slots=True)
class Slot:
    """One message of a page that is claimed: whose it is, and its key."""

    to: Admitted
    arm: str | None
    key: str

    @property
    def customer(self) -> int:
        return self.to.to.id


@dataclass
class Errand:
    """A leg under way: whose it is, how far it has come, and what is still to be written down (`ended`, and the
    addresses that are `dead`). `began` is business time at the loop's time `clock`. `stopped` is why the broadcast is
    to stand still until somebody resumes it."""

    leg: Leg
    row: BroadcastRow
    of: Broadcast
    dispatch: Dispatch
    pace: Pace
    epoch: int
    cursor: int
    began: datetime
    clock: float
    ended: list[Settlement] = field(default_factory=list)
    dead: list[tuple[Slot, str]] = field(default_factory=list)
    again: datetime | None = None
    asked: timedelta | None = None
    put_off: int = 0
    sent: int = 0
    halted: bool = False
    refusals: Refusals = field(default_factory=Refusals)
    stopped: str | None = None

    @property
    def regardless(self) -> bool:
        """Whether it goes on though messages are refused: somebody said so."""
        return bool(self.row.progress.get("regardless"))

    @property
    def whom(self) -> dict[str, Any]:
        """Whom the leg means; see `addressees`."""
        leg = self.leg
        return {
            "since": self.row.started_at or self.now,
            "part": "trial" if leg.part == "trial" else "all",
            "zones": None if leg.zones is None else [(zone, country) for zone, country in leg.zones],
            "besides": leg.broadcast,
            "shard": (leg.shard, leg.shards),
        }

    def slot(self, one: Admitted) -> Slot:
        """The place of somebody's message in the ledger."""
        of = self.of
        arm = of.arm(one.to.id) if self.leg.part == "trial" else self.row.winner if of.ab is not None else None
        return Slot(one, arm, touch_key(self.row.id, one.to.id))

    def heed(self) -> None:
        """Raises `Stop` where this worker is to stop."""
        if self.halted or activity.is_worker_shutdown():
            raise Stop(None)

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.began + timedelta(seconds=asyncio.get_running_loop().time() - self.clock)

    def note(self, slot: Slot, outcome: Outcome, subject: str | None, locale: str | None) -> None:
        """What became of one message, to be written down with the next bundle."""
        address = slot.to.to.recipient.address or ""
        match outcome:
            case Receipt():
                self.sent += 1
                self.refusals.taken(slot.arm, locale, address)
                ended = Settlement(slot.key, "sent", None, subject, locale, outcome.provider_id)
            case Refused(reason=reason, suppress=dead, message=message):
                ended = Settlement(slot.key, "failed", reason, subject, locale, again=message and not self.regardless)
                if message:
                    self.refusals.refused(slot.arm, locale, address, reason)
                if dead:
                    self.dead.append((slot, reason))
            case TryLater(reason=reason) if self.leg.final and not concerns_all(outcome):
                ended = Settlement(slot.key, "failed", f"gave up: {reason}", subject, locale)
            case TryLater(after=after):
                ended = Settlement(slot.key, "put off")
                if not concerns_all(outcome):
                    self.put_off += 1
                self.asked = max(self.asked or timedelta(), after or timedelta())
            case Unknown(reason=reason):
                ended = Settlement(slot.key, "uncertain", reason, subject, locale)
            case _:
                raise AssertionError(f"{outcome} is no way in which a message ends")
        self.ended.append(ended)

    def give_back(self, slots: list[Slot]) -> None:
        """Note that these were claimed and have not left, but for those of which we know how they ended."""
        told = {one.key for one in self.ended}
        self.ended += [Settlement(slot.key, "put off") for slot in slots if slot.key not in told]

    @property
    def soonest(self) -> datetime | None:
        """When the first can be served of those who were passed over."""
        return _first(self.again, self.now + next_try(self.leg.tries + 1, self.asked) if self.put_off else None)

    def pass_over(self, until: datetime | None) -> None:
        """Somebody is passed over on this way, and can be served from this moment on."""
        self.again = _first(self.again, until)

    def stop(self, count: int, reason: str | None) -> Stop:
        """Let the broadcast stand still, for its messages are refused whoever they are for."""
        self.stopped = why(self.row.name, count, reason)
        return Stop("paused", self.stopped)

    def done(self, state: State, because: str = "") -> LegDone:
        """How the leg ended."""
        # Where something went since, another outage is not the same one: patience begins anew.
        tries = 0 if state == "away" and self.sent else self.leg.tries
        # Who was put off last waits too, however long ago the first was.
        waits = self.put_off or state == "away"
        again = self.now + next_try(tries + 1, self.asked) if waits else self.again
        return LegDone(state, nameless(because)[:300], again, self.sent)


def _first(*moments: datetime | None) -> datetime | None:
    return min((one for one in moments if one is not None), default=None)


def heed(standing: Standing | None) -> None:
    """Raises `Stop` where nothing may leave, and `Superseded` where it is not ours to send."""
    if standing is None:
        raise Superseded("another attempt works on this part of the broadcast", type="Superseded")
    if standing.status != "running":
        raise Stop("paused" if standing.status == "paused" else "cancelled")
    if standing.held is not None:
        raise Stop("held", standing.held)


def concerns_all(later: TryLater) -> bool:
    """Whether nothing would pass now, whoever it is for."""
    return later.configuration or isinstance(later, Away)
