"""How a broadcast stands: what went, what did not and why, how fast it goes, and what its arms come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.broadcasts.winning import Verdict, verdict
from records.messages import broadcasts, outcomes
from records.messages.broadcasts import OPEN, BroadcastRow
from records.messages.outcomes import ArmResult

PACE = timedelta(seconds=60)
"""How far back the rate looks."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What a broadcast waits for, in words, and until when (UTC)."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """A broadcast at one moment. `meant` counts whom it meant when it began (None: it has not), `left` those of them
    without a touch; `refused` are those of the failed who get it on `resume`, because the message was refused and not
    they; `rate` is in messages per second over the last minute, `eta` when all would be done at that rate
    (UTC). `uncertain` were cut off while they left: sent or not, nobody knows, and nobody gets a second one. `standing`
    says why it does not go on, `upcoming` what it waits for; `leading` is the arm that is ahead while no winner is
    known, `decision` what the winner was chosen by. `arms` are those of the trial, `rest` is what the others got."""

    broadcast: str
    title: str
    status: str
    created_by: str
    starts_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    meant: int | None
    sent: int
    leaving: int
    failed: int
    uncertain: int
    skipped: dict[str, int]
    failures: dict[str, int]
    refused: int
    left: int | None
    rate: float
    eta: datetime | None
    standing: list[str]
    upcoming: Upcoming | None
    measure: str | None
    leading: Verdict | None
    winner: str | None
    decision: dict[str, Any] | None
    arms: list[ArmResult] = field(default_factory=list)
    rest: ArmResult | None = None


async def report(db: AsyncConnection, name: str, now: datetime) -> Report:
    """How a broadcast stands. Raises `UnknownBroadcast`."""
    row = await broadcasts.find(db, name)
    of = row.broadcast
    tallies = await outcomes.tallies(db, row.id)

    def by_reason(status: str) -> dict[str, int]:
        found = {why or "": count for (state, why), count in tallies.items() if state == status}
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))

    def total(status: str) -> int:
        return sum(by_reason(status).values())

    meant = row.progress.get("meant")
    left = max(meant - sum(tallies.values()), 0) if meant is not None and row.status in OPEN else None
    rate = 0.0
    if row.status == "running" and row.started_at is not None:
        since = max(now - PACE, row.started_at)
        rate = await outcomes.pace(db, row.id, since) / max((now - since).total_seconds(), 1.0)
    eta = now + timedelta(seconds=left / rate) if left and rate else None
    event = of.ab.measure if of.ab is not None and not isinstance(of.ab.winner, str) else None
    decision = row.progress.get("decision")
    decided = datetime.fromisoformat(decision["at"]) if decision else None
    arms = await outcomes.results(db, row.id, event=event, went=(None, decided))
    rest = await outcomes.results(db, row.id, event=event, went=(decided, None)) if decided else []
    refused, _ = await outcomes.to_go_again(db, row.id)
    leading = verdict(of.ab, arms) if of.ab is not None and row.winner is None and arms else None
    return Report(
        row.name, of.title, row.status, row.created_by, row.starts_at, row.started_at, row.finished_at,
        meant, total("sent"), total("claimed"), total("failed"), total("uncertain"), by_reason("skipped"),
        by_reason("failed"), refused, left, round(rate, 1), eta,
        _standing(row), _upcoming(row, now),
        of.ab.measure if of.ab is not None else None, leading, row.winner, decision, arms,
        next(iter(rest), None),
    )  # fmt: skip


def _ways(row: BroadcastRow) -> list[dict[str, Any]]:
    """How the last way of each shard ended."""
    return [told for name, told in sorted(row.progress.items()) if name.startswith("shard ")]


def _standing(row: BroadcastRow) -> list[str]:
    """Why it does not go on, in words, where it does not."""
    told = [str(row.progress["because"])] if "because" in row.progress else []
    if row.status == "paused" and "stopped" in row.progress:
        told.append(str(row.progress["stopped"]))
    for one in _ways(row) if row.status == "running" else ():
        if one["state"] in ("held", "away") and one["because"] not in told:
            told.append(one["because"])
    return told


def _upcoming(row: BroadcastRow, now: datetime) -> Upcoming | None:
    """What it waits for, where nothing of it is under way."""
    of, ways = row.broadcast, [one for one in _ways(row) if one["state"] == "done"]
    if row.status != "running" or not ways or len(ways) < ways[0]["shards"]:
        return None
    trial, way = row.progress.get("trial", 0), min(one["way"] for one in ways)
    if of.ab is not None and row.winner is None and trial and way >= trial:
        ended = max(datetime.fromisoformat(one["ended"]) for one in ways)
        return Upcoming(ended + timedelta(days=of.ab.after.days), "the winner of the trial")
    ahead = [one for one in map(datetime.fromisoformat, row.progress.get("waves", [])) if one > now]
    if ahead:
        return Upcoming(min(ahead), "the next wave")
    again = [one for one in (datetime.fromisoformat(one["again"]) for one in ways if one["again"]) if one > now]
    return Upcoming(min(again), "those who could not be served before") if again else None
