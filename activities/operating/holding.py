"""Pausing, resuming and stopping: one contact, one journey, one channel, or everything.

What is decided is written first, in one transaction: the hold, and an order for each run that it concerns. Only then
are the runs told, page by page. Where that is cut off, the sweep tells the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.service import RPCError

from activities.entering.audience import Router, away
from activities.turns.programs import Programs
from journeys.errors import WaymarkError
from journeys.instruction import Event
from journeys.nearest import unknown_word
from journeys.steps.sends import Delivered
from journeys.timing import Duration
from records.people import customers
from records.runs import holds, orders, versions
from records.runs.holds import EVERYTHING, Hold, Kind
from records.runs.versions import UnknownJourney

Way = Literal["spread", "shift", "skip"]
"""What becomes of what is overdue at a resumption: it goes on spread over a window, everything moves later by the
length of the pause, or overdue messages are left out."""
WAYS: tuple[Way, ...] = get_args(Way)
CHANNELS = ("email", "sms", "webhook")
WINDOW = timedelta(hours=1)
"""Over how long what is overdue is spread, when nobody says."""
LONGEST_WINDOW = timedelta(days=31)
PAGE = 200
AT_ONCE = 20
"""Runs that are told at the same time."""
Progress = Callable[[int, int], None]


class NotHeld(WaymarkError):
    """There is nothing to resume: the name is not on hold."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is meant: its kind, its name in the records, and its name for people."""

    kind: Kind
    name: str
    title: str

    @classmethod
    def everything(cls) -> Scope:
        """The one switch."""
        return cls("all", EVERYTHING, "everything")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a resumption would find: the hold, and how many runs are overdue at a message, at a wait, at the entry.

    `still_held` are overdue too, but kept by another pause; `open` are all runs that the hold concerns.
    """

    hold: Hold
    messages: int
    waits: int
    entries: int
    still_held: int
    open: int

    @property
    def overdue(self) -> int:
        """The runs that would have gone on, had they not been held."""
        return self.messages + self.waits + self.entries


@dataclass(frozen=True, slots=True)
class Told:
    """How many runs got an order, how many of those waiting were told of theirs, and why not all: Temporal is away."""

    ordered: int = 0
    told: int = 0
    away: str | None = None


async def scope(
    db: AsyncConnection, *, journey: str | None = None, customer: str | None = None, channel: str | None = None
) -> Scope:
    """What a person means by one of these names; everything, when none is given.

    Raises UnknownJourney, UnknownCustomer, and WaymarkError for a channel that there is not.
    """
    if journey is not None:
        known = [one.journey for one in await versions.listing(db)]
        if journey not in known:
            raise UnknownJourney(
                unknown_word(journey, known, "is no published journey"),
                hint="`waymark journeys list` shows those there are.",
            )
        return Scope("journey", journey, f"the journey {journey}")
    if customer is not None:
        found = await customers.find(db, customer)
        return Scope("customer", str(found.id), f"customer {found.id}")
    if channel is not None:
        if channel not in CHANNELS:
            raise WaymarkError(unknown_word(channel, CHANNELS, "is no channel"), hint=f"One of {', '.join(CHANNELS)}.")
        return Scope("channel", channel, f"the channel {channel}")
    return Scope.everything()


def way_of(text: str) -> Way:
    """Read one of the ways. Raises WaymarkError."""
    for way in WAYS:
        if text == way:
            return way
    raise WaymarkError(
        unknown_word(text, WAYS, "is no way to resume"),
        hint="spread: over a time; shift: later by the length of the pause; skip: overdue messages are left out.",
    )


def window_of(text: str) -> timedelta:
    """Read over how long to spread, such as `2h`. Raises WaymarkError."""
    try:
        duration = Duration.parse(text)
    except ValueError as error:
        raise WaymarkError(str(error)) from None
    if duration.unit in ("mo", "y") or not 0 <= duration.days <= LONGEST_WINDOW.days:
        raise WaymarkError(f"{text!r} is no time to spread over.", hint="At most 31 days, such as 30m, 2h or 3d.")
    return timedelta(days=duration.days)


class Holding:
    """Lets go on and stops, and tells the runs. To pause is but to write a hold: nobody needs to be told."""

    def __init__(self, database: AsyncEngine, router: Router) -> None:
        self._database = database
        self._router = router

    async def resume(
        self,
        of: Scope,
        way: Way = "spread",
        *,
        over: timedelta = WINDOW,
        by: str,
        because: str | None = None,
        now: datetime,
        progress: Progress | None = None,
    ) -> tuple[Preview, Told]:
        """Release the hold and let the runs go on; what it found, and how many were told. Raises NotHeld.

        A run that another pause holds gets no order: it goes on when the last one is lifted, in the way named then.
        """
        async with self._database.begin() as db:
            released = await holds.release(db, of.kind, of.name)
            if released is None:
                raise _not_held(of)
            found = await _overview(db, of, released)
            args = _resumption(way, over, released.since, now)
            chosen = holds.let_go(of.kind, of.name, everyone=way == "shift")
            ordered = 0
            if released.mode == "pause":
                ordered = await orders.give_many(db, chosen, "resume", args, by=by, because=because, now=now)
        return found, await self.tell(ordered, now, progress)

    async def stop(
        self, of: Scope, *, by: str, because: str | None, now: datetime, progress: Progress | None = None
    ) -> Told:
        """End what is under way. A journey takes nobody in any more; on a channel nothing is sent until it is resumed.

        Stopping what is stopped already changes nothing.
        """
        async with self._database.begin() as db:
            if of.kind == "channel":
                await holds.hold(db, "channel", of.name, mode="stop", by=by, because=because, now=now)
                chosen = holds.let_go("channel", of.name)
                args = _resumption("skip", timedelta(), now, now)
                ordered = await orders.give_many(db, chosen, "resume", args, by=by, because=because, now=now)
            else:
                if of.kind == "journey":
                    await versions.set_status(db, of.name, "archived")
                    await holds.release(db, "journey", of.name)
                chosen = holds.covers(of.kind, of.name)
                args = {"outcome": "stopped"}
                ordered = await orders.give_many(db, chosen, "exit", args, by=by, because=because, now=now)
        return await self.tell(ordered, now, progress)

    async def tell(self, ordered: int, now: datetime, progress: Progress | None) -> Told:
        """Wake every run that has not dealt with an order, page by page."""
        async with self._database.connect() as db:
            total = await orders.count_pending(db)
        told, after = 0, 0
        while True:
            async with self._database.connect() as db:
                page = await orders.pending_runs(db, limit=PAGE, after=after)
            for start in range(0, len(page), AT_ONCE):
                some = page[start : start + AT_ONCE]
                keys = {run.id: f"orders/{run.id}/{now.isoformat()}" for run in some}
                try:
                    await asyncio.gather(*(self._router.wake(run, Event(keys[run.id], "orders", now)) for run in some))
                except (RPCError, RuntimeError) as error:
                    return Told(ordered, told, away(error))
                told += len(some)
                if progress is not None:
                    progress(told, max(total, told))
            if len(page) < PAGE:
                return Told(ordered, told)
            after = page[-1].id


async def preview(db: AsyncConnection, of: Scope) -> Preview:
    """What a resumption would find. Raises NotHeld."""
    found = await holds.find(db, of.kind, of.name)
    if found is None:
        raise _not_held(of)
    return await _overview(db, of, found)


async def _overview(db: AsyncConnection, of: Scope, found: Hold) -> Preview:
    programs = Programs()
    counts = {"message": 0, "wait": 0, "entry": 0}
    for there in await holds.overdue(db, of.kind, of.name):
        node = (await programs.get(db, there.journey, there.version)).nodes.get(there.step)
        what = "entry" if node is None else "message" if isinstance(node.step, Delivered) else "wait"
        counts[what] += there.runs
    kept = await holds.still_held(db, of.kind, of.name)
    opened = await holds.count_open(db, of.kind, of.name)
    return Preview(found, counts["message"], counts["wait"], counts["entry"], kept, opened)


def _resumption(way: Way, over: timedelta, since: datetime, at: datetime) -> Mapping[str, Any]:
    return {"mode": way, "since": since.isoformat(), "at": at.isoformat(), "over": int(over.total_seconds())}


def _not_held(of: Scope) -> NotHeld:
    return NotHeld(f"There is nothing to resume: {of.title} is not paused.", hint="`waymark holds` lists what is.")
