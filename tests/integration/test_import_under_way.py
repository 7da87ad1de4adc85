"""Imports that are cut off, that meet, that are long: nothing is written twice, nothing in part."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.intake import parsers
from activities.intake.importing import ImportReport, import_customers
from activities.intake.tabular import UnreadableTable
from journeys.fields import Field
from records.intake import imports as jobs
from records.intake.imports import AlreadyImporting
from records.people import identities
from records.tables import changes, customers, imports

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FIELDS = {"plan": Field("plan", "text", "Plan")}
PAGE = 4_000


class CutOffError(Exception):
    """What stands for the death of a process: nothing after it is done."""


def people(path: Path, lines: list[str], header: str = "external_id,email,first_name,consent_email") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def many(tmp_path: Path) -> Path:
    lines = [f"{number},person{number}@acme.example,P{number},yes" for number in range(600)]
    lines[100] = "100,broken,P100,yes"
    lines[500] = "500,broken,P500,yes"
    return people(tmp_path / "many.csv", lines)


async def take(engine: AsyncEngine, path: Path, stop_after: int = 0, page_bytes: int = PAGE) -> ImportReport:
    """Import; `stop_after` so many pages it is cut off."""
    pages = 0

    def progress(report: ImportReport) -> None:
        nonlocal pages
        pages += 1
        if pages == stop_after:
            raise CutOffError

    return await import_customers(engine, path, FIELDS, now=NOW, progress=progress, page_bytes=page_bytes)


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as db:
        return int((await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


def figures(report: ImportReport) -> tuple[int, ...]:
    return report.rows, report.created, report.updated, report.merged, report.unchanged, len(report.rejected)


@pytest.mark.parametrize("page_bytes", [PAGE, 1_500, 9_000])
async def test_an_import_that_was_cut_off_goes_on_where_it_stood(
    engine: AsyncEngine, many: Path, page_bytes: int
) -> None:
    with pytest.raises(CutOffError):
        await take(engine, many, stop_after=3)
    before = await count(engine, "customers")
    assert 0 < before < 598

    report = await take(engine, many, page_bytes=page_bytes)

    assert figures(report) == (600, 598, 0, 0, 0, 2)
    assert report.resumed_after >= before
    assert [one.line for one in report.rejected] == [102, 502]
    assert await count(engine, "customers") == 598
    assert await count(engine, "consents") == 598
    async with engine.connect() as db:
        [row] = await db.execute(select(imports))
    assert (row.rows_done, row.finished_at, row.kind) == (600, NOW, "customers")


async def test_a_page_is_there_whole_or_not_at_all(
    engine: AsyncEngine, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = jobs.reach

    async def cut_off(*arguments: object) -> None:
        await note(*arguments)  # type: ignore[arg-type]
        raise CutOffError

    monkeypatch.setattr(jobs, "reach", cut_off)
    with pytest.raises(CutOffError):
        await take(engine, many)
    monkeypatch.undo()

    assert [await count(engine, table) for table in ("customers", "identities", "consents")] == [0, 0, 0]
    report = await take(engine, many)
    assert (report.resumed_after, report.created) == (0, 598)


async def test_a_finished_import_is_read_again_and_writes_nothing(engine: AsyncEngine, many: Path) -> None:
    await take(engine, many)
    written = await count(engine, "changes")
    report = await take(engine, many)
    assert figures(report) == (600, 0, 0, 0, 598, 2)
    assert report.resumed_after == 0
    assert await count(engine, "changes") == written
    assert await count(engine, "imports") == 1


async def test_another_way_to_read_the_file_is_another_import(engine: AsyncEngine, many: Path) -> None:
    with pytest.raises(CutOffError):
        await take(engine, many, stop_after=2)
    report = await import_customers(engine, many, FIELDS, now=NOW, mapping={"first_name": "last_name"})
    assert report.resumed_after == 0
    assert report.updated > 0


async def test_the_same_file_twice_at_once_is_refused_in_one_line(
    engine: AsyncEngine, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, pages = jobs.reach, 0

    async def meanwhile(*arguments: object) -> None:
        nonlocal pages
        pages += 1
        with pytest.raises(AlreadyImporting, match=r"many\.csv is being imported already"):
            await take(engine, many)
        await note(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "reach", meanwhile)
    report = await take(engine, many)

    assert figures(report) == (600, 598, 0, 0, 0, 2)
    assert pages > 1
    assert await count(engine, "customers") == 598


async def test_two_files_of_the_same_people_at_once_come_to_the_same_people(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    forth = [f"c{number},person{number}@acme.example,,yes" for number in range(400)]
    back = [f"d{number},person{number}@acme.example,,no" for number in reversed(range(400))]
    one, other = people(tmp_path / "one.csv", forth), people(tmp_path / "other.csv", back)

    reports = await asyncio.gather(take(engine, one), take(engine, other))

    assert sum(report.created for report in reports) == 400
    assert sum(report.created + report.updated for report in reports) == 800
    assert await count(engine, "customers") == 400
    assert await count(engine, "identities") == 1200


async def test_a_list_of_fifty_thousand_rows_of_one_contact_is_one_contact(engine: AsyncEngine, tmp_path: Path) -> None:
    lines = [f"c-{number % 7},ada@acme.example,Ada,yes" for number in range(50_000)]
    report = await take(engine, people(tmp_path / "ada.csv", lines), page_bytes=1 << 20)
    assert figures(report) == (50_000, 1, 6, 0, 49_993, 0)
    assert await count(engine, "customers") == 1
    assert await count(engine, "consents") == 1
    assert await count(engine, "identities") == 8


async def test_rows_are_joined_through_others_within_the_file_and_across_its_pages(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    header = "external_id,email,phone,first_name"
    lines = ["1,a@acme.example,,Ada", "2,,+4915100000001,", "3,b@acme.example,+4915100000002,Ida"]
    lines += [f"x{number},x{number}@acme.example,,X" for number in range(200)]
    lines += ["4,a@acme.example,+4915100000001,", "5,b@acme.example,+4915100000001,"]
    report = await take(engine, people(tmp_path / "chain.csv", lines, header), page_bytes=1_000)
    assert (report.created, report.merged, report.updated) == (203, 2, 0)
    async with engine.connect() as db:
        [row] = await db.execute(select(customers).where(customers.c.email == "a@acme.example"))
        names = [(one.kind, one.value) for one in await identities.of(db, row.id)]
    assert (row.external_id, row.first_name) == ("1", "Ada")
    assert [value for kind, value in names if kind == "external_id"] == ["1", "2", "3", "4", "5"]
    assert len(names) == 9


async def test_whoever_is_known_is_found_also_where_a_list_began_with_news_only(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    rows = [f"{number},person{number}@acme.example,P{number},yes" for number in range(900)]
    await take(engine, people(tmp_path / "some.csv", rows[300:600]))

    report = await take(engine, people(tmp_path / "all.csv", rows))

    assert figures(report) == (900, 600, 0, 0, 300, 0)
    assert [await count(engine, table) for table in ("customers", "identities", "consents")] == [900, 1800, 900]
    async with engine.connect() as db:
        names = (await db.execute(select(customers.c.external_id).order_by(customers.c.id))).scalars().all()
    assert names == [str(number) for number in (*range(300, 600), *range(300), *range(600, 900))]


async def test_a_dry_run_leaves_nothing_behind_and_says_the_same(engine: AsyncEngine, many: Path) -> None:
    dry = await import_customers(engine, many, FIELDS, now=NOW, dry_run=True, page_bytes=PAGE)
    assert figures(dry) == (600, 598, 0, 0, 0, 2)
    for table in ("customers", "identities", "consents", "imports"):
        assert await count(engine, table) == 0
    assert figures(await take(engine, many)) == figures(dry)


async def test_a_file_that_is_refused_leaves_no_import_behind(engine: AsyncEngine, tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable):
        await take(engine, people(tmp_path / "bad.csv", ["Ada"], "first_name"))
    assert await count(engine, "imports") == 0


async def test_a_file_whose_rows_are_all_wrong_is_read_to_its_end(engine: AsyncEngine, tmp_path: Path) -> None:
    lines = [f"{number},nobody,," for number in range(30_000)]
    report = await take(engine, people(tmp_path / "wrong.csv", lines))
    assert figures(report) == (30_000, 0, 0, 0, 0, 30_000)
    assert len(report.rejected.first) == 20
    assert [one.line for one in report.rejected] == list(range(2, 30_002))


async def test_a_large_file_is_parsed_by_another_process_and_comes_to_the_same(
    engine: AsyncEngine, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsers, "SMALL", 0)
    assert figures(await take(engine, many)) == (600, 598, 0, 0, 0, 2)
    async with engine.connect() as db:
        names = (await db.execute(select(customers.c.first_name).order_by(customers.c.id))).scalars().all()
        assert (await db.execute(select(func.count()).select_from(changes))).scalar_one() == 0
    assert names == [f"P{number}" for number in range(600) if number not in (100, 500)]
