"""Why a run is where it is: its way with all that was seen, what it waits for, and who interfered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.programs import Programs
from journeys.definition import Exit
from journeys.program import Program
from journeys.saying import say_with
from journeys.steps.ways import WaitFor
from journeys.zones import zone_of
from records.messages import touches
from records.messages.touches import Touch
from records.people import customers
from records.runs import enrolments, holds, orders, paths, versions
from records.runs.enrolments import OPEN, Enrolment
from records.runs.holds import Hold
from records.runs.orders import Order
from records.runs.paths import PathStep


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands now: its state, what it waits for and why, in words, and when it goes on by itself (UTC)."""

    state: str
    step: str | None
    words: str
    wakes_at: datetime | None
    leaves_on: list[str]


@dataclass(frozen=True, slots=True)
class Passage:
    """A step that the run took: when, why this way, what was seen, and the message that belongs to it."""

    at: datetime
    step: str
    visit: int
    kind: str
    because: str
    seen: dict[str, Any]
    touch: Touch | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One run, explained. `zone` is the contact's; `live_version` is what new runs get now."""

    run: Enrolment
    title: str
    live_version: int | None
    zone: ZoneInfo
    workflow: str
    standing: Standing
    passages: list[Passage]
    pending_touches: list[Touch]
    holds: list[Hold]
    orders: list[Order]


async def explain(db: AsyncConnection, number: int, *, zone: str) -> Explanation:
    """Explain a run; `zone` is the workspace's, for contacts of whom none is known. Raises UnknownRun."""
    run = await enrolments.get(db, number)
    person = await customers.get(db, run.customer_id)
    program = await Programs().get(db, run.journey, run.version)
    live = await versions.live(db, run.journey)
    way = await paths.taken(db, number)
    sent = [one for one in await touches.for_customer(db, run.customer_id, 1000) if one.enrolment_id == number][::-1]
    at = run.instruction or {}
    applying = await holds.applies(db, journey=run.journey, customer_id=run.customer_id, channel=at.get("channel"))
    passages, rest = _passages(way, sent)
    return Explanation(
        run,
        program.journey.title,
        live.version if live else None,
        zone_of(person.time_zone, person.country, zone),
        run.workflow,
        _standing(run, program, applying),
        passages,
        rest,
        applying if run.status in OPEN else [],
        await orders.of_run(db, number),
    )


def _passages(way: list[PathStep], sent: list[Touch]) -> tuple[list[Passage], list[Touch]]:
    """The way with each message beside its step, and the messages whose step has not come to its end."""
    waiting = {(one.step, one.visit): one for one in sent}
    passages = []
    for line in way:
        touch = waiting.pop((line.step, line.visit), None) if line.kind in ("send", "webhook") else None
        because, seen = str(line.detail.get("because") or ""), dict(line.detail.get("seen") or {})
        passages.append(Passage(line.at, line.step, line.visit, line.kind, because, seen, touch))
    return passages, list(waiting.values())


def _standing(run: Enrolment, program: Program, applying: list[Hold]) -> Standing:
    at = run.instruction or {}
    state = str(at.get("status") or run.status)
    leaves = [] if run.status not in OPEN else [_leaving(way) for way in program.journey.exit]
    wakes = None if run.status not in OPEN else run.begins_at if run.turn == 0 else run.wakes_at
    return Standing(state, run.step, _words(run, program, applying), wakes, leaves)


def _words(run: Enrolment, program: Program, applying: list[Hold]) -> str:
    """What the run does or waits for now, and why, as one would say it to a colleague."""
    at = run.instruction or {}
    because, summary = run.because or "", str(at.get("summary") or "")
    what = summary.removeprefix("send ").removeprefix("try ").removesuffix(" again")
    put_off = run.cursor.get("put_off") or {}
    if run.status not in OPEN:
        return f"It has ended: {summary or run.outcome}."
    match at.get("status"):
        case None if run.launched_at is None:
            return "It has not been started; the sweep starts it within a minute of Temporal's return."
        case None:
            return "It has not begun."
        case "sending":
            return f"It is sending {what} at this moment."
        case "retrying":
            times, last = put_off.get("times", 1), put_off.get("because") or because
            return f"{what} was put off {_times(times)}, the last time because: {last}. It is tried again."
        case "held":
            return f"A message may or may not have gone ({because}). It stays here until somebody says which."
        case "paused":
            return f"It would have gone on, but {_why_paused(applying)}. It goes on when that is resumed."
        case "quiet":
            return f"{_message(run, program)} waits until it may be sent: {because}."
        case "capped":
            return f"{_message(run, program)} waits, because enough was sent to this contact for now: {because}."
    node = program.nodes.get(run.step or "")
    if node is not None and isinstance(node.step, WaitFor):
        then = "; if it does not come in time, the run goes on without it" if run.wakes_at else ""
        return f"It does what the map says: {summary}{then}."
    return f"It does what the map says: {summary}."


def _leaving(way: Exit) -> str:
    what = f"leaving the segment {way.left}" if way.left else f"{way.on}{say_with(way.with_)}"
    return f"{what} ({way.outcome})"


def _message(run: Enrolment, program: Program) -> str:
    node = program.nodes.get(run.step or "")
    return str(getattr(node.step, "message", None) or run.step) if node is not None else str(run.step)


def _why_paused(applying: list[Hold]) -> str:
    if not applying:
        return "it was paused, and the order to go on is on its way"
    named = {"all": "everything", "journey": "the journey", "customer": "this contact", "channel": "the channel"}
    said = []
    for one in applying:
        name = f" {one.name}" if one.kind == "channel" else ""
        why = f" ({one.because})" if one.because else ""
        said.append(f"{named[one.kind]}{name} is {'paused' if one.mode == 'pause' else 'stopped'} by {one.by}{why}")
    return " and ".join(said)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
