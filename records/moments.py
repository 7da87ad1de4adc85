"""Moments as parameters: a statement that asks what lay within a length of time is built once, and told every time anew
when that began. Building one takes longer than asking two hundred customers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import BindParameter, bindparam

from journeys.timing import Duration, add
from records.tables.columns import Instant

Reckoning = Callable[[datetime, datetime], datetime]
"""A moment, from when somebody looked last and now."""


class Moments:
    """The moments that one statement asks for."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, object], tuple[BindParameter[datetime], Reckoning]] = {}

    def parameter(self, kind: str, of: object, reckon: Reckoning) -> BindParameter[datetime]:
        """A moment as a parameter of the statement, which has it once."""
        if (kind, of) not in self._asked:
            self._asked[kind, of] = (bindparam(f"moment_{len(self._asked)}", type_=Instant()), reckon)
        return self._asked[kind, of][0]

    def since(self, length: Duration) -> BindParameter[datetime]:
        """`since`, once `now` is known."""
        return self.parameter("since", length, lambda _, now: since(length, now))

    def days_ago(self, days: float) -> BindParameter[datetime]:
        """`days_ago`, once `now` is known."""
        return self.parameter("days ago", days, lambda _, now: days_ago(days, now))

    def values(self, then: datetime, now: datetime) -> dict[str, datetime]:
        """What the parameters are, `then` being when somebody looked last."""
        return {parameter.key: reckon(then, now) for parameter, reckon in self._asked.values()}


def since(length: Duration, now: datetime) -> datetime:
    """The moment from which something lies within a length of time before `now`: counted by the calendar in UTC."""
    return add(now, Duration(-length.count, length.unit), UTC)


def days_ago(days: float, now: datetime) -> datetime:
    """So many days of 24 hours before; the beginning of all time for more than there have been."""
    try:
        return now - timedelta(days=days)
    except OverflowError:
        return datetime(1, 1, 1, tzinfo=UTC) if days > 0 else datetime(9999, 12, 31, tzinfo=UTC)
