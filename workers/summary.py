"""What a demo came to, for a person to enjoy: the journeys, the tasks, and one contact's whole story."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

from records import reports
from records.audience import lifecycle, segments
from records.audience.segments import SegmentRow
from records.people import customers
from records.people.consents import history
from records.people.timeline import TimelineEntry, timeline
from records.reports import JourneySummary
from records.runs import enrolments
from records.sales import tasks
from records.sales.tasks import Task
from workers.commands.customers import portrait, print_timeline
from workers.commands.terminal import Clock, out, table
from workers.composition import Composition
from workers.settings import Settings

SHOWN_TASKS = 8
LONGEST_STORY = 40
"""Lines of the timeline that is shown: longer ones tell no more."""


async def summary(parts: Composition, of: Settings, start: datetime, days: int) -> None:
    """Print it all."""
    clock = Clock(of)
    async with parts.engine.connect() as db:
        journeys = await reports.journey_summary(db)
        total = await reports.overview(db)
        work = await tasks.listing(db, limit=1000)
        groups, stages = await segments.listing(db), await lifecycle.counts(db)
    end = start + timedelta(days=days)
    out.print()
    out.print(Rule(f"{days} days later, {end:%d %B %Y}"))
    out.print(
        f"{total.customers:,} contacts received {total.sent:,} messages; {total.opened:,} were opened, "
        f"{total.clicked:,} clicked. {total.qualified:,} leads qualified; {total.active:,} runs are on their way.",
    )
    out.print(_journeys(journeys))
    out.print(_tasks(work, clock))
    out.print(_audience(groups, stages))
    await _story(parts, of, clock, {task.customer_id for task in work})


def _journeys(journeys: list[JourneySummary]) -> Table:
    figures = ("entered", "sent", "opened", "clicked", "leads", "left", "ended", "going")
    shown = table("journey", *figures, right=figures)
    shown.columns[0].min_width = max((len(one.title) for one in journeys), default=0)
    for one in journeys:
        shown.add_row(
            escape(one.title), str(one.enrolled), str(one.sent), _share(one.opened, one.sent),
            _share(one.clicked, one.sent), str(one.qualified), str(one.exited), str(one.finished), str(one.active),
        )  # fmt: skip
    shown.caption = "leads: qualified there; left: by an exit, before the end; ended: at the end of the map"
    shown.caption_justify = "left"
    return shown


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _tasks(work: list[Task], clock: Clock) -> Table:
    done = [task for task in work if task.status == "done"]
    outcomes = ", ".join(
        f"{sum(task.outcome == outcome for task in done)} {outcome}" for outcome in ("won", "lost", "nurture")
    )
    waiting = [task for task in work if task.status in ("open", "claimed")]
    shown = table("task", "queue", "what", "score", "due", right=("task", "score"))
    shown.title = f"Sales: {len(done)} tasks done ({outcomes}), {len(waiting)} waiting"
    for task in waiting[:SHOWN_TASKS]:
        due = clock(task.due_at) if task.due_at else ""
        shown.add_row(str(task.id), task.queue, escape(task.title), str(task.details.get("score", "")), due)
    return shown


def _audience(groups: list[SegmentRow], stages: Mapping[str | None, int]) -> Table:
    """Who the contacts are by now."""
    shown = table("segment", "what", "members", right=("members",))
    shown.title = "Audience: " + ", ".join(f"{count} {stage}" for stage, count in stages.items() if stage)
    for one in groups:
        shown.add_row(one.name, escape(one.title), str(one.members))
    shown.caption = "`waymark report lifecycle`, `report rfm`, `report forecast` and `segments preview` tell more"
    shown.caption_justify = "left"
    return shown


async def _story(parts: Composition, of: Settings, clock: Clock, sold_to: set[int]) -> None:
    """The contact whose timeline has the most kinds of things on it: one of those whom sales has met, if any."""
    async with parts.engine.connect() as db:
        met = sold_to or {run.customer_id for run in await enrolments.listing(db, limit=100_000)}
        best: tuple[int, int] = (0, 0)
        story: list[TimelineEntry] = []
        for customer in sorted(met):
            entries = await timeline(db, customer)
            kinds = len({entry.kind for entry in entries})
            if len(entries) <= LONGEST_STORY and (kinds, len(entries)) > best:
                best, story, who = (kinds, len(entries)), entries, customer
        if not story:
            return
        person, said = await customers.get(db, who), await history(db, who)
    out.print(Panel(portrait(person, said, parts.fields, clock), title="One contact", title_align="left", expand=False))
    print_timeline(story, clock)
    out.print()
