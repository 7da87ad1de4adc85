"""The day of a rep, or of all of sales: what it brought, what is late, and what comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from journeys.nearest import unknown_word
from journeys.sales import NOBODY, Sales
from journeys.team import Person
from journeys.timing import at_wall_time
from journeys.worktime import WorkWeek
from records.sales import days as salesdays
from records.sales import pipeline
from records.sales.days import Line
from records.sales.pipeline import Month, StageSum

_TELLING = ("done", "expired", "unassigned", "overdue", "escalated", "due_next", "claimed", "new")
"""Where a task is told that belongs to several sections: the first of them."""


@dataclass(frozen=True, slots=True)
class RepDay:
    """One rep's figures: what came and went that day, and how it stands at its end."""

    rep: str
    new: int
    claimed: int
    done: int
    won: int
    won_amount: Decimal
    open: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Whole:
    """What only the manager is told: each rep's figures, what nobody has (with the reasons), what is late, and what
    is expected."""

    reps: list[RepDay]
    unassigned: list[Line]
    reasons: dict[int, str | None]
    escalated: list[Line]
    expired: list[Line]
    forecast: list[Month]


@dataclass(frozen=True, slots=True)
class Day:
    """A day in somebody's time zone. `rep` is None for all of sales; `due_next` is due by the end of `next_day`."""

    rep: str | None
    day: date
    time_zone: str
    next_day: date
    new: list[Line]
    claimed: list[Line]
    done: list[Line]
    overdue: list[Line]
    due_next: list[Line]
    pipeline: list[StageSum]
    whole: Whole | None = field(default=None)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say."""
        whole = self.whole
        late = whole is not None and any((whole.unassigned, whole.escalated, whole.expired, whole.forecast))
        return not (late or self.new or self.claimed or self.done or self.overdue or self.due_next or self.pipeline)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what is told of a day. Each task is told once, where that says most; `also` are those that belong here
    too."""

    name: str
    lines: list[Line]
    also: list[int]

    @property
    def count(self) -> int:
        """How many there are in all."""
        return len(self.lines) + len(self.also)


def sections(day: Day) -> list[Section]:
    """What is told of a day, in the order in which it is read; what is empty is left out."""
    lists: dict[str, list[Line]] = {}
    if (whole := day.whole) is not None:
        lists |= {"unassigned": whole.unassigned, "escalated": whole.escalated, "expired": whole.expired}
    lists |= {"overdue": day.overdue, "due_next": day.due_next}
    lists |= {"new": day.new, "claimed": day.claimed, "done": day.done}
    home = {line.id: name for name in reversed(_TELLING) for line in lists.get(name, [])}
    return [
        Section(
            name, [line for line in lines if home[line.id] == name],
            [line.id for line in lines if home[line.id] != name],
        )
        for name, lines in lists.items() if lines
    ]  # fmt: skip


def person_of(sales: Sales | None, rep: str | None, known: Sequence[str] = ()) -> Person | None:
    """The rep of this name, or the manager where none is named; None when the definitions name nobody.

    Raises:
        WaymarkError: there is no such rep, neither in the definitions nor among those `known` from their tasks.
    """
    if rep is None:
        return sales.manager if sales is not None else None
    found = next((one for one in sales.reps if one.name.casefold() == rep.casefold()), None) if sales else None
    if found is None and rep not in known:
        names = sorted({*known, *(one.name for one in (sales.reps if sales is not None else ()))})
        raise WaymarkError(unknown_word(rep, names, "is no rep"), hint="They stand in definitions/handoff.yaml.")
    return found


async def read_day(
    db: AsyncConnection, sales: Sales | None, rep: str | None, day: date, now: datetime, default_zone: str
) -> Day:
    """How a day went, as far as `now`: of one rep, or of all of sales. What deals come to is known of today alone: how
    they stood on a day that is over, nobody wrote down.

    Raises:
        WaymarkError: there is no such rep.
    """
    team = sales or NOBODY
    person = person_of(sales, rep, await salesdays.sellers(db))
    rep = person.name if rep is not None and person is not None else rep
    week = team.week(person, default_zone)
    since, until = _bounds(day, week)
    upcoming = week.next_day(day)
    as_of, soon = min(now, until), _bounds(upcoming, week)[1]
    lines = await salesdays.lines(db, since, until, rep)
    chances = {one.stage: one.chance for one in team.pipeline}

    def within(moment: datetime | None) -> bool:
        return moment is not None and since <= moment < until

    return Day(
        rep, day, str(week.zone), upcoming,
        new=[one for one in lines if within(one.assigned_at if rep is not None else one.created_at)],
        claimed=[one for one in lines if within(one.claimed_at)],
        done=[one for one in lines if one.outcome is not None and within(one.ended_at)],
        overdue=[one for one in lines if one.is_open(as_of) and one.due_at is not None and one.due_at < as_of],
        due_next=[one for one in lines if one.is_open(as_of) and one.due_at is not None and as_of <= one.due_at < soon],
        pipeline=await pipeline.by_stage(db, chances, rep) if now < until else [],
        whole=None if rep is not None else await _whole(db, team, lines, since, until, as_of, chances),
    )  # fmt: skip


async def _whole(
    db: AsyncConnection,
    team: Sales,
    lines: list[Line],
    since: datetime,
    until: datetime,
    as_of: datetime,
    chances: dict[str, Decimal],
) -> Whole:
    names = list(dict.fromkeys([*(rep.name for rep in team.reps), *sorted({one.rep for one in lines if one.rep})]))
    nobodys = [one for one in lines if one.rep is None and one.is_open(as_of)]
    escalated, expired = [await salesdays.steps(db, kind, since, until) for kind in ("escalated", "expired")]
    return Whole(
        [_figures(name, [one for one in lines if one.rep == name], since, until, as_of) for name in names],
        nobodys,
        await salesdays.why_unassigned(db, [one.id for one in nobodys]),
        [one for one in lines if one.id in escalated],
        [one for one in lines if one.id in expired],
        await pipeline.forecast(db, chances) if as_of < until else [],
    )


def _figures(rep: str, mine: list[Line], since: datetime, until: datetime, as_of: datetime) -> RepDay:
    def within(moment: datetime | None) -> bool:
        return moment is not None and since <= moment < until

    done = [one for one in mine if one.outcome is not None and within(one.ended_at)]
    won = [one for one in done if one.outcome == "won"]
    open_ = [one for one in mine if one.is_open(as_of)]
    return RepDay(
        rep, sum(within(one.assigned_at) for one in mine), sum(within(one.claimed_at) for one in mine), len(done),
        len(won), sum((one.amount or Decimal(0) for one in won), Decimal(0)), len(open_),
        sum(one.due_at is not None and one.due_at < as_of for one in open_),
    )  # fmt: skip


def _bounds(day: date, week: WorkWeek) -> tuple[datetime, datetime]:
    """The instants at which a day begins and ends for somebody."""
    return at_wall_time(day, time.min, week.zone), at_wall_time(
        date.fromordinal(day.toordinal() + 1), time.min, week.zone
    )
