"""All that happened to one customer, in one order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Table, Text, case, cast, func, literal, null, select, union_all
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.naming import full_name_of
from records.tables import (
    Instant,
    changes,
    consents,
    enrolments,
    events,
    merges,
    score_entries,
    task_history,
    tasks,
    touches,
)

Kind = Literal[
    "entered",
    "event",
    "touch",
    "score",
    "stage",
    "property",
    "tag",
    "untag",
    "consent",
    "task",
    "task_step",
    "task_done",
    "left",
    "merged",
    "unmerged",
]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened: `title` for a line in a list, `detail` for whoever looks closer."""

    at: datetime
    kind: Kind
    title: str
    detail: dict[str, Any]
    journey: str | None


async def timeline(
    db: AsyncConnection, customer_id: int, *, limit: int = 200, before: datetime | None = None
) -> list[TimelineEntry]:
    """The newest `limit` entries of a customer, of those `before` a moment if one is said; the newest last.

    What happened at the same moment stands in the order of cause: entering a journey, the event, the touch, what
    they changed, the task, leaving. It is never torn apart, so there may be some more than `limit`; what is before the
    first of them is the next page.
    """
    newest = (part.fetch(limit, with_ties=True) for part in _parts(customer_id, before))
    everything = union_all(*(part.subquery().select() for part in newest)).subquery("everything")
    rows = await db.execute(select(everything).order_by(everything.c.at.desc()).fetch(limit, with_ties=True))
    found = sorted(rows, key=lambda row: (row.at, row.rank, row.id))
    return [TimelineEntry(r.at, r.kind, r.title, r.detail, r.journey) for r in found]


def _parts(customer_id: int, before: datetime | None) -> list[Select[Any]]:
    """One query a source; each reads the newest rows of an index and stops."""

    def part(
        table: Table,
        rank: int,
        at: ColumnElement[Any],
        kind: ColumnElement[Any] | Kind,
        title: ColumnElement[Any],
        detail: Mapping[str, Any],
        journey: ColumnElement[Any] | None = None,
        whose: str = "customer_id",
    ) -> Select[Any]:
        pairs = [word for name, value in detail.items() for word in (name, value)]
        columns = (
            at.label("at"),
            literal(rank).label("rank"),
            table.c.id.label("id"),
            (literal(kind) if isinstance(kind, str) else kind).label("kind"),
            title.label("title"),
            func.jsonb_strip_nulls(func.jsonb_build_object(*pairs), type_=JSONB).label("detail"),
            (cast(null(), Text) if journey is None else journey).label("journey"),
        )
        mine = table.c[whose] == customer_id if table is not task_history else table.c.task_id.in_(its_tasks)
        past = at.is_not(None) if before is None else at < literal(before, Instant)
        return select(*columns).where(mine, past).order_by(at.desc())

    def journey_of(table: Table) -> ColumnElement[Any]:
        run = select(enrolments.c.journey).where(enrolments.c.id == table.c.enrolment_id)
        return run.scalar_subquery()

    e, t, s, c, o, k, n = events.c, touches.c, score_entries.c, changes.c, consents.c, tasks.c, enrolments.c
    m, h = merges.c, task_history.c
    its_tasks = select(k.id).where(k.customer_id == customer_id)
    other = _name_of(m.before) + literal(" (customer ") + cast(m.gone_id, Text) + literal(")")
    points = case((s.points > 0, literal("+") + cast(s.points, Text)), else_=cast(s.points, Text))
    arrow = func.coalesce(c.old, "nothing") + literal(" → ") + func.coalesce(c.new, "nothing")
    said = case((o.granted, "given"), else_="withdrawn")
    return [
        part(enrolments, 0, n.enrolled_at, "entered", literal("entered ") + n.journey,
             {"enrolment": n.id, "version": n.version, "entry": n.entry, "source": n.source}, n.journey),
        part(events, 1, e.occurred_at, "event", e.name,
             {"event": e.id, "value": e.value, "properties": e.properties, "touch": e.touch_id}),
        part(consents, 2, o.at, "consent", literal("consent to ") + o.channel + literal(" ") + said,
             {"channel": o.channel, "granted": o.granted, "source": o.source}),
        part(touches, 3, t.claimed_at, "touch", t.message + literal(" ") + t.status,
             {"touch": t.id, "channel": t.channel, "message": t.message, "status": t.status, "because": t.because,
              "subject": t.subject, "step": t.step}, t.journey),
        part(score_entries, 4, s.at, "score", points + literal(" points"),
             {"points": s.points, "because": s.because, "rule": s.rule, "step": s.step}, journey_of(score_entries)),
        part(changes, 5, c.at, c.kind, case((c.kind == "tag", literal("tagged ") + c.name),
                                            (c.kind == "untag", literal("untagged ") + c.name),
                                            else_=c.name + literal(": ") + arrow),
             {"name": c.name, "old": c.old, "new": c.new, "because": c.because}, journey_of(changes)),
        part(tasks, 6, k.created_at, "task", k.title,
             {"task": k.id, "queue": k.queue, "status": k.status, "because": k.because, "due_at": k.due_at},
             journey_of(tasks)),
        part(task_history, 7, h.at, "task_step", literal("task ") + cast(h.task_id, Text) + literal(" ") + h.kind
             + func.coalesce(literal(": ") + h.rep, ""),
             {"task": h.task_id, "step": h.kind, "rep": h.rep, "because": h.because}),
        part(tasks, 8, k.done_at, "task_done", k.title + literal(": ") + func.coalesce(k.outcome, ""),
             {"task": k.id, "queue": k.queue, "outcome": k.outcome, "by": k.done_by, "note": k.note},
             journey_of(tasks)),
        part(enrolments, 9, n.ended_at, "left", literal("left ") + n.journey + literal(": ")
             + func.coalesce(n.outcome, n.status),
             {"enrolment": n.id, "status": n.status, "outcome": n.outcome, "because": n.because}, n.journey),
        part(merges, 10, m.at, "merged", literal("merged with ") + other,
             {"merge": m.id, "customer": m.gone_id, "by": m.by, "because": m.because}, whose="kept_id"),
        part(merges, 11, m.undone_at, "unmerged", literal("separated again from ") + other,
             {"merge": m.id, "customer": m.gone_id, "by": m.undone_by}, whose="kept_id"),
    ]  # fmt: skip


def _name_of(before: ColumnElement[Any]) -> ColumnElement[Any]:
    """What to call somebody who was merged away, from the row as it was."""
    was = before["gone"]
    full = full_name_of(was["first_name"].astext, was["last_name"].astext)
    return func.coalesce(full, *(was[name].astext for name in ("email", "phone", "external_id")), "somebody")
