"""The mails to those who sell: from templates in `templates/sales/`, in plain text and HTML, in their language."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import FileSystemLoader, TemplateNotFound

from activities.channels.channel import Message
from activities.messages.composing import Workspace
from activities.messages.inspection import EMAIL_FILES
from activities.messages.rendering import FAULTS, tidy
from activities.messages.sandbox import Sandbox
from activities.sales.assigning import BY_HAND, GONE, LATE
from activities.sales.briefing import Briefing
from activities.sales.salesday import Day, RepDay, Section, sections
from journeys.errors import WaymarkError
from journeys.worktime import WorkWeek
from records.sales.days import Line
from records.sales.notices import Notice
from records.sales.pipeline import Month, StageSum
from records.sales.tasks import Task

if TYPE_CHECKING:
    from activities.sales.words import Words

MOST = 6
"""Reasons of a score that are told."""
_OF_REPS = ("due_next", "new", "claimed")
"""Sections of which the manager is told the figures alone."""
_FIGURES = ("new", "claimed", "done", "won", "open", "overdue")


class SalesMails:
    """Fills in the mails; `folders` are looked through in turn, so that what is shipped stands in for what is not
    there. `language` is that of whoever has none, `currency` (ISO 4217) that of all amounts."""

    def __init__(
        self, folders: Sequence[Path], workspace: Workspace, language: str, currency: str | None = None
    ) -> None:
        self._sandbox = Sandbox(FileSystemLoader([str(folder) for folder in folders]))
        # How languages write days takes a tenth of a second to read: commands that send nothing need not wait for it.
        from activities.sales.words import Library

        self._library = Library(folders, language, currency)
        self._workspace = workspace

    def of_task(
        self, notice: Notice, known: Briefing, language: str | None, week: WorkWeek, now: datetime
    ) -> Message:  # fmt: skip
        """The mail about one task, by the clock of whoever gets it. Raises WaymarkError where it cannot be written."""
        say, task = self._library.words(language), known.task
        shown = {
            "id": task.id, "title": task.title, "status": "claimed" if task.claimed_by else "open",
            "rep": task.claimed_by or task.assigned_to, "queue": task.queue, "priority": task.priority,
            "customer": task.customer, "score": known.score, "because": _why(known, say),
            "due": say.moment(task.due_at, week) if task.due_at is not None else say("never"),
            "handed": _handed(notice, known, say), "facts": _facts(known, say),
            "commands": _commands(notice, task, say),
            "points": [
                {"points": f"{one.points:+}", "because": one.because,
                 "day": say.short_day(week.today(one.at)) if one.at is not None else ""}
                for one in known.points[:MOST]
            ],
        }  # fmt: skip
        return self._message(notice, notice.kind, {"task": shown, "kind": notice.kind}, say, now)

    def of_day(self, notice: Notice, day: Day, language: str | None, week: WorkWeek, now: datetime) -> Message:
        """The mail about a day. Raises WaymarkError where it cannot be written."""
        say = self._library.words(language)

        reasons = day.whole.reasons if day.whole is not None else {}
        shown: dict[str, Any] = {
            "date": say.day(day.day), "zone": day.time_zone.replace("_", " "),
            "counts": {
                name: len(lines)
                for name, lines in (("new", day.new), ("done", day.done), ("overdue", day.overdue),
                                    ("unassigned", day.whole.unassigned if day.whole is not None else []))
            },
            "sections": [
                {"title": say(one.name, day=say.weekday(day.next_day)), "count": one.count,
                 "rows": [_row(line, reasons.get(line.id), say, week, who=day.whole is not None) for line in one.lines],
                 "also": _also(one, say)}
                for one in sections(day) if day.whole is None or one.name not in _OF_REPS
            ],
            "sums": [(say("pipeline"), [_sum(one.stage.replace("_", " "), one, say) for one in day.pipeline])],
        }  # fmt: skip
        if (whole := day.whole) is not None:
            shown["heads"] = [say("rep"), *(say(f"head_{name}") for name in _FIGURES)]
            shown["reps"] = [_figures(one, say) for one in whole.reps]
            months = [_sum(say.month(one.month) if one.month else say("no_month"), one, say) for one in whole.forecast]
            shown["sums"].append((say("forecast"), months))
        template = "day" if day.whole is None else "manager_day"
        return self._message(notice, template, {"day": shown}, say, now)

    def _message(
        self, notice: Notice, template: str, context: Mapping[str, Any], say: Words, now: datetime
    ) -> Message:  # fmt: skip
        known = {**context, "name": notice.recipient, "say": say, "workspace": self._workspace}
        subject, html, text = (self._fill(f"sales/{template}/{file}", known) for file in EMAIL_FILES)
        return Message(
            f"sales/{notice.key}", notice.address, " ".join(subject.split()), tidy(text), html, say.language, now,
            name=notice.recipient,
        )  # fmt: skip

    def _fill(self, file: str, context: Mapping[str, Any]) -> str:
        try:
            return self._sandbox.fill(self._sandbox.get_template(file), context)
        except TemplateNotFound as error:
            raise WaymarkError(f"templates/{error.name} is missing", hint="`waymark init` writes it anew.") from error
        except FAULTS as error:
            raise WaymarkError(f"templates/{file}: {str(error) or type(error).__name__}") from error


def _why(known: Briefing, say: Words) -> str:
    """Why the task was made: by the score, with what lifted it there where that was one thing, or as the map says."""
    reached = known.task.details.get("reached")
    if not isinstance(reached, dict):
        return known.task.because or ""
    one = reached.get("because")
    if any(given.because == one for given in known.points):
        return say("reached", threshold=reached.get("threshold"), because=one)
    return say("reached_alone", threshold=reached.get("threshold"))


def _handed(notice: Notice, known: Briefing, say: Words) -> str:
    """From whom a task comes that changed hands, and why."""
    if notice.kind != "reassigned":
        return ""
    before: str | None = None
    for step in known.steps:
        if notice.key.endswith(f"/{step.id}"):
            if before is None or before == step.rep:
                return ""
            ways = {LATE.format(before): "handed_late", GONE.format(before): "handed_gone", BY_HAND: "handed"}
            return say(ways.get(step.because or BY_HAND, "handed_because"), rep=before, because=step.because)
        before = step.rep if step.kind in ("assigned", "reassigned", "claimed") else before
    return ""


def _facts(known: Briefing, say: Words) -> list[tuple[str, str | None, str | None]]:
    """Who it is, and how they are reached: names, values (those without one are left out), and what a touch opens."""
    customer, task = known.customer, known.task
    worth = say.amount(task.amount) if task.amount is not None else None
    closes = say.day(task.expected_close) if task.expected_close is not None else None
    deal = [part for part in ((task.pipeline or "").replace("_", " "), worth, closes) if part]
    company = customer.properties.get("company")
    tel, mailto = f"tel:{customer.phone}", f"mailto:{customer.email}"
    return [
        (say("who"), task.customer, None), (say("company"), str(company) if company else None, None),
        (say("phone"), customer.phone, tel), (say("email"), customer.email, mailto),
        (say("country"), say.country(customer.country), None),
        (say("stage"), customer.stage.replace("_", " "), None), (say("deal"), say("list").join(deal), None),
    ]  # fmt: skip


def _commands(notice: Notice, task: Task, say: Words) -> list[tuple[str, str]]:
    """How to answer, for whoever gets the mail."""
    look = [
        ("show", f"waymark tasks show {task.id}"), ("history", f"waymark customers show {task.customer_id}"),
    ]  # fmt: skip
    if notice.kind == "escalation":
        found = [("reassign", f"waymark tasks reassign {task.id} --to NAME"), *look]
    else:
        me = f"--rep {shlex.quote(notice.recipient)}"
        claim = [("claim", f"waymark tasks claim {task.id} {me}")] if task.claimed_by is None else []
        found = [
            *claim, *look, ("snooze", f"waymark tasks snooze {task.id} {me} --until 2d"),
            ("done", f"waymark tasks done {task.id} {me} --outcome won"),
        ]  # fmt: skip
    return [(say(f"command_{what}"), command) for what, command in found]


def _also(part: Section, say: Words) -> str:
    """The numbers of those that are told elsewhere."""
    numbers = ", ".join(map(str, part.also))
    return say("also", tasks=numbers) if numbers and part.lines else numbers


def _row(line: Line, because: str | None, say: Words, week: WorkWeek, *, who: bool) -> dict[str, Any]:
    due = say.short_moment(line.due_at, week) if line.due_at is not None else say("never")
    ended = line.outcome or ("expired" if line.ended_at is not None else None)
    how = say(f"outcome_{ended}") if ended else say("row_due", due=due)
    said = [
        line.customer, line.rep if who else None, how,
        say.amount(line.amount) if line.amount is not None else None, line.reason, because,
    ]  # fmt: skip
    return {"id": line.id, "title": line.title, "said": " · ".join(part for part in said if part)}


def _figures(one: RepDay, say: Words) -> list[str]:
    won = f"{one.won} ({say.amount(one.won_amount)})" if one.won_amount else str(one.won)
    return [one.rep, *(won if name == "won" else str(getattr(one, name)) for name in _FIGURES)]


def _sum(name: str, one: Month | StageSum, say: Words) -> dict[str, Any]:
    said = say("sums", amount=say.amount(one.amount), weighted=say.amount(one.weighted))
    return {"name": name, "count": one.count, "said": said}
