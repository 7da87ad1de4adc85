"""Broadcasts from the side of whoever runs them: starting, steering, picking a winner."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.calendar import Calendar
from journeys.broadcast import Broadcast, LocalStart, workflow_id
from journeys.broadcast_files import LoadedBroadcast
from journeys.broadcasting import Run
from journeys.errors import WaymarkError
from journeys.instruction import QUEUE
from journeys.nearest import unknown_word
from journeys.segments import Segment
from records.audience import segments
from records.messages import broadcasts, claims
from records.messages.broadcasts import OPEN, BroadcastRow

log = logging.getLogger(__name__)


class BroadcastEnded(WaymarkError):
    """What is asked of a broadcast makes no sense where it stands. `waymark broadcasts show` says where that is."""


class Studio:
    """Starts and steers broadcasts."""

    def __init__(self, database: AsyncEngine, client: Client, calendar: Calendar) -> None:
        self._database = database
        self._client = client
        self._calendar = calendar

    async def start(self, loaded: LoadedBroadcast, *, at: datetime | None, by: str, now: datetime) -> BroadcastRow:
        """Put a broadcast down, and start its workflow.

        Raises:
            WaymarkError: its start lies in the past, its segment is not in force, or one of its name was sent before.
        """
        of = loaded.broadcast
        begins = _begins(of, at, now)
        async with self._database.begin() as db:
            await in_force(db, of)
            row = await broadcasts.create(db, of.broadcast, loaded.definition, starts_at=begins, by=by, now=now)
            before = await broadcasts.find(db, of.broadcast) if row is None else None
        if before is not None:
            raise BroadcastEnded(
                f"The broadcast {of.broadcast} was started already; it is {before.status}.",
                hint="A broadcast goes once. To send again, give the file another name.",
            )
        assert row is not None
        await self._launch(row)
        return row

    async def steer(self, name: str, to: str, now: datetime, *, regardless: bool = False) -> BroadcastRow:
        """Pause, resume or cancel a broadcast; returns it as it stands then. To resume one that runs lets it try at
        once what it would try later. To resume sends again what was refused for what it says or who sends it; with
        `regardless` it does not, and whatever is refused from now on does not stop it.

        Raises:
            UnknownBroadcast: there is none of this name.
            BroadcastEnded: it is where this makes no sense.
        """
        async with self._database.begin() as db:
            row = await broadcasts.find(db, name)
            done = await {
                "pause": lambda: broadcasts.change(db, row.id, "paused", only=["planned", "running"]),
                "resume": lambda: broadcasts.change(
                    db, row.id, "running" if row.started_at is not None else "planned", only=["paused"]
                ),
                "cancel": lambda: broadcasts.change(db, row.id, "cancelled", only=OPEN),
            }[to]()
            if not done and (to, row.status) != ("resume", "running"):
                raise BroadcastEnded(f"The broadcast {name} is {row.status}: there is nothing to {to}.")
            if to == "resume":
                await self._forgive(db, row.id, now, regardless=regardless)
            row = await broadcasts.get(db, row.id)
        await self._tell(row)
        return row

    async def _forgive(self, db: AsyncConnection, broadcast: int, now: datetime, *, regardless: bool) -> None:
        await broadcasts.forget(db, broadcast, "stopped")
        await broadcasts.note(db, broadcast, {"regardless": regardless})
        if regardless:
            await claims.give_up(db, broadcast)
        else:
            await claims.send_again(db, broadcast, now)

    async def launch_stranded(self, before: datetime) -> int:
        """Start the workflows of those put down before a moment that have not begun, should a crash have come between
        the row and its workflow; returns how many had none."""
        async with self._database.connect() as db:
            waiting = [one for one in await broadcasts.listing(db) if one.status in OPEN and one.started_at is None]
        return sum([await self._launch(one) for one in waiting if one.created_at < before])

    async def pick(self, name: str, arm: str, *, by: str, now: datetime) -> BroadcastRow:
        """Let an arm win, whatever the trial says. Raises `BroadcastEnded` and `WaymarkError`."""
        async with self._database.begin() as db:
            row = await broadcasts.find(db, name)
            trial = row.broadcast.ab
            if trial is None or row.status not in OPEN:
                raise BroadcastEnded(f"The broadcast {name} has no winner to pick: it is {row.status}.")
            if arm not in trial.names:
                raise WaymarkError(unknown_word(arm, trial.names, "is no arm"))
            told = {"because": f"picked by {by}", "at": now.isoformat(), "by": by}
            won = await broadcasts.crown(db, row.id, arm, told)
            if won != arm:
                raise BroadcastEnded(f"The arm {won} of {name} has won already.")
            row = await broadcasts.get(db, row.id)
        await self._tell(row)
        return row

    async def _launch(self, row: BroadcastRow) -> bool:
        """Start the workflow of a broadcast; False where it has been."""
        of = row.broadcast
        begins = self._calendar.to_server(row.starts_at)
        try:
            await self._client.start_workflow(
                "Broadcast",
                Run(row.id, row.name, of.channel, begins),
                id=workflow_id(row.name, row.id),
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"Broadcast: {of.title}"[:200],
                static_details=f"{', '.join(of.messages)} to {of.segment or 'whoever meets its condition'}. "
                f"How it stands: `waymark broadcasts show {row.name}`",
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _tell(self, row: BroadcastRow) -> None:
        """Let the workflow look at the records. Where Temporal does not answer, it looks by itself within minutes."""
        try:
            await self._client.get_workflow_handle(workflow_id(row.name, row.id)).signal("look")
        except (RPCError, RuntimeError) as error:
            log.info("the workflow of %s was not told: %s", row.name, error)


async def in_force(db: AsyncConnection, of: Broadcast) -> Segment | None:
    """The segment of a broadcast, as it is in force; None where it names none. Raises `WaymarkError`."""
    if of.segment is None:
        return None
    known = await segments.definitions(db)
    if of.segment not in known:
        raise WaymarkError(
            unknown_word(of.segment, sorted(known), "is no segment in force"),
            hint="`waymark segments publish` brings those of definitions/segments into force.",
        )
    return Segment.model_validate(known[of.segment])


def _begins(of: Broadcast, at: datetime | None, now: datetime) -> datetime:
    """When a broadcast begins (UTC)."""
    if isinstance(of.start, LocalStart):
        if at is not None:
            raise WaymarkError(
                f"{of.broadcast} goes at {of.start.local} where each contact lives: it takes no other time.",
                hint="Leave --at out, or write the start into the file.",
            )
        span = of.start.span
        if span is not None and span[1] < now:
            raise _past(of, f"{of.start.local} on {of.start.on}")
        return of.begins(now)
    moment = at or of.begins(now)
    stated = at or (of.start if isinstance(of.start, datetime) else now)
    if stated < now - timedelta(minutes=1):
        raise _past(of, f"{stated.astimezone(UTC):%Y-%m-%d %H:%M} UTC", ", or name a time: --at")
    return moment


def _past(of: Broadcast, when: str, way_out: str = "") -> WaymarkError:
    return WaymarkError(
        f"The start of {of.broadcast} lies in the past: {when}.", hint=f"Correct start in its file{way_out}."
    )
