"""The mails to those who sell: from templates in `templates/sales/`, in plain text and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import FileSystemLoader, TemplateNotFound

from activities.channels.channel import Message
from activities.composing import Workspace
from activities.inspection import EMAIL_FILES
from activities.rendering import FAULTS
from activities.sales.salesday import Day
from activities.sandbox import Sandbox
from journeys.errors import WaymarkError
from journeys.worktime import WorkWeek
from records.sales.days import Line
from records.sales.notices import Notice
from records.sales.tasks import Task


class SalesMails:
    """Fills in the mails; `folders` are looked through in turn, so that what is shipped stands in for what is not
    there."""

    def __init__(self, folders: Sequence[Path], workspace: Workspace, locale: str) -> None:
        self._sandbox = Sandbox(FileSystemLoader([str(folder) for folder in folders]))
        self._workspace = workspace
        self._locale = locale

    def of_task(self, notice: Notice, task: Task, week: WorkWeek, now: datetime) -> Message:
        """The mail about one task. Raises WaymarkError where its template cannot be filled in."""
        shown = {
            "id": task.id, "title": task.title, "customer": task.customer, "queue": task.queue,
            "customer_id": task.customer_id, "because": task.because or "",
            "due": _moment(task.due_at, week), "score": task.details.get("score"),
            "rep": task.claimed_by or task.assigned_to, "status": task.status,
        }  # fmt: skip
        return self._message(notice, {"task": shown, "name": notice.recipient}, now)

    def of_day(self, notice: Notice, day: Day, week: WorkWeek, now: datetime) -> Message:
        """The mail about a day. Raises WaymarkError where its template cannot be filled in."""

        def rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
            return [_row(line, week) for line in lines]

        shown: dict[str, Any] = {
            "date": f"{day.day:%A, %d %B %Y}", "next_day": f"{day.next_day:%A}",
            **{name: rows(getattr(day, name)) for name in ("new", "claimed", "done", "overdue", "due_next")},
            "pipeline": [_figures(asdict(one)) for one in day.pipeline],
        }  # fmt: skip
        if (whole := day.whole) is not None:
            shown["reps"] = [_figures(asdict(one)) for one in whole.reps]
            shown["unassigned"] = [row | {"because": whole.reasons.get(row["id"])} for row in rows(whole.unassigned)]
            shown["escalated"], shown["expired"] = rows(whole.escalated), rows(whole.expired)
            shown["forecast"] = [_figures(asdict(one)) for one in whole.forecast]
        template = "day" if day.whole is None else "manager_day"
        return self._message(notice, {"day": shown, "name": notice.recipient}, now, template)

    def _message(
        self, notice: Notice, context: Mapping[str, Any], now: datetime, template: str | None = None
    ) -> Message:
        folder = f"sales/{template or notice.kind}"
        known = {**context, "workspace": self._workspace}
        subject, html, text = (self._fill(f"{folder}/{file}", known) for file in EMAIL_FILES)
        return Message(
            f"sales/{notice.key}", notice.address, " ".join(subject.split()), text.strip() + "\n", html, self._locale,
            now, name=notice.recipient,
        )  # fmt: skip

    def _fill(self, file: str, context: Mapping[str, Any]) -> str:
        try:
            return self._sandbox.fill(self._sandbox.get_template(file), context)
        except TemplateNotFound as error:
            raise WaymarkError(f"templates/{error.name} is missing", hint="`waymark init` writes it anew.") from error
        except FAULTS as error:
            raise WaymarkError(f"templates/{file}: {str(error) or type(error).__name__}") from error


def _row(line: Line, week: WorkWeek) -> dict[str, Any]:
    return {
        "id": line.id, "title": line.title, "customer": line.customer, "queue": line.queue, "rep": line.rep,
        "due": _moment(line.due_at, week), "outcome": (line.outcome or "").replace("_", " "),
        "reason": line.reason or "", "because": "", "amount": money(line.amount) if line.amount is not None else "",
    }  # fmt: skip


def _figures(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: money(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _moment(moment: datetime | None, week: WorkWeek) -> str:
    if moment is None:
        return "at no time"
    local = moment.astimezone(week.zone)
    zone = week.zone.key if isinstance(week.zone, ZoneInfo) else f"{local:%Z}"
    return f"{local:%A, %d %B %Y at %H:%M} ({zone})"


def money(amount: Decimal) -> str:
    """An amount as people read it."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
