"""Broadcasts from the side of whoever runs them: planning, starting, steering, judging, and looking ahead."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.broadcasts.admission import Admission, Admitted
from activities.calendar import Calendar
from activities.channels.channel import Channel, ChannelError, Message
from activities.composing import Composer
from activities.discretion import discreet
from activities.membership import Membership
from activities.pulse import Pulse
from activities.rendering import Unrenderable
from journeys.broadcast import Broadcast, LoadedBroadcast, LocalStart, Trial, touch_key, workflow_id
from journeys.broadcasting import Part, Plan, Run, Standing, Wave
from journeys.errors import WaymarkError
from journeys.instruction import QUEUE
from journeys.nearest import unknown_word
from records.audience import segments
from records.messages import addressees, broadcasts, outcomes
from records.messages.broadcasts import OPEN, BroadcastRow
from records.messages.outcomes import ArmResult
from records.people import customers
from records.people.customers import Customer

PAGE = 1000
SHARDS = 4
"""Parts of a large broadcast that are worked side by side, by as many workers as there are."""
LARGE = 2000
"""Contacts from which on that pays; and `FAST` messages per second."""
FAST = 50.0
SAMPLES = 5

log = logging.getLogger(__name__)


class BroadcastEnded(WaymarkError):
    """What is asked of a broadcast makes no sense where it stands. `waymark broadcasts show` says where that is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One of those whom a broadcast means; `because` says why it gets nothing, or nothing yet."""

    customer: int
    name: str
    address: str | None
    because: str | None


@dataclass
class Preview:
    """What a broadcast would come to, were its time now. `waves`: the moments (UTC) at which messages would go."""

    broadcast: str
    meant: int = 0
    would_get: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    trial: int = 0
    samples: list[Sample] = field(default_factory=list)
    waves: list[datetime] = field(default_factory=list)
    message: Message | None = None


class Studio:
    """Plans and steers broadcasts; its activities run on the queue of workflows."""

    def __init__(
        self,
        database: AsyncEngine,
        client: Client,
        membership: Membership,
        composer: Composer,
        admission: Admission,
        calendar: Calendar,
        channels: Mapping[str, Channel],
    ) -> None:
        self._database = database
        self._client = client
        self._membership = membership
        self._composer = composer
        self._admission = admission
        self._calendar = calendar
        self._channels = channels

    @activity.defn(name="plan_broadcast")
    async def plan(self, broadcast: int, now: datetime) -> Plan:
        """Who gets it when, from now on. A broadcast whose segment is gone has failed, and gets no waves."""
        now = self._calendar.from_server(now)
        with discreet("plan_broadcast"), Pulse():
            async with self._database.begin() as db:
                row = await broadcasts.begin(db, broadcast, now)
            if row.status == "cancelled":
                return Plan()
            of, began = row.broadcast, row.started_at or now
            if of.segment is not None:
                try:
                    await self._membership.evaluate(began, [of.segment])
                except WaymarkError as error:
                    async with self._database.begin() as db:
                        await broadcasts.note(db, broadcast, {"because": error.message})
                        await broadcasts.finish(db, broadcast, "failed", now)
                    return Plan()
            async with self._database.begin() as db:
                meant = await addressees.count(db, of, since=began)
                await broadcasts.note(db, broadcast, {"meant": meant})
                if not meant:
                    return Plan()
                return await self._planned(db, of, began, _shards(of, meant))

    @activity.defn(name="plan_rest")
    async def plan_rest(self, broadcast: int, now: datetime) -> Plan:
        """When those get it, at a local time, who were not of the trial."""
        now = self._calendar.from_server(now)
        with discreet("plan_rest"):
            async with self._database.connect() as db:
                row = await broadcasts.get(db, broadcast)
                of = row.broadcast
                assert isinstance(of.start, LocalStart)
                start = LocalStart(local=of.start.local)
                return Plan(await self._waves(db, of, start, row.started_at or now, now, "rest"))

    async def _planned(self, db: AsyncConnection, of: Broadcast, began: datetime, shards: int) -> Plan:
        first: Part = "trial" if of.ab is not None else "all"
        if isinstance(of.start, LocalStart):
            waves = await self._waves(db, of, of.start, began, began, first)
        else:
            waves = [Wave(self._calendar.to_server(began), first)]
        if of.ab is None:
            return Plan(waves, shards)
        rest = Wave(waves[-1].due, "rest")
        after = timedelta(days=of.ab.after.days).total_seconds()
        return Plan([*waves, rest], shards, len(waves), after, isinstance(of.start, LocalStart))

    async def _waves(
        self, db: AsyncConnection, of: Broadcast, start: LocalStart, since: datetime, now: datetime, part: Part
    ) -> list[Wave]:
        """One wave for each moment at which it is that time somewhere. The last is for all who are left, wherever
        they live by then."""
        moments: dict[datetime, list[list[str]]] = {}
        for zone, country in await addressees.zones(db, of, since):
            moment = start.moment(now, self._admission.zone(zone or None, country or None))
            moments.setdefault(self._calendar.to_server(moment), []).append([zone, country])
        waves = [Wave(due, part, zones) for due, zones in sorted(moments.items())]
        return [*waves[:-1], *(replace(wave, zones=None) for wave in waves[-1:])]

    @activity.defn(name="decide_broadcast")
    async def decide(self, broadcast: int, now: datetime) -> str:
        """Which arm won, by its trial; somebody may have picked one before."""
        now = self._calendar.from_server(now)
        with discreet("decide_broadcast"):
            async with self._database.begin() as db:
                of = (await broadcasts.get(db, broadcast)).broadcast
                assert of.ab is not None
                event = None if isinstance(of.ab.winner, str) else of.ab.winner.conversion
                found = await outcomes.results(db, broadcast, event=event, until=now)
                winner, because = best(of.ab, found)
                told = {"because": because, "at": now.isoformat(), "by": "measure"}
                return await broadcasts.crown(db, broadcast, winner, told)

    @activity.defn(name="broadcast_standing")
    async def standing(self, broadcast: int) -> Standing:
        """What the records say of a broadcast."""
        with discreet("broadcast_standing"):
            async with self._database.connect() as db:
                row = await broadcasts.get(db, broadcast)
                return Standing(row.status, row.winner)

    @activity.defn(name="end_broadcast")
    async def end(self, broadcast: int, status: str, now: datetime) -> str:
        """Write down that a broadcast has ended; returns how."""
        with discreet("end_broadcast"):
            async with self._database.begin() as db:
                ended = self._calendar.from_server(now)
                return await broadcasts.finish(
                    db, broadcast, "finished" if status == "finished" else "cancelled", ended
                )

    async def start(self, loaded: LoadedBroadcast, *, at: datetime | None, by: str, now: datetime) -> BroadcastRow:
        """Put a broadcast down, and start its workflow.

        Raises:
            WaymarkError: its start lies in the past, its segment is not in force, or one of its name was sent before.
        """
        of = loaded.broadcast
        begins = _begins(of, at, now)
        async with self._database.begin() as db:
            in_force = await segments.definitions(db)
            if of.segment is not None and of.segment not in in_force:
                raise WaymarkError(
                    unknown_word(of.segment, sorted(in_force), "is no segment in force"),
                    hint="`waymark segments publish` brings those of definitions/segments into force.",
                )
            row = await broadcasts.create(db, of.broadcast, loaded.definition, starts_at=begins, by=by, now=now)
            before = await broadcasts.find(db, of.broadcast) if row is None else None
        if before is not None:
            if before.status in OPEN:
                # Should a crash have come between the row and its workflow, this mends it.
                await self._launch(before)
            raise BroadcastEnded(
                f"The broadcast {of.broadcast} was started already; it is {before.status}.",
                hint="A broadcast goes once. To send again, give the file another name.",
            )
        assert row is not None
        await self._launch(row)
        return row

    async def steer(self, name: str, to: str) -> BroadcastRow:
        """Pause, resume or cancel a broadcast; returns it as it stands then.

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
            if not done:
                raise BroadcastEnded(f"The broadcast {name} is {row.status}: there is nothing to {to}.")
            row = await broadcasts.get(db, row.id)
        if row.status in OPEN:
            await self._launch(row)
        await self._tell(row)
        return row

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

    async def _launch(self, row: BroadcastRow) -> None:
        of = row.broadcast
        begins = self._calendar.to_server(row.starts_at)
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                "Broadcast",
                Run(row.id, row.name, of.channel, begins),
                id=workflow_id(row.name, row.id),
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Broadcast: {of.title}"[:200],
                static_details=f"{', '.join(of.messages)} to {of.segment or 'whoever meets its condition'}. "
                f"How it stands: `waymark broadcasts show {row.name}`",
            )

    async def _tell(self, row: BroadcastRow) -> None:
        """Let the workflow look at the records. Where Temporal does not answer, it looks by itself within minutes."""
        try:
            await self._client.get_workflow_handle(workflow_id(row.name, row.id)).signal("look")
        except (RPCError, RuntimeError) as error:
            log.info("the workflow of %s was not told: %s", row.name, error)

    async def preview(self, of: Broadcast, now: datetime, *, as_: Customer | None = None) -> Preview:
        """Who would get a broadcast now, and who is left out and why. Nothing is written."""
        seen = Preview(of.broadcast)
        after = 0
        async with self._database.connect() as db:
            while page := await addressees.page(db, of, after=after, limit=PAGE, since=now):
                for one in await self._admission.judge(db, of, page, now):
                    _count(seen, of, one)
                    if as_ is None and one.because is None:
                        as_ = Customer(**one.to.recipient.row)
                after = page[-1].id
            if isinstance(of.start, LocalStart):
                waves = await self._waves(db, of, of.start, now, now, "all")
                seen.waves = [self._calendar.from_server(wave.due) for wave in waves]
        seen.samples.sort(key=lambda one: (one.because is not None, one.customer))
        if as_ is not None:
            arm = of.arm(as_.id)
            address = (as_.email if of.channel == "email" else as_.phone) or "nobody"
            seen.message = self._message(of, arm, as_, address, touch_key(0, as_.id), now)
        return seen

    async def example(self, of: Broadcast, now: datetime, reference: str | None) -> Customer:
        """The customer as whom a test is written: the one who is named, or the first whom the broadcast means."""
        async with self._database.connect() as db:
            if reference is not None:
                return await customers.find(db, reference)
            page = await addressees.page(db, of, after=0, limit=1, since=now)
        if not page:
            raise WaymarkError(
                f"The broadcast {of.broadcast} means nobody now.", hint="Name a customer: --as CUSTOMER."
            )
        return Customer(**page[0].recipient.row)

    async def test(self, of: Broadcast, to: str, example: Customer, now: datetime) -> list[Message]:
        """Send every wording to one address, filled in for a customer; its links concern nobody.

        Raises:
            WaymarkError: a message cannot be written or sent.
        """
        nobody = replace(example, id=0)
        sent = []
        for arm in of.ab.names if of.ab is not None else (None,):
            written = self._message(of, arm, nobody, to, f"wmt-{uuid4().hex}", now)
            if written.subject is not None:
                written = replace(written, subject=f"[Test{f' {arm}' if arm else ''}] {written.subject}", name=None)
            try:
                await self._channels[of.channel].send(written)
            except ChannelError as error:
                raise WaymarkError(error.reason, hint=getattr(error, "hint", None)) from error
            sent.append(written)
        return sent

    def _message(self, of: Broadcast, arm: str | None, to: Customer, address: str, key: str, at: datetime) -> Message:
        about = {"journey": {"title": of.title}, "event": {}}
        try:
            return self._composer.message(of.message(arm), to, address, key, at, about, of.subject(arm))
        except Unrenderable as error:
            raise WaymarkError(str(error)) from error


def best(trial: Trial, found: Sequence[ArmResult]) -> tuple[str, str]:
    """The arm that won, and why in words: the highest share of those who got it; of equal ones the first by name."""
    results = {one.arm: one for one in found}

    def reached(arm: str) -> tuple[int, int]:
        one = results.get(arm)
        if one is None:
            return 0, 0
        count = {"clicks": one.clicked, "opens": one.opened}.get(trial.measure, one.converted)
        return count, one.sent

    def rate(arm: str) -> float:
        count, sent = reached(arm)
        return count / sent if sent else 0.0

    winner = max(trial.names, key=rate)
    equal = [arm for arm in trial.names if rate(arm) == rate(winner)]
    figures = ", ".join(f"{arm} {reached(arm)[0]} of {reached(arm)[1]}" for arm in trial.names)
    tie = f"; {' and '.join(equal)} are equal, so the first by name" if len(equal) > 1 else ""
    return winner, f"{trial.measure}: {figures}{tie}"


def _shards(of: Broadcast, meant: int) -> int:
    return SHARDS if meant >= LARGE and (of.throttle is None or of.throttle >= FAST) else 1


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
        return max(now, span[0]) if span is not None else now
    begins = at or (now if of.start == "now" else of.start)
    if begins < now - timedelta(minutes=1):
        raise _past(of, f"{begins.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return begins


def _past(of: Broadcast, when: str) -> WaymarkError:
    return WaymarkError(
        f"The start of {of.broadcast} lies in the past: {when}.",
        hint="Correct start in its file, or name a time: --at.",
    )


def _count(seen: Preview, of: Broadcast, one: Admitted) -> None:
    seen.meant += 1
    if one.until is not None:
        seen.waits[one.because or ""] += 1
    elif one.because is not None:
        seen.left_out[one.because] += 1
    else:
        seen.would_get += 1
    seen.trial += of.in_trial(one.to.id)
    alike = sum(sample.because == one.because for sample in seen.samples)
    if alike < (SAMPLES if one.because is None else 2):
        name = Customer(**one.to.recipient.row).name
        seen.samples.append(Sample(one.to.id, name, one.to.recipient.address, one.because))
