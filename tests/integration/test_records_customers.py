"""Customers are found by any of their names, never mixed up, and every change keeps its reason."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.errors import WaymarkError
from journeys.identities import parse_identity
from records import events, tables
from records.people import consents, customers, identities, search, suppressions, tags, upserts
from records.people.contacts import Contact
from records.people.identities import UnknownCustomer
from records.people.naming import full_name, full_name_of
from records.people.upserts import ConflictingIdentity

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


async def test_a_contact_is_created_then_completed_then_unchanged(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        made = await upserts.upsert(db, Contact(email=" Ada@Example.com ", tags=["vip", " "]), now=NOW)
        more = Contact(email="ada@example.com", first_name="Ada", properties={"plan": "pro", "blank": " "})
        completed = await upserts.upsert(db, more, now=LATER)
        again = await upserts.upsert(db, more, now=LATER)
        ada = await customers.get(db, made.id)
    assert [made.outcome, completed.outcome, again.outcome] == ["created", "updated", "unchanged"]
    assert {made.id, completed.id, again.id} == {ada.id}
    assert (ada.email, ada.name, ada.tags, ada.properties) == ("ada@example.com", "Ada", ["vip"], {"plan": "pro"})
    assert (ada.created_at, ada.updated_at) == (NOW, LATER)


async def test_a_contact_without_any_identifier_is_refused(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        with pytest.raises(WaymarkError, match="nothing to know it by"):
            await upserts.upsert(db, Contact(email=" ", first_name="Nobody"), now=NOW)


async def test_a_contact_that_names_two_customers_shows_that_they_are_one(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        first = (await upserts.upsert(db, Contact(external_id="A"), now=NOW)).id
        await upserts.upsert(db, Contact(email="b@example.com", first_name="Bea"), now=NOW)
        done = await upserts.upsert(db, Contact(external_id="A", email="b@example.com", stage="vip"), now=NOW)
        assert (done.id, done.outcome) == (first, "merged")
        assert [(one.id, one.name, one.stage) for one in await search.list_page(db)] == [(first, "Bea", "vip")]


async def test_a_new_address_is_a_further_name_and_the_first_is_written_to(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        made = await upserts.upsert(db, Contact(external_id="A", email="old@example.com"), now=NOW)
        more = Contact(external_id="A", email="new@example.com")
        outcomes = [(await upserts.upsert(db, more, now=LATER)).outcome for _ in range(2)]
        found = [await customers.find(db, one) for one in ("new@example.com", "old@example.com")]
        assert [(one.id, one.email) for one in found] == [(made.id, "old@example.com")] * 2
        assert outcomes == ["updated", "unchanged"]
        names = [(one.kind, one.value) for one in await identities.of(db, made.id)]
    assert names == [("external_id", "A"), ("email", "old@example.com"), ("email", "new@example.com")]


async def test_a_contact_may_say_where_to_write_to_from_now_on(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await upserts.upsert(db, Contact(external_id="A", email="old@example.com"), now=NOW)
        moved = Contact(external_id="A", email="new@example.com")
        outcomes = [(await upserts.upsert(db, moved, now=LATER, replace=True)).outcome for _ in range(2)]
        assert outcomes == ["updated", "unchanged"]
        assert (await customers.find(db, "old@example.com")).email == "new@example.com"


async def test_a_replaced_address_stays_a_name_and_a_cleared_one_is_free(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(external_id="A", email="old@example.com"), now=NOW)).id
        await upserts.set_fields(db, ada, {"email": "new@example.com"}, because="moved", now=LATER)
        assert (await customers.find(db, "old@example.com")).email == "new@example.com"
        await upserts.set_fields(db, ada, {"email": None}, because="left", now=LATER)
        other = await upserts.upsert(db, Contact(email="new@example.com"), now=LATER)
        assert (other.outcome, other.id != ada) == ("created", True)


SHARED = parse_identity("shared: {phone: ['+49 30 901820'], email: [Info@Acme.example]}")


async def test_a_shared_key_stands_on_many_customers_and_joins_none(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for name in ("a", "b"):
            contact = Contact(email=f"{name}@example.com", phone="+4930901820")
            assert (await upserts.upsert(db, contact, now=NOW, rules=SHARED)).outcome == "created"
        assert [one.phone for one in await search.list_page(db)] == ["+4930901820"] * 2
        with pytest.raises(UnknownCustomer, match="several customers"):
            await customers.find(db, "+49 30 901820")


async def test_whoever_is_known_by_a_shared_key_only_is_written_once(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        people = [Contact(email="info@acme.example", first_name=name) for name in ("Ann", "Bob", "Ann")]
        done = [await upserts.upsert(db, one, now=NOW, rules=SHARED) for one in people]
    assert [one.outcome for one in done] == ["created", "created", "unchanged"]
    assert done[0].id == done[2].id


async def test_a_kind_that_does_not_join_is_no_name(engine: AsyncEngine) -> None:
    rules = parse_identity("join_by: [email]")
    async with engine.begin() as db:
        for name in ("a", "b"):
            contact = Contact(email=f"{name}@example.com", phone="+4930123456")
            assert (await upserts.upsert(db, contact, now=NOW, rules=rules)).outcome == "created"


async def test_the_same_contact_written_by_many_at_once_becomes_one_customer(engine: AsyncEngine) -> None:
    async def write() -> upserts.Upserted:
        async with engine.begin() as db:
            return await upserts.upsert(db, Contact(email="ada@example.com"), now=NOW)

    written = await asyncio.gather(*(write() for _ in range(8)))
    assert len({one.id for one in written}) == 1
    assert [one.outcome for one in written].count("created") == 1


async def test_contacts_with_crossing_keys_written_at_once_become_one_person(engine: AsyncEngine) -> None:
    pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c"), ("b", "d")]

    async def write(external_id: str, address: str) -> None:
        # What crosses is broken off by the database at times: then the whole transaction is written again.
        for attempt in range(20):
            try:
                async with engine.begin() as db:
                    contact = Contact(external_id=external_id, email=f"{address}@example.com")
                    await upserts.upsert(db, contact, now=NOW)
                    twin = Contact(external_id=address, email=f"{address}@example.com")
                    await upserts.upsert(db, twin, now=NOW)
            except OperationalError:
                assert attempt < 19
            else:
                return

    await asyncio.gather(*(write(*pair) for pair in pairs))
    async with engine.connect() as db:
        (person,) = await search.list_page(db)
        names = {(one.kind, one.value) for one in await identities.of(db, person.id)}
    mails = {("email", f"{one}@example.com") for one in "abcd"}
    assert names == mails | {("external_id", one) for one in "abcd"}


async def test_a_list_does_not_undo_a_withdrawn_consent_unless_the_person_asked_again(engine: AsyncEngine) -> None:
    contact = Contact(email="ada@example.com", consents={"email": True})
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, contact, now=NOW)).id
        assert await consents.granted(db, ada, "email")
        await consents.record(db, ada, "email", granted=False, source="unsubscribe link", at=LATER)

        imported = await upserts.upsert(db, contact, now=LATER)
        assert (imported.outcome, imported.still_withdrawn) == ("unchanged", ("email",))
        assert not await consents.granted(db, ada, "email")

        asked = await upserts.upsert(db, contact, now=LATER, source="sign-up form", regrant=True)
        assert asked.outcome == "updated"
        assert await consents.granted(db, ada, "email")
        assert [entry.granted for entry in await consents.history(db, ada)] == [True, False, True]


async def test_no_entry_is_no_consent(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="ada@example.com"), now=NOW)).id
        assert not await consents.granted(db, ada, "sms")


async def test_consents_are_never_changed_and_go_only_with_their_customer(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await upserts.upsert(db, Contact(email="ada@example.com", consents={"email": True}), now=NOW)
    for forbidden in ("UPDATE consents SET granted = false", "DELETE FROM consents"):
        with pytest.raises(IntegrityError, match="never changed"):
            async with engine.begin() as db:
                await db.execute(text(forbidden))
    async with engine.begin() as db:
        await db.execute(text("DELETE FROM customers"))
        assert (await db.execute(text("SELECT count(*) FROM consents"))).scalar() == 0


@pytest.mark.parametrize(
    "reference", ["{id}", "A-7", "Ada@Example.com ", "+44 (20) 7946-0000", "email:ada@example.com"]
)
async def test_a_customer_is_found_by_every_name(engine: AsyncEngine, reference: str) -> None:
    async with engine.begin() as db:
        contact = Contact(external_id="A-7", email="ada@example.com", phone="+442079460000")
        ada = (await upserts.upsert(db, contact, now=NOW)).id
        assert (await customers.find(db, reference.format(id=ada))).id == ada


@pytest.mark.parametrize("reference", ["", "nobody@example.com", "99999999999999999999", "id:x", "²"])
async def test_an_unknown_reference_is_an_error_with_a_hint(engine: AsyncEngine, reference: str) -> None:
    async with engine.begin() as db:
        with pytest.raises(UnknownCustomer) as unknown:
            await customers.find(db, reference)
    assert unknown.value.hint


async def test_a_number_that_means_two_customers_must_say_which(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        first = (await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)).id
        second = (await upserts.upsert(db, Contact(external_id=str(first)), now=NOW)).id
        with pytest.raises(UnknownCustomer, match="and another name") as unclear:
            await customers.find(db, str(first))
        assert f"id:{first}" in (unclear.value.hint or "")
        assert (await customers.find(db, f"id:{first}")).id == first
        assert (await customers.find(db, f"external_id:{first}")).id == second


async def test_pages_follow_one_another_and_search_takes_signs_as_they_are(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for n in range(5):
            await upserts.upsert(db, Contact(email=f"p{n}@example.com", first_name="100%", last_name="Li"), now=NOW)
        first = await search.list_page(db, limit=3)
        second = await search.list_page(db, after=first[-1].id, limit=3)
        assert [one.email for one in first + second] == [f"p{n}@example.com" for n in range(5)]
        assert len(await search.list_page(db, search="100% l")) == 5
        assert [one.email for one in await search.list_page(db, search="P3@")] == ["p3@example.com"]
        assert await search.list_page(db, search="_") == []


async def test_a_changed_field_keeps_what_it_was_and_why(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="a@example.com", properties={"seats": 3}), now=NOW)).id
        wanted = {"stage": "nurturing", "seats": Decimal(5), "since": NOW.date(), "country": "gb"}
        changed = await upserts.set_fields(db, ada, wanted, because="asked", now=LATER)
        assert await upserts.set_fields(db, ada, wanted, because="asked", now=LATER) == []
        cleared = await upserts.set_fields(db, ada, {"seats": None, "country": None}, because=None, now=LATER)
        customer = await customers.get(db, ada)
        kept = (await db.execute(select(tables.changes).order_by(tables.changes.c.id))).all()
    assert sorted(changed) == ["country", "seats", "since", "stage"]
    assert sorted(cleared) == ["country", "seats"]
    assert (customer.stage, customer.country, customer.properties) == ("nurturing", None, {"since": "2026-03-01"})
    assert {(one.kind, one.name, one.old, one.new) for one in kept if one.because == "asked"} == {
        ("stage", "stage", "new", "nurturing"),
        ("property", "country", None, "GB"),
        ("property", "seats", "3", "5"),
        ("property", "since", None, "2026-03-01"),
    }


@pytest.mark.parametrize("values", [{"score": 5}, {"stage": " "}, {"tags": []}, {"id": 9}])
async def test_what_is_not_a_plain_field_is_not_set(engine: AsyncEngine, values: dict[str, object]) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)).id
        with pytest.raises(WaymarkError):
            await upserts.set_fields(db, ada, values, because=None, now=NOW)


async def test_an_identifier_of_somebody_else_is_not_taken(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)
        other = (await upserts.upsert(db, Contact(email="b@example.com"), now=NOW)).id
    with pytest.raises(ConflictingIdentity):
        async with engine.begin() as db:
            await upserts.set_fields(db, other, {"email": "A@example.com"}, because=None, now=NOW)


async def test_a_tag_is_added_once_and_taken_away_once(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)).id
        assert await tags.tag(db, ada, "vip", because="large order", now=NOW)
        assert not await tags.tag(db, ada, "vip", because="large order", now=NOW)
        assert (await customers.get(db, ada)).tags == ["vip"]
        assert await tags.untag(db, ada, "vip", because=None, now=NOW)
        assert not await tags.untag(db, ada, "vip", because=None, now=NOW)
        kept = (await db.execute(select(tables.changes.c.kind, tables.changes.c.because))).all()
    assert [tuple(row) for row in kept] == [("tag", "large order"), ("untag", None)]


async def test_an_event_with_a_known_key_is_stored_once(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)).id

    async def store(key: str | None) -> events.StoredEvent | None:
        async with engine.begin() as db:
            return await events.store(
                db, customer_id=ada, name="order.placed", occurred_at=NOW, received_at=NOW, key=key, value=9.9
            )

    keyed = await asyncio.gather(*(store("order-1") for _ in range(6)))
    stored = [one for one in keyed if one is not None]
    assert [one.value for one in stored] == [Decimal("9.9")]
    assert all([await store(None), await store(None)])


async def test_events_wait_until_they_are_routed(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = (await upserts.upsert(db, Contact(email="a@example.com"), now=NOW)).id
        for minute in range(3):
            at = NOW + timedelta(minutes=minute)
            await events.store(db, customer_id=ada, name="page.seen", occurred_at=at, received_at=at)
        waiting = await events.unrouted(db, limit=10, older_than=NOW + timedelta(minutes=1))
        assert [one.received_at.minute for one in waiting] == [0, 1]
        await events.mark_routed(db, [one.id for one in waiting], NOW)
        assert len(await events.unrouted(db, limit=10, older_than=LATER)) == 1


async def test_a_complaint_replaces_a_milder_reason_and_nothing_replaces_it(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        assert await suppressions.add(db, "email", "A@Example.com", "bounced", source="smtp", at=NOW)
        assert not await suppressions.add(db, "email", "a@example.com", "manual", source="console", at=LATER)
        assert await suppressions.add(db, "email", "a@example.com", "complained", source="callback", at=LATER)
        assert not await suppressions.add(db, "email", "a@example.com", "bounced", source="smtp", at=LATER)
        found = await suppressions.find(db, "email", " a@EXAMPLE.com")
        assert found is not None
        assert (found.reason, found.at) == ("complained", LATER)
        assert await suppressions.find(db, "sms", "a@example.com") is None
        assert await suppressions.list_all(db) == [found]
        assert await suppressions.remove(db, "email", "a@example.com")
        assert not await suppressions.remove(db, "email", "a@example.com")


async def test_a_time_without_a_zone_is_refused(engine: AsyncEngine) -> None:
    naive = NOW.replace(tzinfo=None)
    async with engine.begin() as db:
        with pytest.raises(StatementError, match="without a zone"):
            await upserts.upsert(db, Contact(email="a@example.com"), now=naive)
        with pytest.raises(ValueError, match="without a zone"):
            await upserts.upsert(db, Contact(email="a@example.com", properties={"seen": naive}), now=NOW)


async def test_a_full_name_is_written_as_its_owner_writes_it_by_the_records_as_elsewhere(engine: AsyncEngine) -> None:
    named = {
        ("文博", "朱"): "朱文博", ("민수", "김"): "김민수", ("Ann", "Lee"): "Ann Lee", ("小明", "Wong"): "小明 Wong",
        ("ガ", "田"): "ガ 田", ("Ann", None): "Ann", (None, "王"): "王", (None, None): None,
    }  # fmt: skip
    async with engine.begin() as db:
        for number, (first, last) in enumerate(named):
            contact = Contact(external_id=f"n{number}", first_name=first, last_name=last)
            await upserts.upsert(db, contact, now=NOW)
        columns = tables.customers.c
        written = full_name_of(columns.first_name, columns.last_name)
        found = {(one.first_name, one.last_name): one.written for one in
                 await db.execute(select(columns.first_name, columns.last_name, written.label("written")))}  # fmt: skip
    assert found == named
    assert {pair: full_name(*pair) or None for pair in named} == named
