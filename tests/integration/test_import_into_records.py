"""A CSV file becomes customers in a real database, once however often it is imported."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.event import listen, remove
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.intake.importing import ImportReport, import_customers
from journeys.fields import Field
from journeys.identities import IdentityRules
from records import tables
from records.people import consents, customers, identities, search, unnamed, upserts
from records.people.customers import Customer

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FIELDS = {"plan": Field("plan", "text", "Plan"), "renewal_date": Field("renewal_date", "date", "Renewal date")}
PEOPLE = """external_id,email,phone,first_name,country,plan,consent_email
1,ada@acme.example,+1 202 555 0143,Ada,US,home,yes
2,li@acme.example,,李,CN,team,no
3,,+86 138 0013 8000,王,CN,,
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


async def take(engine: AsyncEngine, path: Path, *, at: datetime = NOW, dry_run: bool = False) -> ImportReport:
    return await import_customers(engine, path, FIELDS, now=at, dry_run=dry_run, relative_to=NOW.date())


async def everybody(engine: AsyncEngine) -> list[Customer]:
    async with engine.connect() as db:
        return await search.list_page(db)


def figures(report: ImportReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.rejected)


async def test_every_row_becomes_a_customer_with_fields_and_consent(engine: AsyncEngine, people: Path) -> None:
    assert figures(await take(engine, people)) == (3, 0, 0, 0)
    ada, li, wang = await everybody(engine)
    assert (ada.email, ada.phone, ada.properties) == ("ada@acme.example", "+12025550143", {"plan": "home"})
    assert (wang.email, wang.phone) == (None, "+8613800138000")
    async with engine.connect() as db:
        assert await consents.granted(db, ada.id, "email")
        assert not await consents.granted(db, li.id, "email")
        assert [one.source for one in await consents.history(db, ada.id)] == ["import of people.csv"]


async def test_the_same_file_again_changes_nothing(engine: AsyncEngine, people: Path) -> None:
    await take(engine, people)
    before = await everybody(engine)
    assert figures(await take(engine, people, at=NOW + timedelta(days=1))) == (0, 0, 3, 0)
    assert await everybody(engine) == before


async def test_rows_that_contradict_each_other_change_nothing_when_they_come_again(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "dirty.csv"
    path.write_text(
        "external_id,email,first_name,plan,consent_email\n"
        "1,ann@acme.example,Ann,home,yes\n2,ann@acme.example,Anna,office,no\n3,bob@acme.example,Bob,team,\n"
        "1,ann@acme.example,Annie,team,yes\n",
        encoding="utf-8",
    )
    assert figures(await take(engine, path)) == (2, 2, 0, 0)
    before = await everybody(engine)
    assert before[0].first_name == "Annie"
    assert figures(await take(engine, path, at=NOW + timedelta(days=1))) == (0, 0, 4, 0)
    assert await everybody(engine) == before


async def test_what_contradicts_itself_far_apart_changes_nothing_either_unless_somebody_wrote_in_between(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "long.csv"
    rows = [f"{number},p{number}@acme.example,Ann{number}\n" for number in range(300)]
    path.write_text("external_id,email,first_name\n" + "".join([*rows, "x,p7@acme.example,Zoe\n"]), encoding="utf-8")

    async def again(at: timedelta) -> tuple[int, int, int, int]:
        return figures(await import_customers(engine, path, FIELDS, now=NOW + at, page_bytes=2000))

    assert await again(timedelta()) == (300, 1, 0, 0)
    before = await everybody(engine)
    assert await again(timedelta(days=1)) == (0, 0, 301, 0)
    assert await everybody(engine) == before
    async with engine.begin() as db:
        await upserts.set_fields(db, before[3].id, {"first_name": "Eve"}, because=None, now=NOW + timedelta(days=2))
        await db.execute(tables.customers.update().values(lifecycle="acquisition"))
    assert await again(timedelta(days=3)) == (0, 1, 300, 0)
    assert figures(await take(engine, path, at=NOW + timedelta(days=3), dry_run=True)) == (0, 0, 301, 0)
    async with engine.begin() as db:
        await db.execute(delete(tables.customers).where(tables.customers.c.id == before[5].id))
    created, *_ = await again(timedelta(days=4))
    assert created == 1


async def test_a_changed_row_updates_and_leaves_what_it_does_not_say(engine: AsyncEngine, people: Path) -> None:
    await take(engine, people)
    people.write_text("external_id,email,plan\n1,ada@acme.example,office\n2,li@acme.example,\n", encoding="utf-8")
    assert figures(await take(engine, people)) == (0, 1, 1, 0)
    ada, li, _ = await everybody(engine)
    assert (ada.first_name, ada.properties) == ("Ada", {"plan": "office"})
    assert li.properties == {"plan": "team"}


async def test_a_dry_run_reports_the_same_and_writes_nothing(engine: AsyncEngine, people: Path) -> None:
    assert figures(await take(engine, people, dry_run=True)) == (3, 0, 0, 0)
    assert await everybody(engine) == []


async def test_dirty_rows_are_rejected_and_the_clean_ones_taken(engine: AsyncEngine, people: Path) -> None:
    dirty = '4,broken,,,,,\n5,"x@acme.example,,,,,\n'
    people.write_text(PEOPLE + dirty + "6,z@acme.example,,Zoe,US,,yes\n", encoding="utf-8")
    report = await take(engine, people)
    assert figures(report) == (4, 0, 0, 2)
    assert report.rows == 6
    assert [one.line for one in report.rejected] == [5, 6]


async def test_a_row_whose_identifiers_belong_to_two_customers_makes_one_of_them(
    engine: AsyncEngine, people: Path
) -> None:
    await take(engine, people)
    people.write_text("external_id,email\n1,li@acme.example\n", encoding="utf-8")
    report = await take(engine, people)
    assert (figures(report), report.merged) == ((0, 0, 0, 0), 1)
    ada, _ = await everybody(engine)
    assert (ada.external_id, ada.email, ada.first_name) == ("1", "ada@acme.example", "Ada")
    async with engine.connect() as db:
        names = {(one.kind, one.value) for one in await identities.of(db, ada.id)}
        assert (await customers.find(db, "li@acme.example")).id == ada.id
    assert {("external_id", "1"), ("external_id", "2"), ("email", "li@acme.example")} < names


async def test_a_withdrawn_consent_is_not_given_back_by_a_list(engine: AsyncEngine, people: Path) -> None:
    await take(engine, people)
    ada = (await everybody(engine))[0]
    async with engine.begin() as db:
        await consents.record(db, ada.id, "email", False, "unsubscribe link", NOW + timedelta(hours=1))
    report = await take(engine, people, at=NOW + timedelta(days=1))
    assert report.still_withdrawn == 1
    async with engine.connect() as db:
        assert not await consents.granted(db, ada.id, "email")


async def test_dates_relative_to_a_day_are_stored_as_days(engine: AsyncEngine, people: Path) -> None:
    people.write_text("email,renewal_date\na@acme.example,+40d\n", encoding="utf-8")
    await take(engine, people)
    assert (await everybody(engine))[0].properties == {"renewal_date": "2026-04-10"}


async def test_a_large_file_is_taken_in_several_transactions(engine: AsyncEngine, people: Path) -> None:
    lines = [f"{number},person{number}@acme.example" for number in range(1201)]
    people.write_text("\n".join(["external_id,email", *lines]) + "\n", encoding="utf-8")
    seen: list[int] = []
    report = await import_customers(
        engine, people, FIELDS, now=NOW, progress=lambda report: seen.append(report.rows), page_bytes=10_000
    )
    assert figures(report) == (1201, 0, 0, 0)
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert report.share == 1.0


async def test_rejected_rows_are_written_to_a_file_that_can_be_corrected(
    engine: AsyncEngine, people: Path, tmp_path: Path
) -> None:
    people.write_text("email,first_name\nbroken,李\n", encoding="utf-8")
    report = await take(engine, people)
    report.rejected.write(tmp_path / "rejects.csv", report.header)
    with (tmp_path / "rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        [header, row] = csv.reader(file)
    assert header == ["line", "field", "reason", "email", "first_name"]
    assert row == ["2", "email", report.rejected.first[0].error, "broken", "李"]


async def test_a_contact_with_several_addresses_is_one_person_with_all_of_them(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "address-book.csv"
    path.write_text(
        "First Name,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Value,Phone 2 - Value\n"
        "Ada,ada@acme.example,ada@home.example,+1 202 555 0143,+1 202 555 0144\n"
        "Bo,,bo@acme.example,,\n"
        "A.,ada@new.example,,+12025550144,\n"
        "Bo,bo@acme.example,ada@home.example,,\n",
        encoding="utf-8",
    )
    report = await take(engine, path)
    assert (report.rows, figures(report), report.merged) == (4, (2, 1, 0, 0), 1)
    [ada] = await everybody(engine)
    assert (ada.email, ada.phone, ada.first_name) == ("ada@acme.example", "+12025550143", "Bo")
    async with engine.connect() as db:
        assert {one.value for one in await identities.of(db, ada.id)} == {
            "ada@acme.example", "ada@home.example", "ada@new.example", "bo@acme.example", "+12025550143",
            "+12025550144",
        }  # fmt: skip
    assert figures(await take(engine, path, at=NOW + timedelta(days=1))) == (0, 0, 4, 0)


async def test_of_several_new_addresses_the_history_tells_every_one(engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "crm.csv"
    for email in ("", "ada@acme.example; ada@home.example"):
        path.write_text(f"external_id,phone,email\n7,+12025550143,{email}\n", encoding="utf-8")
        await take(engine, path)
    async with engine.connect() as db:
        kept = (await db.execute(select(tables.changes.c.name, tables.changes.c.new))).all()
    assert sorted(kept) == [("another email", "ada@home.example"), ("email", "ada@acme.example")]


async def test_further_addresses_that_are_shared_join_nobody(engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "colleagues.csv"
    path.write_text(
        "email,phone,Mobile\na@acme.example,+4930901820,+4915112345678\nb@acme.example,+4915112345679,+4930901820\n",
        encoding="utf-8",
    )
    rules = IdentityRules(shared={"phone": frozenset({"+4930901820"})})
    assert (await import_customers(engine, path, FIELDS, now=NOW, rules=rules)).created == 2
    assert [one.phone for one in await everybody(engine)] == ["+4930901820", "+4915112345679"]


async def test_rows_that_have_nothing_but_a_shared_key_change_nothing_when_they_come_again(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "acme.csv"
    path.write_text(
        "email,phone,first_name\ninfo@acme.example,,Ada\ninfo@acme.example,,Bo\n,+49 30 901820,\n", encoding="utf-8"
    )
    rules = IdentityRules(shared={"email": frozenset({"info@acme.example"}), "phone": frozenset({"+4930901820"})})
    assert figures(await import_customers(engine, path, FIELDS, now=NOW, rules=rules)) == (3, 0, 0, 0)
    # The same rows in another file: that the first one is known by its content does not count.
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert figures(await import_customers(engine, path, FIELDS, now=NOW, rules=rules)) == (0, 0, 3, 0)


async def test_of_rows_with_nothing_but_one_shared_key_each_is_found_by_its_name_alone(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """However many share it, none is compared with the others: neither in one page, nor when it comes again."""
    rules = IdentityRules(shared={"email": frozenset({"info@acme.example"})})
    path = tmp_path / "acme.csv"
    names = [f"Ann,Nr{number}" for number in range(3_000)]
    path.write_text(
        "email,first_name,last_name\n" + "".join(f"info@acme.example,{name}\n" for name in [*names, ",", *names, ","]),
        encoding="utf-8",
    )
    with statements(engine) as said:
        report = await import_customers(engine, path, FIELDS, now=NOW, rules=rules)
    assert (report.rows, *figures(report)) == (6_002, 3_001, 0, 3_001, 0)
    assert len(said) < 60
    path.write_text(path.read_text(encoding="utf-8") + "info@acme.example,Bo,\n", encoding="utf-8")
    with statements(engine) as said:
        assert figures(await import_customers(engine, path, FIELDS, now=NOW, rules=rules)) == (1, 0, 6_002, 0)
    assert len(said) < 60
    async with engine.connect() as db:
        await db.execute(text("ANALYZE customers"))
        known_by = unnamed.traits({"email": "info@acme.example", "first_name": "Ann", "last_name": "Nr7"})
        assert len(await unnamed.owners(db, {known_by})) == 1
        read = text("SELECT pg_stat_get_xact_tuples_fetched(CAST('customers' AS regclass))")
        assert (await db.execute(read)).scalar_one() <= 2


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    said: list[str] = []

    def hear(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    listen(engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        remove(engine.sync_engine, "before_cursor_execute", hear)
