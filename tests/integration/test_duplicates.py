"""Possible duplicates among all customers: found wherever they stand, proposed only, and not again once told apart."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.people import duplicates
from activities.people.duplicates import propose
from records import tables
from records.people import merging, upserts
from records.people.contacts import Contact

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


async def written(engine: AsyncEngine, *people: Contact) -> list[int]:
    async with engine.begin() as db:
        return [(await upserts.upsert(db, one, now=NOW)).id for one in people]


PAIR = (
    Contact(email="anna.mueller@gmail.com", first_name="Anna", last_name="Müller"),
    Contact(email="annamueller@gmx.de", first_name="Anna", last_name="Mueller"),
)


async def test_pairs_are_proposed_and_nobody_is_joined(engine: AsyncEngine) -> None:
    a, b, _ = await written(engine, *PAIR, Contact(email="bob@gmail.com", first_name="Bob"))
    (found,) = await propose(engine, limit=10)
    assert (found.kept, found.gone) == (a, b)
    assert found.because[0] == "the same name"
    async with engine.connect() as db:
        assert (await db.execute(select(func.count()).select_from(tables.customers))).scalar() == 3


async def test_who_was_told_apart_is_not_proposed_again(engine: AsyncEngine) -> None:
    a, b = await written(engine, *PAIR)
    async with engine.begin() as db:
        number = await merging.merge(db, a, b, by="test", because=None, now=NOW)
        await merging.unmerge(db, number, by="test", now=NOW)
    assert await propose(engine, limit=10) == []


async def test_pairs_are_found_in_a_crowd_of_namesakes(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PAGE", 100)
    async with engine.begin() as db:
        await db.execute(text(
            "INSERT INTO customers (email, first_name, last_name, created_at, updated_at) "
            "SELECT 'w' || md5(n::text) || '@qq.com', 'Wei', 'Wang', now(), now() FROM generate_series(1, 1000) n"
        ))  # fmt: skip
    a, b = await written(engine, *PAIR)
    read: list[int] = []
    (found,) = await propose(engine, limit=10, progress=read.append)
    assert (found.kept, found.gone) == (a, b)
    assert read[-1] == 1002


async def test_the_likeliest_come_first(engine: AsyncEngine) -> None:
    await written(
        engine,
        *PAIR,
        Contact(email="anne@acme.example", first_name="Anne", last_name="Kowalski"),
        Contact(email="ak@acme.example", first_name="Anna", last_name="Kovalski"),
    )
    found = await propose(engine, limit=10)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(found) == 2
    assert await propose(engine, limit=1) == found[:1]
