"""When not to send: windows, quiet hours, frequency caps, holdouts and channels that are held.

What happens then is the map's choice: the run waits until the message may go, or the message is skipped and the run
goes on. Transactional messages, and calls of other systems, pass all of them but a held channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.taken import Taken
from journeys.sending import Cap, SendingRules, Window, cap_frees, cap_since, next_open
from journeys.source import Source
from journeys.spreading import spread
from journeys.steps.sends import Send
from records.messages import ledger
from records.messages.ledger import Count


@dataclass(frozen=True, slots=True)
class Closed:
    """A message may not go now. `until` is when it may (None: when a hold is lifted); with `skip` it never goes."""

    status: Literal["paused", "quiet", "capped", "skipped"]
    because: str
    until: datetime | None = None


class Gates:
    """Knows the workspace's rules (`definitions/sending.yaml`)."""

    def __init__(self, rules: SendingRules) -> None:
        self.rules = rules

    @property
    def counting(self) -> bool:
        """Whether any cap is stated, so that messages to one contact have to be claimed one after another."""
        return bool(self.rules.at_most) or any(channel.at_most for channel in self.rules.channels.values())

    def closed(self, taken: Taken) -> Closed | None:
        """Whether the delivery at which the run stands has to wait or is skipped, by what needs no counting."""
        send = taken.send
        if (held := taken.standing.hold) is not None:  # the run was moved here by hand
            return Closed("paused", f"paused: {held.what}")
        hold = taken.standing.channels.get(send.channel)
        if hold is not None:
            if hold.mode == "stop":
                return Closed("skipped", f"the channel {send.channel} is stopped")
            return Closed("paused", f"the channel {send.channel} is paused")
        if not isinstance(send, Send) or send.transactional:
            return None
        if taken.held_out:
            return Closed("skipped", "holdout")
        return self._window(taken, send)

    def _window(self, taken: Taken, send: Send) -> Closed | None:
        journey, person, now = taken.journey, taken.person, taken.now
        own = send.window if send.window is not None else journey.send_window
        window = own if isinstance(own, Window) else None
        quiet = self.rules.quiet_hours(send.channel, person.country)
        opens = next_open(now, person.zone, window, quiet)
        if opens == now:
            return None
        why = "outside the send window" if next_open(now, person.zone, None, quiet) == now else "quiet hours"
        if opens is None:
            return Closed("skipped", never_open(why))
        if (send.if_quiet or journey.if_quiet) == "skip":
            return Closed("skipped", why)
        over = window.spread if window is not None and window.spread else self.rules.spread
        later = spread(opens, over, "window", journey.journey, taken.cursor.step, person.key)
        fits = next_open(later, person.zone, window, quiet) == later
        return Closed("quiet", why, later if fits else opens)

    async def capped(self, db: AsyncConnection, taken: Taken) -> Closed | None:
        """Whether the contact has had as many messages as it may. Call it under `ledger.one_at_a_time`."""
        send, zone = taken.send, taken.person.zone
        if not isinstance(send, Send) or send.transactional:
            return None
        caps = self.rules.caps(send.channel)
        if not caps:
            return None
        counts = [Count(channel, cap_since(taken.now, cap, zone), cap.count) for channel, cap in caps]
        found = await ledger.filled(db, taken.enrolment.customer_id, counts)
        reached = [
            (cap_frees(oldest, cap, zone), channel, cap)
            for (channel, cap), oldest in zip(caps, found, strict=True)
            if oldest is not None
        ]
        if not reached:
            return None
        free, channel, cap = max(reached, key=lambda one: one[0])
        because = capped(channel, cap)
        if (send.if_capped or taken.journey.if_capped) == "skip":
            return Closed("skipped", because)
        return Closed("capped", because, free)


def capped(channel: str | None, cap: Cap) -> str:
    """Why a message may not go that comes under a full cap; `channel` is what the cap counts, None for all."""
    what = {"email": "mail", "sms": "text", None: "message"}[channel]
    return f"capped: {cap.count} {what}{'' if cap.count == 1 else 's'} within {cap.per.words()}"


def never_open(why: str) -> str:
    """Why a message never goes that would have to wait for an hour which does not come."""
    return f"{why}, and none of the next days has an hour in which it may go"


def load(definitions: Path) -> SendingRules:
    """The rules in `sending.yaml` of the definitions folder; without that file, consent alone decides.

    Raises:
        InvalidFile: with every problem found in it.
    """
    path = definitions / "sending.yaml"
    return Source.read(path).to(SendingRules) if path.exists() else SendingRules()
