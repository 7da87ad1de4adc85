"""A condition compiled to SQL means what a plain reading of it in Python means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys import conditions as form
from journeys.saying import say
from records import tables
from records.conditions import Of, answers, compile_condition, without_looking_up
from records.database import _dumps, address
from records.people import upserts
from records.people.contacts import Contact
from records.people.identities import UnknownCustomer
from workers.server.postgres import EmbeddedPostgres

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
CONDITION: TypeAdapter[form.Condition] = TypeAdapter(form.Condition)

SAME_MOMENT = ("2026-02-10T08:00:00+00:00", "2026-02-10T08:00:00Z")

# What customers have, and what conditions ask for, come from the same few words so that they often meet.
WORDS = st.sampled_from(["pro", "Pro", "PRO plan", "5", "5.0", "-3", "0.1", "1e3", "true", "2026-02-10", "10%", "_",
                         *SAME_MOMENT, "2026-13-45", "é", "5\n"])  # fmt: skip
NUMBERS = st.one_of(st.integers(-5, 5), st.integers(-50, 50).map(lambda n: n / 10))
VALUES = st.one_of(WORDS, NUMBERS, st.booleans())
OUTCOMES = st.sampled_from(["won", "lost", 1, True])
LOCALES = st.sampled_from(["zh", "zh-CN", "en-GB", "EN", "en", "zh_CN", "z", "zhx"])
MESSAGES = st.sampled_from(["email/welcome", "email/offer"])
EVENTS = st.sampled_from(["order.placed", "email.opened", "email.clicked"])
AGES = st.sampled_from([0, 1, 29, 30, 31, 400]).map(lambda days: timedelta(days=days))
LENGTHS = st.sampled_from(["1d", "30d", "1w", "24h"])
SEGMENTS = st.sampled_from(["at_risk", "vip"])
MONEY = st.sampled_from(["0", "0.10", "49.90", "50"]).map(Decimal)
DAYS = st.sampled_from(["2026-02-09", "2026-02-10", "2026-02-11"]).map(date.fromisoformat)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.lists(strategy, min_size=1, max_size=3)


CUSTOMERS = st.fixed_dictionaries({
    "first_name": maybe(WORDS.map(str.strip)), "country": maybe(st.sampled_from(["CN", "SG", "GB"])),
    "locale": maybe(LOCALES), "stage": st.sampled_from(["new", "nurturing"]), "score": st.integers(0, 100),
    "tags": st.lists(st.sampled_from(["vip", "trial", "press"]), max_size=2, unique=True),
    "properties": st.fixed_dictionaries({}, optional={"plan": WORDS, "seats": VALUES}),
    "consents": st.lists(st.tuples(st.sampled_from(["email", "sms"]), st.booleans(), AGES), max_size=4),
    "events": st.lists(st.tuples(EVENTS, AGES, st.fixed_dictionaries({}, optional={
        "message": MESSAGES, "outcome": OUTCOMES, "größe": VALUES, "value": VALUES}),
        maybe(st.sampled_from([Decimal("0.10"), Decimal(5), Decimal("-1.5")]))), max_size=6),
    "segments": st.lists(SEGMENTS, max_size=2, unique=True),
    "lifecycle": maybe(st.sampled_from(["nurture", "at_risk"])),
    "worth": maybe(st.fixed_dictionaries({
        "orders": st.integers(1, 3), "revenue": MONEY, "refunded": MONEY, "days_since_order": st.integers(0, 40),
        "r": st.integers(1, 5), "f": st.integers(1, 5), "m": st.integers(1, 5)})),
    "touches": st.lists(st.tuples(MESSAGES, st.sampled_from(["sent", "skipped", "claimed"]), AGES, maybe(AGES)),
                        max_size=3),
})  # fmt: skip

TESTS: dict[str, st.SearchStrategy[Any]] = {
    "is": some(VALUES | DAYS), "is_not": some(VALUES | DAYS), "exists": st.booleans(), "at_least": NUMBERS,
    "below": NUMBERS, "contains": st.sampled_from(["pro", "P", "5", "%", "_"]), "before": DAYS, "after": DAYS,
}  # fmt: skip


def possible(test: dict[str, Any]) -> bool:
    """Whether anything can pass it: what nothing can is refused in a map."""
    empty = {"at_least", "below"} <= test.keys() and test["at_least"] >= test["below"]
    gone = {"after", "before"} <= test.keys() and test["before"] - test["after"] <= timedelta(days=1)
    return bool(test) and not empty and not gone


def countable(test: Any) -> bool:
    """Whether anything can happen so often."""
    return bool(test.get("at_least", 0) <= test.get("at_most", 9))


FIELDS = st.sampled_from(["plan", "seats", "first_name", "score"])
FIELD_TESTS = st.one_of(
    *(st.fixed_dictionaries({"name": FIELDS, part: value}) for part, value in TESTS.items()),
    st.fixed_dictionaries({}, optional=TESTS)
    .filter(possible)
    .flatmap(lambda test: FIELDS.map(lambda name: {"name": name, **test})),
)

AMOUNTS = (0, 0.1, 1, 2, 3, 30, 49.9, 50)


def ranges(bounds: tuple[float, ...]) -> st.SearchStrategy[dict[str, float]]:
    """Ranges with one bound or both."""
    halves = [{part: bound} for part in ("at_least", "below") for bound in bounds if (part, bound) != ("below", 0)]
    both = [{"at_least": low, "below": high} for low, high in pairwise(bounds)]
    return st.sampled_from([*halves, *both])


WORTH = st.one_of(
    *(st.fixed_dictionaries({name: ranges(bounds)}, optional={"orders": ranges(AMOUNTS)}) for name, bounds in
      (("revenue", AMOUNTS), ("lifetime_value", (-1, *AMOUNTS)), ("days_since_order", AMOUNTS))),
    *(st.fixed_dictionaries({name: ranges((2, 3, 4, 5))}) for name in "rfm"),
)  # fmt: skip

PROPERTY_TESTS = st.one_of(
    some(VALUES),
    *(st.fixed_dictionaries({part: value}) for part, value in TESTS.items()),
    st.fixed_dictionaries({}, optional=TESTS).filter(possible),
)
SCORES = st.integers(0, 100)
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "score": st.one_of(
        st.fixed_dictionaries({"at_least": st.integers(0, 50), "below": st.integers(51, 100)}),
        SCORES.map(lambda bound: {"at_least": bound}),
        SCORES.map(lambda bound: {"below": bound}),
    ),
    "stage": some(st.sampled_from(["new", "nurturing"])),
    "country": some(st.sampled_from(["CN", "SG", "US"])),
    "locale": some(LOCALES),
    "tag": some(st.sampled_from(["vip", "trial"])),
    "consent": st.sampled_from(["email", "sms"]),
    "field": FIELD_TESTS,
    "event": st.fixed_dictionaries(
        {"name": EVENTS},
        optional={"at_least": st.integers(1, 3), "at_most": st.integers(0, 3), "within": LENGTHS,
                  "with": st.dictionaries(st.sampled_from(["outcome", "größe", "value", "message"]), PROPERTY_TESTS,
                                          max_size=2)},
    ).filter(countable),
    "segment": some(SEGMENTS),
    "lifecycle": some(st.sampled_from(["nurture", "at_risk", "churned"])),
    "value": WORTH,
    "touched": st.fixed_dictionaries(
        {"message": MESSAGES}, optional={"status": st.sampled_from(["sent", "skipped"]), "within": LENGTHS}
    ),
    "opened": MESSAGES,
    "clicked": MESSAGES,
}  # fmt: skip


def leaf(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return LEAVES[kind].map(lambda test: {kind: test})


KINDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {kind: leaf(kind) for kind in LEAVES}
KINDS["together"] = st.recursive(
    st.one_of(*KINDS.values()),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)


def holds(condition: form.Condition, who: dict[str, Any]) -> bool:
    """The plain reading."""
    match condition:
        case form.AllOf(all=parts):
            return all(holds(part, who) for part in parts)
        case form.AnyOf(any=parts):
            return any(holds(part, who) for part in parts)
        case form.Not(not_=part):
            return not holds(part, who)
        case form.Score(score=wanted):
            return (wanted.at_least is None or who["score"] >= wanted.at_least) and (
                wanted.below is None or who["score"] < wanted.below
            )
        case form.Stage(stage=words):
            return who["stage"] in words
        case form.Country(country=words):
            return who["country"] in words
        case form.Locale(locale=words):
            mine = (who["locale"] or "").lower()
            return any(f"{mine}-".startswith(word.lower().replace("_", "-") + "-") for word in words)
        case form.Tagged(tag=words):
            return bool({*who["tags"]} & {*words})
        case form.Consented(consent=channel):
            said = [(-age, n, granted) for n, (name, granted, age) in enumerate(who["consents"]) if name == channel]
            return max(said)[2] if said else False
        case form.FieldIs(field=test):
            own = who if test.name in form.STANDARD_FIELDS else who["properties"]
            return passes(test, own.get(test.name))
        case form.Happened(event=test):
            count = sum(
                name == test.name
                and young(age, test.within)
                and all(passes(one, {"value": value, **properties}.get(part)) for part, one in test.with_.items())
                for name, age, properties, value in who["events"]
            )
            least = 1 if test.at_least is None and test.at_most is None else test.at_least or 0
            return least <= count and (test.at_most is None or count <= test.at_most)
        case form.Touched(touched=wish):
            return any(
                message == wish.message
                and status == wish.status
                and young(claimed if settled is None else settled, wish.within)
                for message, status, claimed, settled in who["touches"]
            )
        case form.Opened(opened=message):
            return receipt(who, "email.opened", message)
        case form.Clicked(clicked=message):
            return receipt(who, "email.clicked", message)
        case form.InSegment(segment=names):
            return bool({*names} & {*who["segments"]})
        case form.InLifecycle(lifecycle=words):
            return who["lifecycle"] in words
        case form.Worth(value=worth):
            if (mine := who["worth"]) is None:
                return False
            figures = {**mine, "lifetime_value": mine["revenue"] - mine["refunded"]}
            return all(
                (wanted.at_least is None or figures[name] >= Decimal(str(wanted.at_least)))
                and (wanted.below is None or figures[name] < Decimal(str(wanted.below)))
                for name, wanted in worth.parts().items()
            )


def young(age: timedelta, within: Any) -> bool:
    lengths = {"1d": 24, "30d": 720, "1w": 168, "24h": 24}
    return within is None or age <= timedelta(hours=lengths[str(within)])


def receipt(who: dict[str, Any], event: str, message: str) -> bool:
    return any(name == event and props.get("message") == message for name, _, props, _ in who["events"])


def passes(test: form.ValueTest, value: Any) -> bool:
    words = value if value is None or isinstance(value, str) else json.dumps(value, default=str).strip('"')
    number = Decimal(words) if words is not None and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", words) else None
    day = words[:10] if words is not None and re.match(r"\d{4}-\d{2}-\d{2}", words) else None

    def equals(wanted: Any) -> bool:
        match wanted:
            case bool():
                return (words or "").lower() == str(wanted).lower()
            case int() | float():
                return number == Decimal(str(wanted))
            case datetime():
                return words is not None and len(words) > 10 and words in SAME_MOMENT
            case date():
                return day == wanted.isoformat()
        return bool(words == wanted)

    return all((
        test.is_ is None or any(equals(one) for one in test.is_),
        test.is_not is None or not any(equals(one) for one in test.is_not),
        test.exists is None or (words is not None) is test.exists,
        test.at_least is None or (number is not None and number >= Decimal(str(test.at_least))),
        test.below is None or (number is not None and number < Decimal(str(test.below))),
        test.contains is None or test.contains.lower() in (words or "").lower(),
        test.before is None or (day is not None and day < test.before.isoformat()),
        test.after is None or (day is not None and day > test.after.isoformat()),
    ))  # fmt: skip


@pytest.fixture(scope="module")
def shared_engine(postgres: EmbeddedPostgres, migrated: str) -> Iterator[Engine]:
    url = postgres.create_database("conditions", template=migrated)
    engine = create_engine(address(url), json_serializer=_dumps)
    with engine.begin() as db:
        rows: list[dict[str, Any]] = [
            {"name": name, "title": name, "definition": {}, "digest": ""} for name in ("at_risk", "vip")
        ]
        db.execute(insert(tables.segments), rows)
    yield engine
    engine.dispose()
    postgres.drop_database("conditions")


FIELDS_STORED = ("first_name", "country", "locale", "stage", "score", "tags", "properties", "lifecycle")


def store(db: Connection, who: dict[str, Any], number: int) -> int:
    plain = {name: who[name] for name in FIELDS_STORED}
    plain["locale"] = plain["locale"] and plain["locale"].replace("_", "-")
    row = plain | {"external_id": f"c{number}", "created_at": NOW, "updated_at": NOW}
    me = int(db.execute(insert(tables.customers).values(row).returning(tables.customers.c.id)).scalar_one())
    for channel, granted, age in who["consents"]:
        entry = {"customer_id": me, "channel": channel, "granted": granted, "source": "form", "at": NOW - age}
        db.execute(insert(tables.consents).values(entry))
    for name, age, properties, value in who["events"]:
        event = {"customer_id": me, "name": name, "occurred_at": NOW - age, "received_at": NOW, "value": value}
        db.execute(insert(tables.events).values(event | {"properties": properties}))
    for name in who["segments"]:
        db.execute(insert(tables.segment_members).values(customer_id=me, segment=name, since=NOW))
    if (worth := who["worth"]) is not None:
        last = NOW - timedelta(days=worth["days_since_order"])
        kept = {name: value for name, value in worth.items() if name != "days_since_order"}
        orders = {"first_order_at": last, "last_order_at": last}
        db.execute(insert(tables.customer_values).values(customer_id=me, **kept, **orders))
    for turn, (message, status, claimed, settled) in enumerate(who["touches"]):
        touch = {"customer_id": me, "channel": "email", "message": message, "status": status}
        times = {"claimed_at": NOW - claimed, "settled_at": None if settled is None else NOW - settled}
        db.execute(insert(tables.touches).values(touch | times | {"key": f"{me}-{turn}"}))
    return me


@pytest.mark.parametrize("kind", KINDS)
# The message names the one condition and customer; shrinking the other fifteen would take minutes.
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate])
@given(data=st.data())
def test_sql_and_a_plain_reading_agree(shared_engine: Engine, kind: str, data: st.DataObject) -> None:
    whos = data.draw(st.lists(CUSTOMERS, min_size=4, max_size=4))
    wanted = [CONDITION.validate_python(one) for one in data.draw(st.lists(KINDS[kind], min_size=8, max_size=16))]
    wording = data.draw(st.sampled_from(Of))
    compiled = [compile_condition(one, NOW, of=wording) for one in wanted]
    loosely = [compile_condition(one, NOW, of=wording, exact=False) for one in wanted[:4]]
    with shared_engine.connect() as db:
        ids = {store(db, who, number): who for number, who in enumerate(whos)}
        together = select(tables.customers.c.id, *(one.label(f"c{n}") for n, one in enumerate(compiled)))
        answered = {row[0]: list(row[1:]) for row in db.execute(together)}
        segments = [set(db.execute(select(tables.customers.c.id).where(one)).scalars()) for one in loosely]
        db.rollback()
    wrong: list[str] = []
    for me, who in ids.items():
        stored = {**who, "locale": who["locale"] and who["locale"].replace("_", "-")}
        for number, condition in enumerate(wanted):
            answer = answered[me][number]
            if answer is not holds(condition, stored) or (number < 4 and (me in segments[number]) is not answer):
                wrong.append(f"{say(condition)}: SQL says {answer} about {stored}")
    assert not wrong, wrong[0]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whoever_meets_a_condition_meets_what_the_rows_of_customers_say_of_it(data: st.DataObject) -> None:
    condition = CONDITION.validate_python(data.draw(KINDS["together"]))
    sure = without_looking_up(condition)
    if sure is not None:
        who = data.draw(CUSTOMERS)
        assert holds(sure, who) or not holds(condition, who)
        assert "SELECT" not in str(compile_condition(sure, NOW))


async def test_all_conditions_about_one_customer_are_answered_at_once(engine: AsyncEngine) -> None:
    wanted = [CONDITION.validate_python(one) for one in ({"country": "CN"}, {"not": {"country": "CN"}}, {"tag": "vip"})]
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="ada@example.com", tags=["vip"]), now=NOW)).id
        assert await answers(db, ada, wanted, NOW) == [False, True, True]
        assert await answers(db, ada, [], NOW) == []
        with pytest.raises(UnknownCustomer):
            await answers(db, 404, wanted, NOW)


def test_months_count_back_by_the_calendar() -> None:
    condition = CONDITION.validate_python({"event": {"name": "order.placed", "within": "1mo"}})
    compiled = compile_condition(condition, datetime(2026, 3, 31, tzinfo=UTC)).compile()
    assert datetime(2026, 2, 28, tzinfo=UTC) in compiled.params.values()


@pytest.mark.parametrize(
    ("value", "test", "passes"),
    [
        ("5.0", {"is": 5}, True),
        (5, {"is": 5.0}, True),
        (5, {"is": "5"}, True),
        (0.1, {"at_least": 0.1}, True),
        (0.1, {"below": 0.1}, False),
        ("five", {"below": 9}, False),
        ("five", {"is_not": 5}, True),
        (None, {"is_not": 5}, True),
        (None, {"is": "None"}, False),
        (None, {"exists": False}, True),
        (True, {"is": True}, True),
        ("True", {"is": True}, True),
        (1, {"is": True}, False),
        ("PRO plan", {"contains": "pro"}, True),
        ("pro", {"contains": "PRO"}, True),
        ("100%", {"contains": "0%"}, True),
        ("1000", {"contains": "0%"}, False),
        ("2026-02-10", {"before": "2026-02-10"}, False),
        ("2026-02-09T23:59:00Z", {"before": "2026-02-10"}, True),
        ("2026-02-10", {"after": "2026-02-10"}, False),
        ("2026-02-11", {"after": "2026-02-10"}, True),
        ("soon", {"after": "2026-02-10"}, False),
        ("2026-02-10T08:00:00Z", {"is": "2026-02-10"}, True),
    ],
)
async def test_a_field_is_read_as_its_test_asks(
    engine: AsyncEngine, value: object, test: dict[str, object], passes: bool
) -> None:
    condition = CONDITION.validate_python({"field": {"name": "plan", **test}})
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="ada@example.com", properties={"plan": value}), now=NOW)).id
        assert await answers(db, ada, [condition], NOW) == [passes]
