"""`journeys entries`: by which ways a journey lets contacts in, when next, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys import crons
from journeys.conditions import AllOf, Condition, FieldIs, FieldTest, InSegment
from journeys.definition import AnyEntry, DateEntry, Entry, Journey, ScheduleEntry, SegmentEntry
from journeys.due import zone_of_schedule
from journeys.errors import WaymarkError
from journeys.saying import say, say_with
from records.runs import occasions, versions
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import notice, out, print_lines, table

app = typer.Typer()

TIMES = 5


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way in: in words, how many contacts qualify for it now, and the next times of a schedule (UTC)."""

    kind: str
    says: str
    qualify: int | None
    next: list[datetime]
    time_zone: str | None = None


@app.command("entries")
def entries(
    journey: Annotated[str, typer.Argument(help="A published journey's name.", metavar="JOURNEY")],
    times: Annotated[int, typer.Option(min=1, max=100, help="So many next times of a schedule.")] = TIMES,
    as_json: AsJson = False,
) -> None:
    """Show by which ways a journey lets contacts in, the next times of its schedules, and how many qualify now."""
    found = run(_load(journey, times))
    if as_json:
        print_lines(found)
        return
    shown = table("way in", "", "qualify now", right=("qualify now",))
    for one in found:
        shown.add_row(one.kind, one.says, "—" if one.qualify is None else f"{one.qualify:,}")
    out.print(shown)
    own = ZoneInfo(settings().workspace_time_zone)
    for one in found:
        if one.time_zone is not None:
            notice(f"\nNext times of {one.says}")
            upcoming = table(one.time_zone, f"{own.key} (workspace)")
            for moment in one.next:
                upcoming.add_row(_wall(moment, ZoneInfo(one.time_zone)), _wall(moment, own))
            out.print(upcoming)


async def _load(name: str, times: int) -> list[WayIn]:
    now = datetime.now(UTC)
    async with records() as engine, engine.connect() as db:
        live = await versions.live(db, name)
        if live is None:
            raise WaymarkError(
                f"There is no published journey {name!r}.", hint="`waymark journeys list` shows those there are."
            )
        journey = Journey.model_validate(live.definition)
        return [await _way(db, journey, way, now, times) for way in journey.enter]


async def _way(db: AsyncConnection, journey: Journey, way: AnyEntry | str, now: datetime, times: int) -> WayIn:
    if isinstance(way, str):
        return WayIn("api", "the API, the command, or another journey", None, [])
    qualify = None
    if not isinstance(way, Entry):
        qualify = await occasions.count(db, journey.journey, journey.re_enter, _who(way), now)
    whom = f", for those: {say(way.where)}" if way.where is not None else ""
    match way:
        case Entry():
            return WayIn("event", f"{way.on}{say_with(way.with_)}{whom}", None, [])
        case SegmentEntry():
            return WayIn("segment", f"{way.segment}{whom}", qualify, [])
        case DateEntry():
            moved = f" {way.offset.words()}" if way.offset.count else ""
            yearly = ", every year" if way.every == "year" else ""
            return WayIn("date", f"{way.date}{moved} at {way.at:%H:%M}{yearly}{whom}", qualify, [])
        case ScheduleEntry():
            zone = zone_of_schedule(way, settings().workspace_time_zone)
            upcoming = list(islice(crons.times(way.schedule, zone, now), times))
            return WayIn("schedule", f"{way.schedule} in {zone.key}{whom}", qualify, upcoming, zone.key)


def _who(way: SegmentEntry | DateEntry | ScheduleEntry) -> Condition | None:
    """Whom a way in means as things are: for a day, whoever has one."""
    conditions: list[Condition] = [way.where] if way.where is not None else []
    if isinstance(way, SegmentEntry):
        conditions.append(InSegment(segment=[way.segment]))
    elif isinstance(way, DateEntry):
        conditions.append(FieldIs(field=FieldTest(name=way.field, exists=True)))
    return AllOf(all=conditions) if conditions else None


def _wall(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
