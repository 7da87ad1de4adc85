"""Two records of one person become one with both histories, and two again, row for row."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journeys.broadcast import Broadcast
from records import events, tables
from records.messages import claims, outcomes, shards
from records.messages.claims import Claim, Settlement
from records.people import consents, customers, identities, merging, search, upserts
from records.people.contacts import Contact
from records.people.identities import UnknownCustomer
from records.people.merging import NotMerged
from records.people.timeline import timeline
from records.runs import enrolments, entries, holds, orders, standings
from records.tables import metadata, shown
from tests.patience import PATIENCE

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
HOUR = timedelta(hours=1)
ACCOUNTS = {"merges", "orders"}
"""What merging and undoing leave behind on purpose: who did it."""


async def person(db: AsyncConnection, name: str, **more: Any) -> int:
    contact = Contact(external_id=name, email=f"{name}@example.com", first_name=name, **more)
    return (await upserts.upsert(db, contact, now=NOW)).id


async def journeys(db: AsyncConnection, *names: str) -> None:
    for name in names:
        await db.execute(
            insert(tables.journeys).values(name=name, title=name, live_version=1, created_at=NOW)
        )  # fmt: skip
        await db.execute(
            insert(tables.journey_versions).values(
                journey=name, version=1, definition={}, source="", digest=name, published_at=NOW, published_by="test"
            )
        )


async def entered(db: AsyncConnection, who: int, journey: str, after: timedelta, **more: Any) -> int:
    run = await entries.enrol(
        db, customer_id=who, journey=journey, version=1, re_enter="always", source="test", now=NOW + after, **more
    )
    assert isinstance(run, enrolments.Enrolment)
    return run.id


async def everything(db: AsyncConnection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, but for the accounts of who did what."""
    return {
        table.name: sorted(
            (tuple(map(str, row)) for row in await db.execute(select(*shown(table)))),
        )
        for table in metadata.sorted_tables
        if table.name not in ACCOUNTS
    }


async def a_life(db: AsyncConnection, who: int, sign: str, *, start: timedelta = timedelta()) -> None:
    """A row of this customer in every table that knows customers; `sign` tells two lives apart."""
    run = await entered(db, who, "welcome", start, occasion="date/birthday/2026-03-01")
    await entered(db, who, f"only_{sign}", start)
    at = NOW + start
    stored = await events.store(db, customer_id=who, name="order.placed", occurred_at=at, received_at=at, key=sign)
    assert stored is not None
    broadcast = (await db.execute(select(tables.broadcasts.c.id))).scalar_one()
    rows: dict[str, dict[str, Any]] = {
        "touches": {"channel": "email", "message": "email/hello", "key": f"t-{sign}", "claimed_at": at,
                    "broadcast_id": broadcast, "status": "sent"},
        "score_entries": {"points": 7, "because": sign, "at": at},
        "changes": {"kind": "tag", "name": sign, "at": at},
        "tasks": {"queue": "sales", "title": sign, "created_at": at},
        "fits": {"at": at, "points": 3, "parts": {}},
        "goals": {"enrolment_id": run, "journey": "welcome", "version": 1, "at": at},
        "segment_members": {"segment": "all", "since": at},
        "customer_values": {"orders": 1, "revenue": Decimal(10), "first_order_at": at, "last_order_at": at,
                            "r": 1, "f": 2, "m": 3},
    }  # fmt: skip
    for name, row in rows.items():
        await db.execute(insert(metadata.tables[name]).values(customer_id=who, **row))
    await db.execute(insert(tables.segment_members).values(customer_id=who, segment=sign, since=at))
    await holds.hold(db, "customer", str(who), by="test", because=sign, now=at)


async def ground(db: AsyncConnection) -> None:
    await journeys(db, "welcome", "only_a", "only_b", "only_c", "only_d")
    for name in ("all", "a", "b", "c", "d"):
        await db.execute(insert(tables.segments).values(name=name, title=name, definition={}, digest=name))
    await db.execute(
        insert(tables.broadcasts).values(
            name="news", definition={}, created_at=NOW, created_by="test", starts_at=NOW
        )
    )  # fmt: skip


async def test_merging_hangs_every_row_on_the_one_who_is_kept_and_undoing_restores_each(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await ground(db)
        kept = await person(db, "a", tags=["x"], properties={"plan": "pro"}, consents={"email": True})
        gone = await person(db, "b", last_name="Li", tags=["y"], properties={"plan": "free", "size": 3})
        await a_life(db, gone, "b")
        await a_life(db, kept, "a", start=HOUR)
        before = await everything(db)

        number = await merging.merge(db, kept, gone, by="test", because="one person", now=LATER)
        tied = [table for table in metadata.sorted_tables if "customer_id" in table.c]
        left = {
            table.name: (
                await db.execute(select(func.count()).select_from(table).where(table.c.customer_id == gone))
            ).scalar_one()
            for table in tied
        }
        assert set(left.values()) == {0}
        person_ = await customers.get(db, kept)
        assert (person_.last_name, person_.tags, person_.properties) == ("Li", ["x", "y"], {"plan": "pro", "size": 3})
        runs = [
            (one.journey, one.entry, one.workflow.split("/")[2] == str(gone))
            for one in await enrolments.listing(db, customer_id=kept)
            if one.journey == "welcome"
        ]
        assert sorted(runs) == [("welcome", 1, True), ("welcome", 2, False)]
        assert len(await holds.listing(db)) == 1
        values = (await db.execute(select(tables.customer_values))).one()
        assert (values.orders, values.revenue, values.last_order_at) == (2, 20, NOW + HOUR)

        await merging.unmerge(db, number, by="test", now=LATER)
        assert await everything(db) == before


async def test_every_table_that_knows_customers_is_merged() -> None:
    """A new table with a customer has to say here, and in the code, what a merge does to it."""
    known = {"identities", "enrolments", "segment_members", "customer_values"}
    known |= {table.name for table, _, _ in merging.MOVED}
    pointing = {table.name for table in metadata.sorted_tables for key in table.foreign_keys
                if key.column is tables.customers.c.id}  # fmt: skip
    assert pointing == known


async def test_what_comes_after_the_merge_stays_with_the_one_who_was_kept(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        kept, gone = await person(db, "a"), await person(db, "b", last_name="Li")
        number = await merging.merge(db, kept, gone, by="test", because=None, now=LATER)
        await upserts.upsert(db, Contact(external_id="b", email="new@example.com"), now=LATER)
        await upserts.set_fields(db, kept, {"last_name": "Wu"}, because="married", now=LATER)
        await merging.unmerge(db, number, by="test", now=LATER)
        assert (await customers.find(db, "new@example.com")).id == kept
        assert (await customers.find(db, "b@example.com")).id == gone
        assert [(await customers.get(db, one)).last_name for one in (kept, gone)] == ["Wu", "Li"]


@pytest.mark.parametrize(("a", "b", "stands"), [
    (True, False, False), (False, True, False), (True, None, True), (None, False, False), (True, True, True),
])  # fmt: skip
async def test_of_two_consents_the_stricter_stands_whichever_came_later(
    engine: AsyncEngine, a: bool | None, b: bool | None, stands: bool
) -> None:
    async with engine.begin() as db:
        people = [await person(db, "a"), await person(db, "b")]
        for number, (who, said) in enumerate(zip(people, (a, b), strict=True)):
            if said is not None:
                await consents.record(db, who, "email", said, "form", NOW + number * HOUR)
        told = [await consents.history(db, who) for who in people]
        merge = await merging.merge(db, *people, by="test", because=None, now=LATER)
        assert await consents.granted(db, people[0], "email") is stands
        await merging.unmerge(db, merge, by="test", now=LATER)
        assert [await consents.history(db, who) for who in people] == told


async def test_of_two_runs_in_one_journey_the_newer_is_told_to_leave(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await journeys(db, "welcome")
        kept, gone = await person(db, "a"), await person(db, "b")
        newer = await entered(db, kept, "welcome", HOUR)
        older = await entered(db, gone, "welcome", timedelta())
        merge = await merging.merge(db, kept, gone, by="test", because=None, now=LATER)
        (order,) = await orders.pending(db, newer)
        assert (order.kind, order.args) == ("exit", {"outcome": "merged"})
        assert await orders.pending(db, older) == []
        await merging.unmerge(db, merge, by="test", now=LATER)
        (taken,) = await orders.of_run(db, newer)
        assert taken.refusal == "the merge was undone"


async def test_no_workflow_gets_the_name_of_an_earlier_one(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await journeys(db, "welcome")
        kept, b, c = await person(db, "a"), await person(db, "b"), await person(db, "c")
        await entered(db, kept, "welcome", HOUR)
        for who in (b, b, c):
            await entered(db, who, "welcome", timedelta())
        merge = await merging.merge(db, kept, b, by="test", because=None, now=LATER)
        await entered(db, kept, "welcome", 2 * HOUR)
        await merging.unmerge(db, merge, by="test", now=LATER)
        await merging.merge(db, kept, c, by="test", because=None, now=LATER)
        await entered(db, kept, "welcome", 3 * HOUR)
        names = [run.workflow for run in await enrolments.listing(db)]
        assert len(set(names)) == len(names) == 6


async def test_chains_lead_to_the_last_one_and_are_undone_from_their_end(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        a, b, c = [await person(db, name) for name in "abc"]
        before = await everything(db)
        first = await merging.merge(db, b, a, by="test", because=None, now=LATER)
        second = await merging.merge(db, c, b, by="test", because=None, now=LATER)
        assert {await identities.current(db, one) for one in (a, b, c)} == {c}
        assert {(await customers.find(db, f"id:{one}")).id for one in (a, b, c)} == {c}
        with pytest.raises(NotMerged) as early:
            await merging.unmerge(db, first, by="test", now=LATER)
        assert f"unmerge {second}" in (early.value.hint or "")
        for number in (second, first):
            await merging.unmerge(db, number, by="test", now=LATER)
        assert await everything(db) == before
        with pytest.raises(NotMerged, match="undone already"):
            await merging.unmerge(db, first, by="test", now=LATER)


async def test_circular_merges_are_refused_with_what_is_so_already(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        a, b, c = [await person(db, name) for name in "abc"]
        with pytest.raises(NotMerged, match="with itself"):
            await merging.merge(db, a, a, by="test", because=None, now=LATER)
        number = await merging.merge(db, a, b, by="test", because=None, now=LATER)
        for pair in ((b, a), (a, b)):
            with pytest.raises(NotMerged, match=f"Customer {b} was merged into customer {a}") as twice:
                await merging.merge(db, *pair, by="test", because=None, now=LATER)
            assert f"unmerge {number}" in (twice.value.hint or "")
        with pytest.raises(NotMerged) as elsewhere:
            await merging.merge(db, c, b, by="test", because=None, now=LATER)
        assert f"Name customer {a} instead" in (elsewhere.value.hint or "")
        with pytest.raises(UnknownCustomer):
            await merging.merge(db, a, 999, by="test", because=None, now=LATER)
        with pytest.raises(NotMerged, match="no merge 999"):
            await merging.unmerge(db, 999, by="test", now=LATER)


async def test_merges_into_one_customer_are_undone_in_any_order(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await ground(db)
        people = [await person(db, name, tags=[name]) for name in "abc"]
        for number, (who, sign) in enumerate(zip(people, "abc", strict=True)):
            await a_life(db, who, sign, start=number * HOUR)
        before = await everything(db)
        merges = [await merging.merge(db, people[0], one, by="test", because=None, now=LATER) for one in people[1:]]
        for number in merges:
            await merging.unmerge(db, number, by="test", now=LATER)
        after = await everything(db)
        # Runs keep the numbers of the time in between, none of which is there twice; values are made anew every day.
        renumbered = {name for name in before if before[name] != after[name]}
        assert renumbered <= {"enrolments", "customer_values"}


KEYS = st.tuples(
    st.sampled_from([None, "1", "2", "3", "4"]), st.sampled_from([None, "a", "b", "c", "d"]),
    st.sampled_from([None, "5", "6", "7", "8"]),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(KEYS.filter(any), min_size=1, max_size=12))
async def test_who_is_who_is_what_the_keys_connect(
    engine: AsyncEngine, contacts: list[tuple[str | None, str | None, str | None]]
) -> None:
    """Whatever comes in whichever order, two keys name one person exactly if contacts connect them."""
    people: list[set[tuple[str, str]]] = []
    async with engine.connect() as db:
        for external_id, mail, number in contacts:
            email, phone = mail and f"{mail}@example.com", number and f"+493012345{number}"
            contact = Contact(external_id=external_id, email=email, phone=phone)
            await upserts.upsert(db, contact, now=NOW)
            keys = {
                (kind, value)
                for kind, value in (("external_id", external_id), ("email", email), ("phone", phone))
                if value
            }
            joined = [one for one in people if one & keys]
            people = [one for one in people if not one & keys] + [keys.union(*joined)]
        found = await identities.owners(db, set().union(*people))
        named: dict[int, set[tuple[str, str]]] = {}
        for key, who in found.items():
            named.setdefault(who, set()).add(key)
        everybody = await search.list_page(db)
        await db.rollback()
    assert sorted(map(sorted, named.values())) == sorted(map(sorted, people))
    assert {one.id for one in everybody} == named.keys()
    for one in everybody:
        assert one.external_id is None or ("external_id", one.external_id) in named[one.id]
        assert (one.email is None) == (not any(kind == "email" for kind, _ in named[one.id]))


async def test_the_timeline_shows_both_histories_in_one_order_and_the_merge(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        kept, gone = await person(db, "a"), await person(db, "b", last_name="Li")
        for number, who in enumerate((gone, kept, gone)):
            at = NOW + number * HOUR
            await events.store(db, customer_id=who, name=f"page.seen{number}", occurred_at=at, received_at=at)
        merge = await merging.merge(db, kept, gone, by="mei", because="same phone", now=LATER)
        entries = await timeline(db, kept)
        assert [one.title for one in entries] == [
            "page.seen0", "page.seen1", "page.seen2", f"merged with b Li (customer {gone})"
        ]  # fmt: skip
        assert entries[-1].detail == {"merge": merge, "customer": gone, "by": "mei", "because": "same phone"}
        await merging.unmerge(db, merge, by="mei", now=LATER + HOUR)
        told = [one.title for one in await timeline(db, kept)]
        assert told == ["page.seen1", entries[-1].title, f"separated again from b Li (customer {gone})"]


async def test_a_turn_that_waited_for_the_merge_finds_the_run_with_its_new_customer(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await journeys(db, "welcome")
        kept, gone = await person(db, "a"), await person(db, "b")
        run = await entered(db, gone, "welcome", timedelta())

    async def turn() -> int:
        async with engine.begin() as db:
            return (await standings.lock(db, run)).enrolment.customer_id

    async with engine.begin() as db:
        await merging.merge(db, kept, gone, by="test", because=None, now=LATER)
        waiting = asyncio.create_task(turn())
        await until_somebody_waits(engine)
    assert await waiting == kept


SALE = Broadcast(broadcast="sale", title="Sale", segment="new", send="email/sale")


async def meant_for_two(db: AsyncConnection) -> tuple[int, int, int]:
    """A broadcast, and two customers who are to get it."""
    await ground(db)
    ada, bea = await person(db, "ada"), await person(db, "bea")
    return (await db.execute(select(tables.broadcasts.c.id))).scalar_one(), ada, bea


@pytest.mark.parametrize("known", [True, False])
async def test_a_message_of_a_broadcast_that_is_leaving_is_not_claimed_again_after_the_merge(
    engine: AsyncEngine, known: bool
) -> None:
    async with engine.begin() as db:
        broadcast, kept, gone = await meant_for_two(db)
        claim = Claim(gone, None, "email/sale", "wmb-1", "bea@acme.example", "claimed", None)
        assert await claims.claim(db, broadcast, SALE, [claim], NOW) == {gone}
        await merging.merge(db, kept, gone, by="ada", because="one person", now=NOW)
    async with engine.begin() as db:
        if known:
            await claims.settle(db, [Settlement("wmb-1", "sent")], NOW)
        # Workers die, and others take over what each had, behind the one who is kept.
        for shard in (0, 1):
            await shards.take_over(db, broadcast, shard, 2, 1)
        found = (await db.execute(select(tables.touches.c.status, tables.touches.c.customer_id))).all()
        again = Claim(kept, None, "email/sale", "wmb-2", "ada@acme.example", "claimed", None)
        assert await claims.claim(db, broadcast, SALE, [again], NOW) == set()
    assert found == [("sent" if known else "uncertain", kept)]


@pytest.mark.parametrize("refused_first", [True, False])
async def test_of_whom_one_was_refused_a_broadcast_that_the_other_got_none_gets_it_again(
    engine: AsyncEngine, refused_first: bool
) -> None:
    async with engine.begin() as db:
        broadcast, kept, gone = await meant_for_two(db)
        pair = [
            Claim(one, None, "email/sale", f"wmb-{one}", f"{one}@acme.example", "claimed", None) for one in (kept, gone)
        ]
        assert await claims.claim(db, broadcast, SALE, pair, NOW) == {kept, gone}
        refused = Settlement(f"wmb-{kept}", "failed", "554 5.7.1 spam", again=True)
        ends = [refused, Settlement(f"wmb-{gone}", "sent")]
        await claims.settle(db, ends if refused_first else ends[1:], NOW)
        done = await merging.merge(db, kept, gone, by="ada", because="one person", now=NOW)
        # What was leaving when they were merged is refused after that.
        await claims.settle(db, [refused], NOW)
        assert await outcomes.to_go_again(db, broadcast) == (0, None)
        assert await claims.send_again(db, broadcast, NOW) == 0
        assert await claims.claim(db, broadcast, SALE, pair[:1], NOW) == set()
        await merging.unmerge(db, done, by="ada", now=LATER)
        query = select(tables.touches.c.customer_id, tables.touches.c.status, tables.touches.c.broadcast_id)
        assert sorted(map(tuple, await db.execute(query))) == [(kept, "failed", broadcast), (gone, "sent", broadcast)]


async def test_a_merge_waits_for_what_is_being_written_and_takes_it_along(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        kept, gone = await person(db, "a"), await person(db, "b")

    async def merge() -> None:
        async with engine.begin() as db:
            await merging.merge(db, kept, gone, by="test", because=None, now=LATER)

    async with engine.begin() as db:
        stored = await events.store(db, customer_id=gone, name="order.placed", occurred_at=NOW, received_at=NOW)
        merged = asyncio.create_task(merge())
        await until_somebody_waits(engine)
    await merged
    assert stored is not None
    async with engine.connect() as db:
        assert (await timeline(db, kept))[0].detail["event"] == stored.id


async def test_two_who_merge_the_same_two_at_once_come_to_one_merge(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        a, b = await person(db, "a"), await person(db, "b")

    async def merge(kept: int, gone: int) -> int | str:
        try:
            async with engine.begin() as db:
                return await merging.merge(db, kept, gone, by="test", because=None, now=LATER)
        except NotMerged as error:
            return error.message

    done = await asyncio.gather(merge(a, b), merge(b, a), merge(a, b))
    assert [type(one) for one in done].count(int) == 1
    async with engine.connect() as db:
        assert len(await search.list_page(db)) == 1


async def until_somebody_waits(engine: AsyncEngine) -> None:
    async with engine.connect() as db, asyncio.timeout(PATIENCE):
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not (await db.execute(waiting)).scalar_one():
            await asyncio.sleep(0.01)


async def test_fields_of_whoever_was_changed_last_are_taken_when_asked_for(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        kept = await person(db, "a", last_name="Old", properties={"plan": "pro", "size": 1})
        gone = await person(db, "b", last_name="New", properties={"plan": "free"})
        await upserts.set_fields(db, gone, {"stage": "customer"}, because=None, now=LATER)
        before = await everything(db)
        number = await merging.merge(db, kept, gone, by="test", because=None, now=LATER, prefer_newer=True)
        one = await customers.get(db, kept)
        assert (one.first_name, one.last_name, one.stage) == ("b", "New", "customer")
        assert one.properties == {"plan": "free", "size": 1}
        await merging.unmerge(db, number, by="test", now=LATER)
        assert await everything(db) == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(pairs=[(2, 0), (3, 1), (2, 3)], prefer_newer=False)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5),
    prefer_newer=st.booleans(),
)
async def test_whatever_was_merged_is_restored_by_undoing_it_from_the_end(
    engine: AsyncEngine, pairs: list[tuple[int, int]], prefer_newer: bool
) -> None:
    """Merges in any order, chains among them; those that make a circle are refused and leave everything as it was."""
    async with engine.connect() as db:
        await ground(db)
        people = []
        for number, sign in enumerate("abcd"):
            more = {"tags": [sign], "properties": {sign: number, "plan": sign}, "consents": {"email": number % 2 == 0}}
            people.append(await person(db, sign, **more))
            await a_life(db, people[-1], sign, start=(3 - number) * HOUR)
        states, done = [await everything(db)], []
        for number, (kept, gone) in enumerate(pairs):
            try:
                merge = await merging.merge(
                    db, people[kept], people[gone], by="test", because=None, now=LATER + number * HOUR,
                    prefer_newer=prefer_newer,
                )  # fmt: skip
            except NotMerged:
                assert await everything(db) == states[-1]
            else:
                done.append(merge)
                states.append(await everything(db))
        for merge in reversed(done):
            states.pop()
            await merging.unmerge(db, merge, by="test", now=LATER)
            assert await everything(db) == states[-1]
        await db.rollback()


async def test_a_shared_number_is_found_through_a_merge_and_its_undoing(engine: AsyncEngine) -> None:
    number = "+4930901820"
    rules = identities.IdentityRules(shared={"phone": frozenset({number})})
    async with engine.begin() as db:
        kept = await person(db, "ada")
        other = Contact(external_id="bo", phone=number)
        gone = (await upserts.upsert(db, other, now=NOW, rules=rules)).id
        done = await merging.merge(db, kept, gone, by="test", because=None, now=NOW)
        assert (await customers.find(db, number)).id == kept
        await merging.unmerge(db, done, by="test", now=LATER)
        assert (await customers.find(db, number)).id == gone
        await upserts.set_fields(db, kept, {"phone": number}, because=None, now=LATER, rules=rules)
        assert [one.id for one in await search.list_page(db, search=number)] == sorted([kept, gone])
