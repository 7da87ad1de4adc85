"""What is held and goes on: a contact, a journey, a channel, or everything; in which way, and what that would find."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.programs import Programs
from journeys.errors import WaymarkError
from journeys.nearest import unknown_word
from journeys.steps.sends import Delivered
from journeys.timing import Duration
from records.people import customers
from records.runs import holds, versions
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


async def preview(db: AsyncConnection, of: Scope) -> Preview:
    """What a resumption would find. Raises NotHeld."""
    found = await holds.find(db, of.kind, of.name)
    if found is None:
        raise not_held(of)
    return await overview(db, of, found)


async def overview(db: AsyncConnection, of: Scope, found: Hold) -> Preview:
    """What a resumption of this hold would find."""
    programs = Programs()
    counts = {"message": 0, "wait": 0, "entry": 0}
    for there in await holds.overdue(db, of.kind, of.name):
        node = (await programs.get(db, there.journey, there.version)).nodes.get(there.step)
        what = "entry" if node is None else "message" if isinstance(node.step, Delivered) else "wait"
        counts[what] += there.runs
    kept = await holds.still_held(db, of.kind, of.name)
    opened = await holds.count_open(db, of.kind, of.name)
    return Preview(found, counts["message"], counts["wait"], counts["entry"], kept, opened)


def not_held(of: Scope) -> NotHeld:
    """The error for a name that is not on hold."""
    return NotHeld(f"There is nothing to resume: {of.title} is not paused.", hint="`waymark holds` lists what is.")
