"""What a condition means: SQL over `customers`, the same for one of them and for a whole segment.

Every compiled condition is true or false, never null, so that `not` means what it says: whoever has no country is not
in China. Fields are compared as their test asks (as text, number or day); a value that cannot be read that way
passes no test but `exists` and `is_not`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Table,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, array, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys import conditions as form
from journeys.timing import Duration
from records.moments import Moments, days_ago, since
from records.people.identities import UnknownCustomer
from records.tables import consents, customer_values, customers, events, segment_members, touches

NUMBER = r"^-?[0-9]{1,100}(\.[0-9]{1,100})?$"
"""The text of a number, short enough that no cast can fail."""
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""The beginning of an ISO 8601 day or time."""
_ELSEWHERE = (
    form.Consented, form.Happened, form.Touched, form.Opened, form.Clicked, form.InSegment, form.Worth,
)  # fmt: skip


class Of(Enum):
    """Of how many customers a condition is asked, which decides how its SQL is worded and never what it means."""

    FEW = "few"
    """What happened is looked up for each, in any case."""
    SOME = "some"
    """The server judges by the rest of the statement."""
    ALL = "all"
    """What happened is gone through once, for everybody."""


def compile_condition(
    condition: form.Condition, now: datetime | Moments, *, of: Of = Of.SOME, exact: bool = True
) -> ColumnElement[bool]:
    """The condition as an expression over a row of `customers`; `within` counts back from `now`, in UTC days, or from
    what `Moments` are told when the statement is carried out.

    It means the same `of` however many it is asked. Without `exact` it may be null where it is not met, which only
    WHERE takes for false: the server then goes by what it knows of the columns.
    """

    def inner(part: form.Condition, exact: bool = exact) -> ColumnElement[bool]:
        return compile_condition(part, now, of=of, exact=exact)

    def known(test: ColumnElement[Any]) -> ColumnElement[bool]:
        return _known(test) if exact else test

    match condition:
        case form.AllOf(all=parts):
            return and_(*map(inner, sorted(parts, key=needs_looking_up)))
        case form.AnyOf(any=parts):
            return or_(*map(inner, sorted(parts, key=needs_looking_up)))
        case form.Not(not_=part):
            return not_(inner(part, exact=True))
        case form.Score(score=wanted):
            return _range(cast(customers.c.score, Numeric), wanted.at_least, wanted.below)
        case form.Stage(stage=words):
            return customers.c.stage.in_(words)
        case form.Country(country=codes):
            return known(customers.c.country.in_(codes))
        case form.Locale(locale=locales):
            return known(or_(*(_speaks(locale) for locale in locales)))
        case form.Tagged(tag=words):
            any_of: ColumnElement[bool] = customers.c.tags.overlap(cast(array(words), ARRAY(Text)))
            return any_of
        case form.Consented(consent=channel):
            return _consented(channel) if of is Of.ALL else _consents(channel)
        case form.FieldIs(field=test):
            return _field(test)
        case form.Happened(event=test):
            return _happened(test, now, of)
        case form.Touched(touched=touch):
            sent = [touches.c.message == touch.message, touches.c.status == touch.status]
            recent = [touched_at() >= _since(touch.within, now)] if touch.within else []
            return _there(of, touches, *sent, *recent)
        case form.Opened(opened=message):
            return _there(of, events, *received("email.opened", message))
        case form.Clicked(clicked=message):
            return _there(of, events, *received("email.clicked", message))
        case form.InSegment(segment=names):
            return _there(of, segment_members, segment_members.c.segment.in_(names))
        case form.InLifecycle(lifecycle=words):
            return known(customers.c.lifecycle.in_(words))
        case form.Worth(value=worth):
            return _there(of, customer_values, *_worth(worth, now))


def needs_looking_up(condition: form.Condition) -> bool:
    """Whether the row of the customer does not answer it alone. What does comes first: it is answered sooner."""
    return any(isinstance(leaf, _ELSEWHERE) for leaf in form.leaves(condition))


def without_looking_up(condition: form.Condition) -> form.Condition | None:
    """What the rows of customers can say of it alone: whoever meets the condition meets this. None: anybody may."""
    match condition:
        case form.AllOf(all=parts):
            sure = [one for part in parts if (one := without_looking_up(part)) is not None]
            return form.AllOf(all=sure) if sure else None
        case form.AnyOf(any=parts):
            either = [without_looking_up(part) for part in parts]
            return None if None in either else form.AnyOf(any=[one for one in either if one is not None])
        case _:
            return None if needs_looking_up(condition) else condition


async def answers(
    db: AsyncConnection, customer_id: int, conditions: Sequence[form.Condition], now: datetime
) -> list[bool]:
    """Which of the conditions hold for one customer, in their order, by one query.

    Raises:
        UnknownCustomer: there is no such customer.
    """
    if not conditions:
        return []
    columns = [compile_condition(one, now).label(f"c{number}") for number, one in enumerate(conditions)]
    row = (await db.execute(select(*columns).where(customers.c.id == customer_id))).one_or_none()
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    return [bool(value) for value in row]


def _known(test: ColumnElement[Any]) -> ColumnElement[bool]:
    return func.coalesce(test, false())


def _range(value: ColumnElement[Any], at_least: float | None, below: float | None) -> ColumnElement[bool]:
    bounds = [value >= _exactly(at_least)] if at_least is not None else []
    return and_(*bounds, *([value < _exactly(below)] if below is not None else []))


def _worth(test: form.WorthTest, now: datetime | Moments) -> list[ColumnElement[bool]]:
    """The tests of a row of `customer_values`."""
    c, tests = customer_values.c, []
    for name, wanted in test.parts().items():
        if name == "days_since_order":
            tests += [c.last_order_at <= _days_ago(wanted.at_least, now)] if wanted.at_least is not None else []
            tests += [c.last_order_at > _days_ago(wanted.below, now)] if wanted.below is not None else []
        else:
            value = c.revenue - c.refunded if name == "lifetime_value" else cast(c[name], Numeric)
            tests.append(_range(value, wanted.at_least, wanted.below))
    return tests


def _since(length: Duration, now: datetime | Moments) -> datetime | ColumnElement[datetime]:
    return now.since(length) if isinstance(now, Moments) else since(length, now)


def _days_ago(days: float, now: datetime | Moments) -> datetime | ColumnElement[datetime]:
    return now.days_ago(days) if isinstance(now, Moments) else days_ago(days, now)


def _exactly(value: float) -> Decimal:
    """The number as it was written: 0.1 is at least 0.1."""
    return Decimal(str(value))


def _speaks(locale: str) -> ColumnElement[bool]:
    mine, wanted = func.lower(customers.c.locale), locale.lower().replace("_", "-")
    return or_(mine == wanted, mine.startswith(f"{wanted}-", autoescape=True))


def _consents(channel: str) -> ColumnElement[bool]:
    latest = (
        select(consents.c.granted)
        .where(consents.c.customer_id == customers.c.id, consents.c.channel == channel)
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
    )
    return _known(latest.correlate(customers).scalar_subquery())


def _consented(channel: str) -> ColumnElement[bool]:
    latest = (
        select(consents.c.customer_id, consents.c.granted)
        .where(consents.c.channel == channel)
        .ext(distinct_on(consents.c.customer_id))
        .order_by(consents.c.customer_id, consents.c.at.desc(), consents.c.id.desc())
        .subquery()
    )
    return exists().where(latest.c.customer_id == customers.c.id, latest.c.granted)


def _field(test: form.FieldTest) -> ColumnElement[bool]:
    if test.name in form.STANDARD_FIELDS:
        column = customers.c[test.name]
        return _passes(cast(column, Text), test, None if isinstance(column.type, Text) else cast(column, Numeric))
    value = customers.c.properties[test.name]
    return _passes(value.astext, test, _number_in(value))


def event_meets(tests: Mapping[str, form.PropertyTest]) -> list[ColumnElement[bool]]:
    """The tests of an event's properties as expressions over a row of `events`. `value` is the event's own value,
    where it has no property of that name.

    Raises:
        ValueError: a test is still tied to another event (`same_as`).
    """
    found = []
    for name, test in tests.items():
        if isinstance(test, form.TiedTest) and test.tie:
            raise ValueError(f"{name} is tied to {test.tie}")
        value = events.c.properties[name]
        words: ColumnElement[Any] = value.astext
        number = _number_in(value)
        if name == "value":
            number = case((words.is_(None), events.c.value), else_=number)
            words = func.coalesce(words, cast(events.c.value, Text))
        found.append(_passes(words, test, number))
    return found


def _number_in(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number that a property is, or spells. Most that are asked for are numbers: reading a text takes longer."""
    is_number = func.jsonb_typeof(value) == literal_column("'number'")
    return case((is_number, cast(value, Numeric)), else_=_number_of(value.astext))


def _number_of(words: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((words.regexp_match(NUMBER), cast(words, Numeric)))


def _passes(
    words: ColumnElement[Any], test: form.ValueTest, number: ColumnElement[Any] | None = None
) -> ColumnElement[bool]:
    """Whether a value, as text, passes a test. `number` is the one that it spells, where that is known better."""
    number = _number_of(words) if number is None else number
    day = case((words.regexp_match(DAY), func.left(words, 10)))
    tests: list[ColumnElement[bool]] = []
    if test.is_ is not None:
        tests.append(or_(*(_equals(words, number, day, value) for value in test.is_)))
    if test.is_not is not None:
        tests.append(not_(_known(or_(*(_equals(words, number, day, value) for value in test.is_not)))))
    if test.exists is not None:
        tests.append(words.is_not(None) if test.exists else words.is_(None))
    if test.at_least is not None or test.below is not None:
        tests.append(_range(number, test.at_least, test.below))
    if test.contains is not None:
        tests.append(func.strpos(func.lower(words), func.lower(test.contains)) > 0)
    if test.before is not None:
        tests.append(day < _day(test.before))
    if test.after is not None:
        tests.append(day > _day(test.after))
    return _known(and_(*tests))


def _equals(
    words: ColumnElement[Any], number: ColumnElement[Any], day: ColumnElement[Any], value: form.Scalar
) -> ColumnElement[bool]:
    match value:
        case bool():
            return func.lower(words) == str(value).lower()
        case int() | float():
            return number == _exactly(value)
        case datetime():
            return words.in_(_spellings(value))
        case date():
            return day == value.isoformat()
        case _:
            return words == value


def _spellings(moment: datetime) -> list[str]:
    """How a moment may stand in a property: with its own offset, in UTC, and in UTC with a Z."""
    own, utc = moment.isoformat(), moment.astimezone(UTC).isoformat()
    return [own, utc, utc.replace("+00:00", "Z")]


def _day(value: date) -> str:
    return value.isoformat()[:10]


def _happened(test: form.EventTest, now: datetime | Moments, of: Of) -> ColumnElement[bool]:
    counted = [events.c.name == test.name]
    if test.within:
        counted.append(events.c.occurred_at >= _since(test.within, now))
    counted += event_meets(test.with_)

    def often(count: int) -> ColumnElement[bool]:
        return _often(count, counted, of)

    least = test.at_least if test.at_least is not None else int(test.at_most is None)
    bounds = [often(least)] if least else []
    return and_(*bounds, *([not_(often(test.at_most + 1))] if test.at_most is not None else []))


def _often(count: int, counted: Sequence[ColumnElement[bool]], of: Of) -> ColumnElement[bool]:
    """Whether such events happened so often: looked up to the last that matters, or counted for everybody at once."""
    if of is not Of.ALL or count == 1:
        return _there(of, events, *counted, nth=count)
    rows = select(events.c.customer_id).where(*counted)
    if len(counted) == 1:
        # All of a name: an index has them customer by customer. The server, when it is free to, hashes them instead,
        # which takes twice as long.
        rows = rows.order_by(events.c.customer_id)
    each = rows.subquery()
    found = select(each.c.customer_id).group_by(each.c.customer_id).having(func.count() >= count).subquery()
    return exists().where(found.c.customer_id == customers.c.id)


def _there(of: Of, table: Table, *tests: ColumnElement[bool], nth: int = 1) -> ColumnElement[bool]:
    """Whether a customer has such a row, or so many."""
    rows = select(literal(1)).select_from(table).where(table.c.customer_id == customers.c.id, *tests)
    # The server would rather read all such rows once than look up a few thousand. An offset keeps it from that.
    if of is Of.FEW or nth > 1:
        rows = rows.offset(literal_column(str(nth - 1)))
    return rows.correlate(customers).exists()


def received(event: str, message: str) -> list[ColumnElement[bool]]:
    """The tests of an event that says what became of a message."""
    return [events.c.name == event, events.c.properties.contains({"message": message})]


def touched_at() -> ColumnElement[datetime]:
    """When a message was sent, or is being sent."""
    return func.coalesce(touches.c.settled_at, touches.c.claimed_at)
