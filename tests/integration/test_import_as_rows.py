"""An import writes pages at once, and what comes of it is what writing row by row comes to: checked against it."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journeys.identities import IdentityRules
from records.intake import writing
from records.intake.drafts import drafted, pack
from records.intake.pages import Done, Page, empty
from records.intake.queue import in_turn
from records.intake.writing import Outlook
from records.people import upserts
from records.people.contacts import COLUMNS, IDENTIFIERS, Contact
from records.tables import consents, identities
from records.tables import customers as people

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
RULES = IdentityRules(shared={"phone": frozenset({"+4930901820"}), "email": frozenset({"info@acme.example"})})


def page(contacts: list[Contact]) -> Page:
    made = empty()
    for line, one in enumerate(contacts, 2):
        stated = one.columns()
        columns = [stated.get(name) for name in COLUMNS]
        made.lines.append(line)
        made.external_ids.append(columns[0])
        made.emails.append(columns[1])
        made.phones.append(columns[2])
        made.further.append(())
        made.others.append(tuple(columns[3:]))
        made.tags.append(tuple(one.stated_tags()))
        made.properties.append(one.stated_properties())
        made.consents.append(dict(one.consents))
    return made


def contact(chance: random.Random, width: int) -> Contact:
    """Somebody of a small town: names are few, so that rows meet."""

    def some(form: str, share: float) -> str | None:
        return form.format(chance.randrange(width)) if chance.random() < share else None

    email = some("p{}@acme.example", 0.6) if chance.random() < 0.95 else "info@acme.example"
    phone = some("+49151{:08}", 0.5) if chance.random() < 0.9 else "+4930901820"
    return Contact(
        external_id=some("c-{}", 0.5),
        email=email,
        phone=phone if phone or email else "+4915199999999",
        first_name=some("First\\ {}\t", 0.4),
        last_name=some("Last{}", 0.2),
        country=chance.choice((None, None, "DE", "CN")),
        stage=chance.choice((None, None, None, "customer")),
        tags=tuple(chance.sample(("a", 'quo"ted', "back\\slash", "c,d"), chance.randrange(3))),
        properties={"plan": chance.choice(("home", "täm\\")), "value": chance.randrange(3)}
        if chance.random() < 0.5
        else {},
        consents={channel: chance.random() < 0.5 for channel in ("email", "sms") if chance.random() < 0.3},
    )


async def take(db: AsyncConnection, contacts: list[Contact], way: str, outlook: Outlook) -> Done:
    """Write a page: without a draft; with one, asking whom its rows name; or hoping that they name nobody."""
    first = await writing.draw(db, len(contacts))
    sheet = pack(page(contacts)) if way == "plain" else drafted(page(contacts), RULES, first, now=NOW, source="list")
    known = outlook if way == "hopeful" else Outlook(1.0)

    async def write() -> Done:
        return await writing.write(db, sheet, RULES, now=NOW, source="list", outlook=known)

    return await in_turn(db, write, alone=False)


async def state(db: AsyncConnection) -> list[Any]:
    """Everybody's names, consents and tags, without numbers."""
    names: dict[int, list[str]] = {}
    for row in await db.execute(select(identities).order_by(identities.c.kind, identities.c.value)):
        names.setdefault(row.customer_id, []).append(f"{row.kind} {row.value}")
    said: dict[int, dict[str, bool]] = {}
    for row in await db.execute(select(consents).order_by(consents.c.at, consents.c.id)):
        said.setdefault(row.customer_id, {})[row.channel] = row.granted
    rows = (await db.execute(select(people))).all()
    return sorted(
        ([names.get(row.id, []), said.get(row.id, {}), sorted(row.tags)] for row in rows),
        key=str,
    )


LOST = text("""
    SELECT c.id FROM customers c,
        LATERAL (VALUES ('external_id', external_id), ('email', email), ('phone', phone)) AS k (kind, value)
    WHERE k.value IS NOT NULL AND NOT sharing AND NOT EXISTS
        (SELECT FROM identities i WHERE i.kind = k.kind AND i.value = k.value AND i.customer_id = c.id)
""")
"""Those whom a key of theirs would not find: it is no name of theirs, and nobody knows that it is shared."""


WAYS = ("plain", "drafted", "hopeful")


@pytest.mark.parametrize(("seed", "width"), [(seed, width) for width in (4, 12, 60, 2_000) for seed in range(4)])
async def test_a_page_written_at_once_is_what_its_rows_are_one_by_one(
    engine: AsyncEngine, seed: int, width: int
) -> None:
    chance = random.Random(seed)
    pages = [[contact(chance, width) for _ in range(30)] for _ in range(3)]
    async with engine.connect() as db:
        one_by_one: dict[str, int] = {}
        for contacts in pages:
            for one in contacts:
                done = await upserts.upsert(db, one, now=NOW, source="list", rules=RULES)
                one_by_one[done.outcome] = one_by_one.get(done.outcome, 0) + 1
                one_by_one["still_withdrawn"] = one_by_one.get("still_withdrawn", 0) + bool(done.still_withdrawn)
        wanted = await state(db)
        assert (await db.execute(LOST)).all() == []
        await db.rollback()
        known(one_by_one)
        for way in WAYS:
            at_once: dict[str, int] = {}
            outlook = Outlook()
            for contacts in pages:
                written = await take(db, contacts, way, outlook)
                for name in ("created", "updated", "merged", "unchanged", "still_withdrawn"):
                    at_once[name] = at_once.get(name, 0) + getattr(written, name)
            found = await state(db)
            again = await take(db, pages[-1], way, Outlook())
            after = await state(db)
            assert (await db.execute(LOST)).all() == [], way
            await db.rollback()
            known(at_once)
            assert at_once == {name: one_by_one.get(name, 0) for name in at_once}, way
            assert found == wanted, way
            assert (again.created, again.merged) == (0, 0), way
            assert after == found, way


def known(figures: dict[str, int]) -> None:
    """Rows that contradict each other come to nothing when they are read again, and then count for nothing."""
    figures["known"] = figures.pop("updated", 0) + figures.pop("unchanged", 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("seed", "width"), [(seed, width) for width in (4, 12, 60) for seed in range(4)])
async def test_of_what_the_rows_of_one_person_say_the_last_word_counts_however_they_come_together(
    engine: AsyncEngine, seed: int, width: int, way: str
) -> None:
    chance = random.Random(seed)
    named = [one for one in (contact(chance, width) for _ in range(60)) if keys_of(one)]
    async with engine.connect() as db:
        await take(db, named, way, Outlook())
        found = await fields(db)
        again = await take(db, named, way, Outlook())
        after = await fields(db)
        await db.rollback()
    assert found == last_words(named)
    assert (again.created, again.updated, again.merged, again.unchanged) == (0, 0, 0, len(named))
    assert after == found


Key = tuple[str, str]


def keys_of(one: Contact) -> set[Key]:
    stated = {kind: value for kind, value in one.columns().items() if kind in IDENTIFIERS}
    return {(kind, value) for kind, value in stated.items() if value not in RULES.shared.get(kind, ())}


def last_words(contacts: list[Contact]) -> dict[frozenset[Key], dict[str, Any]]:
    """What is known of each person, by its names: plain reading of what an import means."""
    groups: list[tuple[set[Key], list[int]]] = []
    for at, one in enumerate(contacts):
        joined = [group for group in groups if group[0] & keys_of(one)]
        groups = [group for group in groups if group not in joined]
        groups.append(
            (keys_of(one).union(*(keys for keys, _ in joined)), [at, *(n for _, rows in joined for n in rows)])
        )
    known: dict[frozenset[Key], dict[str, Any]] = {}
    for keys, rows in groups:
        said = known[frozenset(keys)] = {"stage": "new"}
        for at in sorted(rows):
            said |= {name: value for name, value in contacts[at].columns().items() if name not in IDENTIFIERS}
            said |= contacts[at].stated_properties()
    return known


async def fields(db: AsyncConnection) -> dict[frozenset[Key], dict[str, Any]]:
    """The same, as it is stored."""
    names: dict[int, set[Key]] = {}
    for row in await db.execute(select(identities)):
        names.setdefault(row.customer_id, set()).add((row.kind, row.value))
    found = {}
    for row in await db.execute(select(people)):
        stated = {name: getattr(row, name) for name in COLUMNS if name not in IDENTIFIERS}
        stated = {name: value for name, value in stated.items() if value is not None}
        found[frozenset(names[row.id])] = stated | row.properties
    return found


async def test_an_import_trusts_that_nothing_but_keys_acts_on_new_rows(engine: AsyncEngine) -> None:
    """It lets the look-ups of foreign keys be spared; any other trigger on new rows would be spared with them."""
    async with engine.connect() as db:
        found = await db.execute(
            text(
                "SELECT tgrelid::regclass::text || '.' || tgname FROM pg_trigger "
                "WHERE NOT tgisinternal AND tgtype & 4 = 4 AND tgrelid::regclass::text IN "
                "('identities', 'consents', 'changes')"
            )
        )
        assert found.scalars().all() == []
