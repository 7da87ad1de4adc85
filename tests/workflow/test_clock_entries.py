"""Who comes in on a day of its own, and who when a map is published: once each, whatever is cut off or done again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entering import backfilling, herds
from activities.entering import clock as entering
from activities.entering.qualifying import count
from activities.publishing import publish
from journeys.loading import parse
from records import clocks, events
from records.runs import occasions, versions
from records.runs.enrolments import Enrolment
from tests.workflow.stage import Stage

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
BEFORE = datetime(2027, 2, 20, 12, tzinfo=UTC)

BIRTHDAY = """
journey: birthday
title: Birthday
enter: {date: customer.birthday, every: year, at: "09:00"}
re_enter: always
steps:
  - wait: 400d
"""


async def publish_at(stage: Stage, text: str, now: datetime = BEFORE) -> None:
    async with stage.engine.begin() as db:
        await publish(db, [parse(text)], now=now, by="test")


async def person(stage: Stage, name: str, zone: str = "Asia/Shanghai", **properties: Any) -> int:
    return await stage.customer(name, external_id=name, time_zone=zone, properties=properties)


async def entries(stage: Stage, customer: int) -> list[tuple[str, str | None]]:
    return [(f"{run.enrolled_at:%Y-%m-%dT%H:%M}", run.occasion) for run in await stage.runs(customer)]


async def look(stage: Stage, *moments: datetime) -> list[int]:
    return [await stage.parts.entering.enter_dates(moment) for moment in moments]


async def test_a_contact_comes_in_on_its_day_by_the_clock_where_it_lives(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY)
    ann = await person(stage, "ann", birthday="1990-03-01")
    bob = await person(stage, "bob", "America/New_York", birthday="1990-03-01")
    nine_in_shanghai = datetime(2027, 3, 1, 1, tzinfo=UTC)
    assert await look(stage, nine_in_shanghai - MINUTE, nine_in_shanghai, nine_in_shanghai + MINUTE) == [0, 1, 0]
    assert await entries(stage, ann) == [("2027-03-01T01:00", "date/birthday/2027-03-01")]
    assert await entries(stage, bob) == []
    assert await look(stage, datetime(2027, 3, 1, 14, 30, tzinfo=UTC)) == [1]
    assert await entries(stage, bob) == [("2027-03-01T14:00", "date/birthday/2027-03-01")]


async def test_a_birthday_of_29_february_is_kept_on_the_28th_in_other_years(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY)
    ann = await person(stage, "ann", birthday="1992-02-29")
    await look(stage, datetime(2027, 3, 2, tzinfo=UTC), datetime(2028, 2, 28, 12, tzinfo=UTC))
    assert [at for at, _ in await entries(stage, ann)] == ["2027-02-28T01:00"]
    await look(stage, datetime(2028, 3, 1, tzinfo=UTC))
    assert [at for at, _ in await entries(stage, ann)] == ["2027-02-28T01:00", "2028-02-29T01:00"]


async def test_after_an_outage_those_days_are_made_up_for_that_nobody_looked_at(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY)
    people = [await person(stage, f"c{day}", birthday=f"1990-03-0{day}") for day in (1, 2, 3)]
    await look(stage, BEFORE + MINUTE)
    assert await look(stage, datetime(2027, 3, 3, 12, tzinfo=UTC)) == [3]
    assert [(await entries(stage, one))[0][0][:10] for one in people] == ["2027-03-01", "2027-03-02", "2027-03-03"]


async def test_days_before_the_publication_are_gone(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY, datetime(2027, 3, 1, 2, tzinfo=UTC))
    ann = await person(stage, "ann", birthday="1990-03-01")
    assert await look(stage, datetime(2027, 3, 1, 3, tzinfo=UTC)) == [0]
    assert await entries(stage, ann) == []


async def test_days_while_a_journey_is_archived_are_not_made_up_for(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY)
    ann = await person(stage, "ann", birthday="1990-03-01")
    async with stage.engine.begin() as db:
        await versions.archive(db, "birthday")
    assert await look(stage, datetime(2027, 3, 5, tzinfo=UTC)) == [0]
    await publish_at(stage, BIRTHDAY, datetime(2027, 3, 6, tzinfo=UTC))
    assert await look(stage, datetime(2027, 3, 6, 1, tzinfo=UTC)) == [0]
    assert await entries(stage, ann) == []


async def test_a_look_that_was_cut_off_is_done_again_and_lets_nobody_in_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (herds, entering):
        monkeypatch.setattr(module, "PAGE", 2)
    await publish_at(stage, BIRTHDAY)
    people = [await person(stage, f"c{n}", birthday="1990-03-01") for n in range(5)]
    now = datetime(2027, 3, 1, 1, tzinfo=UTC)
    await look(stage, now - MINUTE)

    async def cut_off(db: AsyncConnection, *args: Any, after: int, **others: Any) -> list[occasions.Candidate]:
        if after:
            raise RuntimeError("the machine died")
        return await whole(db, *args, after=after, **others)

    whole = occasions.dated
    monkeypatch.setattr(occasions, "dated", cut_off)
    with pytest.raises(Exception, match="RuntimeError"):
        await look(stage, now)
    assert [len(await stage.runs(one)) for one in people] == [1, 1, 0, 0, 0]
    monkeypatch.setattr(occasions, "dated", whole)
    await look(stage, now + MINUTE)
    assert [len(await stage.runs(one)) for one in people] == [1, 1, 1, 1, 1]


async def test_a_journey_that_fails_keeps_no_other_waiting_and_loses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_at(stage, BIRTHDAY)
    await publish_at(stage, BIRTHDAY.replace("birthday", "renewal_day").replace("customer.renewal_day", "customer.due"))
    ann = await person(stage, "ann", birthday="1990-03-01", due="2000-03-01")
    now = datetime(2027, 3, 1, 1, tzinfo=UTC)
    await look(stage, now - MINUTE)
    whole = occasions.dated

    async def fails(db: AsyncConnection, field: str, *args: Any, **others: Any) -> list[occasions.Candidate]:
        if field == "birthday":
            raise RuntimeError("no")
        return await whole(db, field, *args, **others)

    monkeypatch.setattr(occasions, "dated", fails)
    with pytest.raises(Exception, match="RuntimeError"):
        await look(stage, now)
    assert [run.journey for run in await stage.runs(ann)] == ["renewal_day"]
    async with stage.engine.connect() as db:
        assert await clocks.read(db, "dates/") == {"birthday": now - MINUTE, "renewal_day": now}
    monkeypatch.setattr(occasions, "dated", whole)
    assert await look(stage, now + MINUTE) == [1]


async def test_the_condition_of_a_day_is_asked_at_its_moment(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY.replace('"09:00"}', '"09:00", where: {field: {name: plan, is: home}}}'))
    ann, bob = await person(stage, "ann", birthday="1990-03-01", plan="home"), await person(
        stage, "bob", birthday="1990-03-01"
    )  # fmt: skip
    await look(stage, datetime(2027, 3, 1, 2, tzinfo=UTC))
    assert (len(await stage.runs(ann)), len(await stage.runs(bob))) == (1, 0)


async def test_a_herd_of_one_moment_begins_spread_over_the_span_that_the_map_states(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY.replace('"09:00"}', '"09:00", spread: 2h}'))
    people = [await person(stage, f"c{n}", birthday="1990-03-01") for n in range(12)]
    await look(stage, datetime(2027, 3, 1, 1, tzinfo=UTC))
    runs = [run for one in people for run in await stage.runs(one)]
    begins = [run.begins_at - run.enrolled_at for run in runs]
    assert len(set(begins)) == 12
    assert min(begins) >= timedelta()
    assert max(begins) < timedelta(hours=2)
    assert max(begins) - min(begins) > timedelta(minutes=30)


async def test_no_customer_is_read_when_clocks_nowhere_strike_the_hour(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_at(stage, BIRTHDAY)
    now = datetime(2027, 3, 1, 1, 7, tzinfo=UTC)
    await look(stage, now)
    monkeypatch.delattr(occasions, "dated")
    assert await look(stage, now + MINUTE) == [0]


async def test_a_value_that_is_no_day_lets_nobody_in_and_stops_nobody(stage: Stage) -> None:
    await publish_at(stage, BIRTHDAY)
    for name, value in {"a": "1990-02-31", "b": "soon", "c": 7, "d": "9999-12-31", "e": ""}.items():
        await person(stage, name, birthday=value)
    ann = await person(stage, "ann", birthday="1990-03-01T23:30:00-08:00")  # it was 2 March in Shanghai
    assert await look(stage, datetime(2027, 3, 5, tzinfo=UTC)) == [1]
    assert await entries(stage, ann) == [("2027-03-02T01:00", "date/birthday/2027-03-02")]


BOTH = """
journey: both
title: Both
enter:
  - {date: customer.birthday, every: year, at: "09:00"}
  - {schedule: "0 1 1 3 *", time_zone: UTC, where: {field: {name: plan, is: home}}}
re_enter: always
steps:
  - wait: 400d
"""


async def test_the_next_moment_of_a_customer_holds_all_ways_in_that_come_at_once(stage: Stage) -> None:
    await publish_at(stage, BOTH)
    ann = await person(stage, "ann", birthday="1990-03-01", plan="home")
    program, customer = parse(BOTH).program, await stage.person(ann)
    moments = stage.parts.entering.next_due(program, customer, BEFORE)
    assert [one.occasion for one in moments] == ["date/birthday/2027-03-01", "schedule/2027-03-01T01:00:00Z"]
    for _ in range(2):
        entered = [await stage.parts.entering.enter_at(ann, "both", one) for one in moments]
        assert all(isinstance(one, Enrolment) for one in entered)
    assert len(await stage.runs(ann)) == 2
    bob = await person(stage, "bob", birthday="1990-07-01")
    [other] = stage.parts.entering.next_due(program, await stage.person(bob), BEFORE)
    assert await stage.parts.entering.enter_at(bob, "both", other) is None


QUALIFY = """
journey: qualify
title: Qualify
enter:
  - {on: order.placed, with: {amount: {at_least: 50}}, where: {field: {name: plan, is: home}}}
  - {segment: vips}
  - {date: customer.birthday}
re_enter: never
steps:
  - wait: 400d
"""


async def bought(stage: Stage, customer: int, amount: int, at: datetime) -> int:
    async with stage.engine.begin() as db:
        stored = await events.store(
            db, customer_id=customer, name="order.placed", occurred_at=at, received_at=at, properties={"amount": amount}
        )
    assert stored is not None
    return stored.id


async def test_those_who_qualify_already_are_counted_and_taken_in_once_a_version(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herds, "PAGE", 2)
    monkeypatch.setattr(backfilling, "PAGE", 2)
    await publish_at(stage, QUALIFY)
    people = {name: await person(stage, name, plan="home") for name in ("ann", "bob", "cid", "dee", "eve", "fay")}
    await bought(stage, people["ann"], 50, BEFORE - 2 * DAY)
    latest = await bought(stage, people["ann"], 70, BEFORE - DAY)
    await bought(stage, people["bob"], 49, BEFORE - DAY)
    await bought(stage, people["cid"], 90, BEFORE - 31 * DAY)
    for name in ("dee", "eve", "fay"):
        await bought(stage, people[name], 90, BEFORE - DAY)
    backfill, program = stage.parts.backfill, parse(QUALIFY).program
    async with stage.engine.connect() as db:
        assert await count(db, program, BEFORE, BEFORE - 30 * DAY) == 4
        assert await count(db, program, BEFORE, BEFORE - 40 * DAY) == 5
        assert await count(db, parse(BIRTHDAY).program, BEFORE, BEFORE - DAY) == 0
    heard: list[int] = []
    assert await backfill.take_in("qualify", BEFORE, BEFORE - 30 * DAY, progress=heard.append) == 4
    assert heard == sorted(heard)
    assert await backfill.take_in("qualify", BEFORE + DAY, BEFORE - 29 * DAY) == 0
    [run] = await stage.runs(people["ann"])
    assert (run.source, run.occasion, run.event_id, run.enrolled_at) == ("backfill", "backfill/v1", latest, BEFORE)
    async with stage.engine.connect() as db:
        assert await count(db, program, BEFORE + DAY, BEFORE - 29 * DAY) == 0
