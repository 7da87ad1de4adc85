"""A rehearsal from files to what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.calendar import Calendar
from activities.intake.importing import ImportReport, import_customers
from activities.publishing import publish
from console.rehearsal import Line, Rehearsed
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.identities import load_identity
from journeys.loading import LoadedJourney
from journeys.segments import LoadedSegment
from journeys.steps.effects import Start
from journeys.steps.sends import Send, Webhook
from records import events
from records.runs import rehearsed
from records.runs.enrolments import Enrolment
from records.runs.rehearsed import RehearsedContact, RehearsedTouch
from workers import worker
from workers.acting import Actors
from workers.composition import Composition, compose
from workers.rehearsal.caught import Caught, channels
from workers.rehearsal.happenings import Happening, Happenings, Reject, read_happenings
from workers.rehearsal.scratch import Scratch
from workers.rehearsal.timeline import Timeline
from workers.rehearsal.ways_in import Days, Segments
from workers.rests import Rests
from workers.settings import Settings
from workers.virtual_time import VirtualTime

AT_ONCE = 12
"""How many contacts are carried side by side: enough to keep two cores busy."""
MARGIN = timedelta(days=1)
"""How long after the present, on the server's clock, a rehearsal starts: it must not be overtaken by the time that it
takes itself."""
Progress = Callable[[float, int], None]


class NothingToRehearse(WaymarkError):
    """No contact could be read. Correct the file; the rows that were left out are reported."""


@dataclass(frozen=True)
class Plan:
    """What is to be rehearsed: from `start` (UTC) for so many days, both ends included."""

    journeys: list[LoadedJourney]
    segments: list[LoadedSegment]
    customers: Path
    events: Path | None
    start: datetime
    days: int

    @property
    def end(self) -> datetime:
        """The last moment."""
        return self.start + timedelta(days=self.days)


@dataclass
class Report:
    """What came of a rehearsal, and what was left out of it."""

    rehearsed: Rehearsed
    rejects: list[Reject] = field(default_factory=list)
    imported: ImportReport = field(default_factory=ImportReport)
    history: int = 0
    """How many events lie before the start."""


async def rehearse(
    of: Settings, plan: Plan, place: Scratch, progress: Progress = lambda days, messages: None
) -> Report:
    """Let the journeys run over the days of the plan, on the servers of `place`, whose database is empty.

    `progress` is told how many days have passed, over all contacts, and how many messages were caught so far.

    Raises:
        NothingToRehearse: no contact is left.
        WaymarkError: a file is no table.
    """
    caught = channels()
    calendar = Calendar(datetime.now(UTC) + MARGIN - plan.start)
    async with AsyncExitStack() as closing:
        parts = await closing.enter_async_context(
            compose(_apart(of, place), engine=place.engine, client=place.client, channels=caught, calendar=calendar)
        )
        rests = Rests()
        parts = replace(parts, activities=rests.watch(parts.activities))
        time = place.hearing.time = VirtualTime(place.engine, place.client, rests, calendar.ahead)
        imported, who, happenings = await _prepare(parts, plan)
        await closing.enter_async_context(worker.working(parts))
        timeline = Timeline(parts, time, place.hearing, Actors(parts))
        await _carry(timeline, plan, who, happenings, caught, progress)
        lines = await _lines(timeline, plan, caught)
        async with place.engine.connect() as db:
            runs = await rehearsed.all_runs(db)
    events_file = plan.events.name if plan.events else ""
    late = [Reject(events_file, one.line, f"cannot happen: {why}") for one, why in timeline.impossible if one.line]
    titles = {one.journey.journey: one.journey.title for one in plan.journeys}
    came = Rehearsed(of.workspace_name, of.workspace_time_zone, titles, plan.start, plan.days, who, lines, runs)
    return Report(
        came, sorted([*happenings.rejects, *late], key=lambda one: one.line), imported, len(happenings.before)
    )


def _apart(of: Settings, place: Scratch) -> Settings:
    """The workspace's own settings, with nothing in them that leads to its servers."""
    nothing = dict.fromkeys((
        "database_url", "smtp_url", "twilio_account_sid", "twilio_auth_token", "twilio_from", "api_key",
        "email_per_second", "sms_per_second",
    ))  # fmt: skip
    return of.model_copy(
        update={**nothing, "home": place.folder, "secret": SecretStr("links of a rehearsal lead nowhere")}
    )


async def _prepare(parts: Composition, plan: Plan) -> tuple[ImportReport, list[RehearsedContact], Happenings]:
    """Bring in the contacts and what happened to them before; publish the journeys."""
    fields = load_fields(parts.settings.definitions / "fields.yaml")
    imported = await import_customers(
        parts.engine, plan.customers, fields, now=plan.start, relative_to=plan.start.date(),
        rules=load_identity(parts.settings.definitions / "identity.yaml"),
    )  # fmt: skip
    async with parts.engine.connect() as db:
        who = await rehearsed.contacts(db)
    if not who:
        raise NothingToRehearse(
            f"{plan.customers} has no contact that can be read: {len(imported.rejected)} rows were rejected.",
            hint=f"The first: line {imported.rejected.first[0].line}: {imported.rejected.first[0].error}"
            if imported.rejected
            else "Put one contact a line below the header.",
        )  # fmt: skip
    happenings = Happenings()
    if plan.events is not None:
        names = {name: one.id for one in reversed(who) for name in (one.phone, one.email, one.external_id) if name}
        happenings = await asyncio.to_thread(read_happenings, plan.events, names, plan.start, plan.end)
    await parts.membership.publish(plan.segments, plan.start)
    async with parts.engine.begin() as db:
        await publish(db, plan.journeys, now=plan.start, by="rehearsal")
        for one in happenings.before:
            await _remember(db, one)
    opening = opened_by_hand(plan.journeys)
    happenings.within[:0] = [Happening(one.id, plan.start, 0, enters=name) for one in who for name in opening]
    return imported, who, happenings


def opened_by_hand(journeys: Iterable[LoadedJourney]) -> list[str]:
    """The journeys that take in everybody at the start of a rehearsal: those that only the API enters, unless another
    one starts them."""
    every = list(journeys)
    started = {node.step.start for one in every for node in one.program.nodes.values() if isinstance(node.step, Start)}
    return [one.journey.journey for one in every if one.journey.enter == ["api"] and one.journey.journey not in started]


async def _remember(db: AsyncConnection, one: Happening) -> None:
    """Keep what happened before the start: conditions see it, no journey begins with it."""
    deed = one.deed
    if deed is not None:
        stored = await events.store(
            db, customer_id=one.customer, name=deed.event, occurred_at=one.at, received_at=one.at,
            key=f"rehearsal/{one.line}", value=deed.value,
            properties={**(deed.properties or {}), **({"message": deed.message} if deed.message else {})},
        )  # fmt: skip
        if stored is not None:
            await events.mark_routed(db, [stored.id], one.at)


async def _carry(
    timeline: Timeline, plan: Plan, who: list[RehearsedContact], happenings: Happenings,
    caught: dict[str, Caught], progress: Progress,
) -> None:  # fmt: skip
    gate, passed = asyncio.Semaphore(AT_ONCE), dict.fromkeys((one.id for one in who), timedelta())

    async def one_of_them(customer: int) -> None:
        mine = [one for one in happenings.within if one.customer == customer]

        def tell(at: datetime) -> None:
            passed[customer] = at - plan.start
            days = sum(passed.values(), timedelta()) / timedelta(days=1) / len(passed)
            progress(days, sum(len(channel.messages) for channel in caught.values()))

        async with gate:
            ways_in = (Segments(timeline.parts, plan.segments, customer), Days(timeline.parts, plan.journeys, customer))
            await timeline.carry(customer, plan.start, plan.end, mine, ways_in, tell)

    async with asyncio.TaskGroup() as together:
        for one in who:
            together.create_task(one_of_them(one.id))


async def _lines(timeline: Timeline, plan: Plan, caught: dict[str, Caught]) -> list[Line]:
    """Every touch beside the message that was caught for it."""
    async with timeline.parts.engine.connect() as db:
        found = await rehearsed.all_touches(db)
        names = {one.id: one.external_id or one.email or one.phone or "" for one in await rehearsed.contacts(db)}
    found += [_unwritten(run, names[run.customer_id], plan) for run in timeline.stuck.values()]
    messages = {key: message for channel in caught.values() for key, message in channel.messages.items()}
    found.sort(key=lambda one: (one.at, one.customer, one.journey))
    return [Line(one, messages.get(one.key)) for one in found]


def _unwritten(run: Enrolment, customer: str, plan: Plan) -> RehearsedTouch:
    """A message that cannot be written for a contact. Production would try until somebody mends the template."""
    program = next(one.program for one in plan.journeys if one.journey.journey == run.journey)
    step = program.nodes[run.step or ""].step
    assert isinstance(step, Send | Webhook)
    put_off = run.cursor.get("put_off", {})
    at = datetime.fromisoformat(put_off["first"]) if "first" in put_off else run.enrolled_at
    because = f"cannot be written: {put_off.get('because', run.because)}"
    return RehearsedTouch(
        customer, run.journey, run.version, run.step or "", run.cursor["visits"].get(run.step, 1), step.channel,
        step.message, at.astimezone(UTC), "failed", because, "",
    )  # fmt: skip
