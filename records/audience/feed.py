"""Who could have come to meet a condition, or ceased to, since it was last asked: from indexes, not from everybody.

Two things change an answer. Somebody wrote: rows carry the transaction that wrote them last, and those of all that had
not ended when the last answer was given are looked at, so a transaction that took long is not missed. And time passed:
what lay within a length of time then and does not now is found by when it happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from journeys import conditions as form
from journeys.definition import ENTERED, LEFT
from journeys.timing import Duration
from records.conditions import event_meets, received, touched_at
from records.moments import Moments, days_ago, since
from records.tables import Transaction, consents, customer_values, customers, events, touches


@dataclass(frozen=True, slots=True)
class Mark:
    """How far somebody has looked: at all that was written before the transaction `seen` of the server `server`, as of
    the moment `at` (UTC)."""

    seen: int
    server: int
    at: datetime

    def reaches(self, present: Mark) -> bool:
        """Whether what came between can be told. Where a dump was restored, the numbers of transactions that came with
        it mean nothing."""
        return self.server == present.server and self.seen <= present.seen


SEEN = cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text)
"""Every transaction before this one has ended and is seen by this statement and those after it."""
_SEEN = bindparam("seen_before", type_=Text())
SERVER = literal_column("(pg_control_system()).system_identifier", BigInteger)


def changed(condition: form.Condition, moments: Moments) -> CompoundSelect[Any]:
    """The customers whose answer may be another now than at a mark, some of them several times; and which way it may
    have changed, so that most need not be asked: whether they may have `come`, and whether they may have `gone`. A
    statement to be carried out with `since_mark`, at the moments of it and of now."""
    # Who is new may meet what asks for nothing; who was merged or parted has other rows than before.
    everybody = select(customers.c.id.label("customer_id"), *EITHER_WAY).where(_written(customers))
    return union_all(everybody, *_written_since(condition, moments), *_past_bounds(condition, moments))


def since_mark(mark: Mark) -> dict[str, Any]:
    """The parameter of `changed` that says how far somebody has looked."""
    return {_SEEN.key: str(mark.seen)}


def _written_since(condition: form.Condition, moments: Moments) -> Iterator[Select[Any]]:
    """Whose rows changed that the condition asks for."""
    asked: dict[str, list[tuple[form.EventTest, bool]]] = {}
    for leaf, wanted in _signed(condition):
        match leaf:
            case form.Consented(consent=channel):
                yield _of(consents, consents.c.channel == channel, _written(consents))
            case form.Happened(event=test):
                asked.setdefault(test.name, []).append((test, wanted))
            case form.Touched(touched=touch):
                yield _of(touches, touches.c.message == touch.message, _written(touches))
            case form.Opened(opened=message):
                more = received("email.opened", message)
                yield _of(events, *more, _written(events), comes=wanted, goes=not wanted)
            case form.Clicked(clicked=message):
                more = received("email.clicked", message)
                yield _of(events, *more, _written(events), comes=wanted, goes=not wanted)
            case form.InSegment(segment=names):
                which = events.c.properties["segment"].astext.in_(names)
                yield _of(events, events.c.name.in_((ENTERED, LEFT)), which, _written(events))
            case form.Worth():
                yield _of(customer_values, _written(customer_values))
    for name, tests in asked.items():
        counts = or_(*(_counts(test, moments) for test, _ in tests))
        comes, goes = (any(_may_change(test, wanted, into) for test, wanted in tests) for into in (True, False))
        yield _of(events, events.c.name == name, counts, _written(events), comes=comes, goes=goes)


def _signed(condition: form.Condition, wanted: bool = True) -> Iterator[tuple[form.Condition, bool]]:
    """The tests that a condition is made of, and whether it helps or hurts that one holds."""
    match condition:
        case form.AllOf(all=parts) | form.AnyOf(any=parts):
            for part in parts:
                yield from _signed(part, wanted)
        case form.Not(not_=part):
            yield from _signed(part, not wanted)
        case _:
            yield condition, wanted


def _may_change(test: form.EventTest, wanted: bool, into: bool) -> bool:
    """Whether one event more may change a test so that somebody comes (`into`) or goes. Events are only ever added:
    where they become another customer's, its row is written too."""
    holds = wanted == into
    return (test.at_least is not None or test.at_most is None) if holds else test.at_most is not None


def _counts(test: form.EventTest, moments: Moments) -> ColumnElement[bool]:
    """Whether an event counts for a test, now or then."""
    young = [events.c.occurred_at >= _bounds(test.within, moments)[0]] if test.within is not None else []
    return and_(true(), *event_meets(test.with_), *young)


def _past_bounds(condition: form.Condition, moments: Moments) -> Iterator[Select[Any]]:
    """Whose moments lie within a length of time at one of the two and not at the other."""
    for leaf in form.leaves(condition):
        match leaf:
            case form.Happened(event=test) if test.within is not None:
                first, last = _bounds(test.within, moments)
                passed = (events.c.occurred_at >= first, events.c.occurred_at < last)
                yield _of(events, events.c.name == test.name, *event_meets(test.with_), *passed)
            case form.Touched(touched=touch) if touch.within is not None:
                first, last = _bounds(touch.within, moments)
                sent = (touches.c.message == touch.message, touches.c.status == touch.status)
                yield _of(touches, *sent, touched_at() >= first, touched_at() < last)
            case form.Worth(value=worth):
                for days in _ages(worth):
                    first, last = _days(days, moments)
                    at = customer_values.c.last_order_at
                    yield _of(customer_values, at >= first, at <= last)


def _of(table: Table, *tests: ColumnElement[bool], comes: bool = True, goes: bool = True) -> Select[Any]:
    return select(table.c.customer_id, *_ways(comes, goes)).where(*tests)


def _ways(comes: bool, goes: bool) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return literal_column(str(comes), Boolean).label("comes"), literal_column(str(goes), Boolean).label("goes")


EITHER_WAY = _ways(True, True)
"""The columns of somebody who may have come, and may have gone."""


def _written(table: Table) -> ColumnElement[bool]:
    return table.c.written >= cast(_SEEN, Transaction())


def _bounds(length: Duration, moments: Moments) -> tuple[ColumnElement[datetime], ColumnElement[datetime]]:
    """Where a length of time began then and begins now, the earlier first. Clocks of several workers differ; and a
    month before 30 March, 00:01, is earlier than a month before 29 March, 23:59: both are 28 February."""
    return (
        moments.parameter("first", length, lambda then, now: min(since(length, then), since(length, now))),
        moments.parameter("last", length, lambda then, now: max(since(length, then), since(length, now))),
    )


def _days(days: float, moments: Moments) -> tuple[ColumnElement[datetime], ColumnElement[datetime]]:
    return (
        moments.parameter("first day", days, lambda then, now: days_ago(days, min(then, now))),
        moments.parameter("last day", days, lambda then, now: days_ago(days, max(then, now))),
    )


def _ages(worth: form.WorthTest) -> list[float]:
    asked = worth.days_since_order
    return [days for days in (asked.at_least, asked.below) if days is not None] if asked is not None else []
