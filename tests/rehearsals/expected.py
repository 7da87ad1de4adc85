"""What a rehearsal should come to, written by the contacts' own clocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from journeys import spreading
from journeys.timing import Duration

Touch = tuple[str, str, str, str | None]
Run = tuple[str, str | None, str | None]

NO_MAIL = "consent to email was withdrawn"

LETTERS = """
journey: letters
title: Letters
enter: {on: letters.wanted}
re_enter: always
steps:
  - {id: first, send: email/studio_story, window: any}
  - {id: soon, wait: 1h}
  - {id: second, send: email/brew_guide, window: any}
  - {id: sooner, wait: 1h}
  - {id: third, send: email/office_costs, window: any}
"""
"""Another journey, which writes as often as a week allows."""


def at(wall: str, zone: str = "UTC") -> str:
    """The moment at which clocks in the zone show this, as a rehearsal writes it."""
    return _written(_instant(wall, zone))


def spread(wall: str, zone: str, over: str, *parts: str) -> str:
    """The moment that a contact has within `over` from then on. `parts` are what the choice is about: for the opening
    of a window "window", the journey, the step and the contact; for a way in "spread", the journey, the occasion and
    the contact."""
    return _written(spreading.spread(_instant(wall, zone), Duration.parse(over), *parts))


def later(moment: str, **span: int) -> str:
    """So much elapsed time after a moment."""
    return _written(datetime.fromisoformat(moment) + timedelta(**span))


def days_later(moment: str, days: int, zone: str) -> str:
    """The same wall time so many days later."""
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(days=days)
    return _written(local.replace(tzinfo=ZoneInfo(zone)))


def touches(lines: Sequence[dict[str, Any]], customer: str, journey: str | None = None) -> list[Touch]:
    """What a contact was to get: the message, when, what became of it and why."""
    return [
        (line["message"], line["at"], line["status"], line["because"])
        for line in lines
        if "message" in line and line["customer"] == customer and journey in (None, line["journey"])
    ]


def runs(lines: Sequence[dict[str, Any]], customer: str) -> list[Run]:
    """How a contact's runs ended, and when."""
    return [
        (line["journey"], line["outcome"], line["at"])
        for line in lines
        if "outcome" in line and line["customer"] == customer
    ]


def sent(message: str, moment: str) -> Touch:
    """A message that went."""
    return (message, moment, "sent", None)


def skipped(message: str, moment: str, because: str) -> Touch:
    """A message that was left out."""
    return (message, moment, "skipped", because)


def happens(customer: str, event: str, moment: str, **more: Any) -> dict[str, Any]:
    """A row of the events."""
    row: dict[str, Any] = {"customer": customer, "event": event, "at": moment}
    row |= {name: more.pop(name) for name in ("message", "value") if name in more}
    return row | {"properties": more} if more else row


def _instant(wall: str, zone: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
