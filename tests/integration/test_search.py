"""People are found by the beginnings of what they are called, from indexes alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from records.database import create_engine
from records.messages import ledger
from records.people import customers, search, upserts
from records.people.contacts import Contact
from records.people.search import matching
from records.people.timeline import timeline
from workers.server.postgres import EmbeddedPostgres

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
MANY = 50_000
PEOPLE = [
    Contact(external_id="C-17", email="anna.mueller@example.com", phone="+4915112345678", first_name="Anna Maria",
            last_name="von Müller-Lüdenscheid"),
    Contact(external_id="C-18", email="li@example.cn", phone="+8613812345678", first_name="小明", last_name="王"),
    Contact(email="o.neil@example.ie", first_name="Sinéad", last_name="O'Neil"),
    Contact(phone="+393331234567", first_name="Anna", last_name="Bianchi"),
    Contact(phone="+14155550123", first_name="Bob & Co."),
]  # fmt: skip


@pytest.fixture(scope="module")
async def town(postgres: EmbeddedPostgres, migrated: str) -> AsyncIterator[tuple[AsyncEngine, list[int]]]:
    """A database with these people in it, and their numbers."""
    async with to_read(postgres, migrated, "town") as engine:
        async with engine.begin() as db:
            ids = [(await upserts.upsert(db, one, now=NOW)).id for one in PEOPLE]
        yield engine, ids


@asynccontextmanager
async def to_read(postgres: EmbeddedPostgres, migrated: str, name: str) -> AsyncIterator[AsyncEngine]:
    """A database that several tests ask and none changes."""
    engine = create_engine(postgres.create_database(name, template=migrated))
    yield engine
    await engine.dispose()
    postgres.drop_database(name)


@pytest.mark.parametrize(("sought", "found"), [
    ("anna", "03"), ("Maria", "0"), ("mül", "0"), ("LÜDEN", "0"), ("anna b", "3"), ("bianchi anna", "3"),
    ("muller", "0"), ("luden", "0"), ("sinead", "2"), ("mu\u0308ller", "0"), ("mûller", "0"),
    ("小明", "1"), ("王", "1"), ("o'n", "2"), ("neil", "2"), ("sinéad", "2"), ("co.", "4"), ("  Anna  ", "03"),
    ("anna.m", "0"), ("ANNA.MUELLER@EXAMPLE.COM", "0"), ("o.neil@", "2"), ("@", ""), ("example", ""),
    ("c-17", "0"), ("C-1", "01"), ("17", ""),
    ("0151 1234", "0"), ("+49 151 123", "0"), ("0049 (151) 12345678", "0"), ("4915112345678", "0"),
    ("15112345678", "0"), ("138 1234", "1"), ("333 123", "3"), ("415-555-0123", "4"), ("(415) 555", ""), ("151", ""),
    ("nobody", ""), ("%", ""), ("_", ""), ("'", ""), ("' & !x:*", ""), ("\\", ""), ("anna & !bianchi", "3"),
    ("anna\0", "03"), ("a" * 5000, ""), ("x" + " b" * 300, ""),
])  # fmt: skip
async def test_whom_a_text_finds(town: tuple[AsyncEngine, list[int]], sought: str, found: str) -> None:
    engine, ids = town
    async with engine.connect() as db:
        page = await search.list_page(db, search=sought)
    assert [ids.index(one.id) for one in page] == [int(one) for one in found]


async def test_accents_make_no_difference_in_either(engine: AsyncEngine) -> None:
    names = ["Ødegård", "Łódź", "Weiß", "Nguyễn", "ガンダム", "김민수", "Žižek", "Muller"]
    sought = ["odegard", "lodz", "weiss", "nguyen", "ガン", "김민", "zizek", "Müll"]
    async with engine.begin() as db:
        ids = [
            (await upserts.upsert(db, Contact(email=f"p{n}@example.com", last_name=name), now=NOW)).id
            for n, name in enumerate(names)
        ]
        found = [[one.id for one in await search.list_page(db, search=word)] for word in (*sought, *names)]
    assert found == [[one] for one in ids] * 2


async def test_pages_of_what_was_found_follow_one_another(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for n in range(7):
            await upserts.upsert(db, Contact(email=f"p{n}@example.com", first_name="Ann"), now=NOW)
        pages, after = [], 0
        while page := await search.list_page(db, search="ann", after=after, limit=3):
            after = page[-1].id
            pages.append([one.email for one in page])
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len({address for page in pages for address in page}) == 7


@pytest.fixture(scope="module")
async def filled(postgres: EmbeddedPostgres, migrated: str) -> AsyncIterator[AsyncEngine]:
    """A table large enough for the planner to choose as it would for a million."""
    async with to_read(postgres, migrated, "filled") as engine:
        async with engine.begin() as db:
            await db.execute(text(
                "INSERT INTO customers (external_id, email, phone, first_name, last_name, created_at, updated_at) "
                "SELECT 'c-' || n, 'p' || n || '@example.com', '+49151' || (10000000 + n), md5(n::text), "
                "md5((n * 7)::text), now(), now() FROM generate_series(1, :many) n"), {"many": MANY})  # fmt: skip
            await db.execute(text(
                "INSERT INTO identities (kind, value, customer_id, since) SELECT k.kind, k.value, c.id, now() "
                "FROM customers c, LATERAL (VALUES ('external_id', c.external_id), ('email', c.email), "
                "('phone', c.phone)) AS k(kind, value)"))  # fmt: skip
            first = text("SELECT min(id) FROM customers")
            who = (await db.execute(first)).scalar_one()
            await db.execute(text(
                "INSERT INTO events (customer_id, name, occurred_at, received_at) SELECT id, 'page.seen', now(), now() "
                "FROM customers"))  # fmt: skip
            await db.execute(text(
                "INSERT INTO events (customer_id, name, occurred_at, received_at) "
                "SELECT :who, 'page.seen', timestamptz '2026-01-01' + n * interval '1 minute', now() "
                "FROM generate_series(1, 5000) n"), {"who": who})  # fmt: skip
            await db.execute(text("INSERT INTO touches (customer_id, channel, message, key, claimed_at) "
                                  "SELECT id, 'email', 'email/x', 'k' || id, now() FROM customers"))  # fmt: skip
        async with engine.connect() as db:
            await (await db.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
        yield engine


async def test_no_question_about_a_person_reads_a_whole_table(filled: AsyncEngine) -> None:
    big = ("customers", "identities", "events", "touches")
    async with filled.connect() as db:
        who = (await customers.find(db, "c-1")).id
        before = {name: await _scans(db, name) for name in big}
        sought = [f"c-{MANY}", "p17@example.com", "0151 10000017", "+49 151 10000018", "abc", "no such name", "id:5"]
        for one in sought[:-1]:
            await search.list_page(db, search=one)
        for one in ("c-77", f"id:{who}", "p5@example.com", "+49 151 10000044"):
            await customers.find(db, one)
        entries = await timeline(db, who, limit=100)
        await ledger.recipient(db, who, "email")
        after = {name: await _scans(db, name) for name in big}
    assert len(entries) == 100
    assert after == before


async def _scans(db: AsyncConnection, table: str) -> int:
    """How often a table was read from its beginning to its end in this transaction."""
    scans = text("SELECT pg_stat_get_xact_numscans(CAST(:table AS regclass))")
    return int((await db.execute(scans, {"table": table})).scalar_one())


async def test_the_search_takes_the_first_it_finds(filled: AsyncEngine) -> None:
    async with filled.connect() as db:
        page = await search.list_page(db, search="c-", limit=5, after=3)
        ids = (await db.execute(select(matching("c-", after=3, limit=5)))).scalars().all()
    assert [one.id for one in page] == list(ids)
    assert len(ids) == 5


async def test_a_search_is_planned_for_what_is_sought_however_often_it_was_asked(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for number in range(20):
            await search.list_page(db, search=f"{number:02}ab")
        prepared = text("SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements "
                        "WHERE statement LIKE '%sought%'")  # fmt: skip
        custom, generic = (await db.execute(prepared)).one()
    assert (int(generic), custom >= 10) == (0, True)
