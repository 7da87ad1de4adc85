"""Who of many gets a broadcast's message now: the gates of journeys, asked of a page of people at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.gates import Gates, capped, never_open
from journeys.broadcast import Broadcast
from journeys.sending import cap_since, next_open
from journeys.zones import zone_of
from records.messages import claims
from records.messages.addressees import Addressee

PAUSED = "the customer is paused"
QUIET = "quiet hours"


@dataclass(frozen=True, slots=True)
class Admitted:
    """One of a page: gets the message, or not (`because`), or not before `until` (UTC)."""

    to: Addressee
    because: str | None = None
    until: datetime | None = None


class Admission:
    """Judges pages by the workspace's rules of sending; `zone` is where somebody lives of whom nobody knows."""

    def __init__(self, gates: Gates, zone: str) -> None:
        self.gates = gates
        self._zone = zone

    async def judge(
        self, db: AsyncConnection, of: Broadcast, page: Sequence[Addressee], now: datetime
    ) -> list[Admitted]:
        """What becomes of each at `now`, in their order. Where caps are stated, call it under
        `claims.one_at_a_time`."""
        full = await self._capped(db, of, page, now)
        openings: dict[tuple[str | None, str | None], datetime | None] = {}
        rule = self.gates.rules.consent_rule(of.channel)
        judged = []
        for one in page:
            refusal = one.recipient.refusal(of.channel, rule, transactional=of.transactional)
            if refusal is None and one.held:
                refusal = PAUSED
            if refusal is None:
                refusal = full.get(one.id)
            if refusal is not None or of.transactional:
                judged.append(Admitted(one, refusal))
                continue
            lives = (one.recipient.row["time_zone"], one.recipient.row["country"])
            if lives not in openings:
                quiet = self.gates.rules.quiet_hours(of.channel, lives[1])
                openings[lives] = next_open(now, self.zone(*lives), None, quiet)
            judged.append(_when(one, of, openings[lives], now))
        return judged

    def zone(self, time_zone: str | None, country: str | None) -> tzinfo:
        """Where a contact lives."""
        return zone_of(time_zone, country, self._zone)

    async def _capped(
        self, db: AsyncConnection, of: Broadcast, page: Sequence[Addressee], now: datetime
    ) -> dict[int, str]:
        """Who of a page has had as many messages as it may, and by which cap."""
        caps = self.gates.rules.caps(of.channel)
        if of.transactional or not caps or not page:
            return {}
        since: dict[tzinfo, list[datetime]] = {}
        lives = {one.id: self.zone(one.recipient.row["time_zone"], one.recipient.row["country"]) for one in page}
        for zone in set(lives.values()):
            since[zone] = [cap_since(now, cap, zone) for _, cap in caps]
        earliest = min(moment for moments in since.values() for moment in moments)
        had = await claims.recent(db, list(lives), earliest)
        full = {}
        for customer, messages in had.items():
            for (channel, cap), after in zip(caps, since[lives[customer]], strict=True):
                if sum(at > after and channel in (None, over) for over, at in messages) >= cap.count:
                    full[customer] = capped(channel, cap)
                    break
        return full


def _when(one: Addressee, of: Broadcast, opens: datetime | None, now: datetime) -> Admitted:
    if opens == now:
        return Admitted(one)
    if opens is None:
        return Admitted(one, never_open(QUIET))
    return Admitted(one, QUIET) if of.if_quiet == "skip" else Admitted(one, QUIET, opens)
