"""A CSV file of events in a real database: once however often it is read, wherever it is cut off, by whomever."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.calendar import Calendar
from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from activities.entering.ingesting import Ingesting
from activities.intake import event_import
from activities.intake.event_files import EventFile, Reading, Row
from activities.intake.event_import import EventImport
from activities.intake.event_report import EventReport
from activities.intake.tabular import UnreadableTable
from activities.publishing import publish
from activities.turns.programs import Programs
from journeys.identities import IdentityRules
from journeys.loading import parse
from records.intake.imports import AlreadyImporting
from records.people import customers, merging, upserts
from records.people.contacts import Contact

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ORDERS = """customer,event,at,value,key,order,gift
c1,order.placed,2026-02-01T10:00:00+01:00,84.50,o-1,00123,true
ada@acme.example,page.seen,2026-02-02,,o-2,77,
+1 202 555 0143,order.placed,2026-02-03 08:30,12.5,o-3,1.50,false
"""


class Nowhere:
    """No Temporal: nothing in these tests may need it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Temporal was asked for {name}")


def ingesting(engine: AsyncEngine, rules: IdentityRules | None = None) -> Ingesting:
    programs = Programs()
    router = Router(engine, Nowhere(), programs, Entrance(programs, "UTC"), Calendar())  # type: ignore[arg-type]
    return Ingesting(engine, router, rules or IdentityRules())


class Folder:
    """Writes a file and imports it."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self.engine, self.path = engine, path

    def write(self, content: str | bytes) -> Path:
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.path

    def opened(self, *, unknown: str = "refuse", zone: str = "UTC", history: bool = False, rejects: Path | None = None,
               rules: IdentityRules | None = None, **reading: Any) -> EventImport:  # fmt: skip
        how = Reading(ZoneInfo(zone), reading.pop("mapping", {}), **reading)
        return EventImport(
            ingesting(self.engine, rules), EventFile(self.path, how, NOW), unknown=unknown,  # type: ignore[arg-type]
            history=history, rejects=rejects,
        )  # fmt: skip

    async def take(self, content: str | bytes, **given: Any) -> EventReport:
        self.write(content)
        return await self.opened(**given).run(NOW)

    async def stored(self) -> list[Any]:
        query = "SELECT customer_id, name, occurred_at, value, key, properties, routed_at FROM events ORDER BY id"
        async with self.engine.connect() as db:
            return list(await db.execute(text(query)))

    async def count(self, table: str = "events") -> int:
        async with self.engine.connect() as db:
            return int((await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


def test_a_shop_may_name_its_columns_in_german(tmp_path: Path) -> None:
    path = tmp_path / "bestellungen.csv"
    path.write_text("Bestellnr;Kunden-Nr.;Ereignis;Bestelldatum;Betrag\n1;c1;order.placed;05.01.2026 10:00;1.234,50\n")
    opened = EventFile(path, Reading(ZoneInfo("Europe/Berlin"), {"Bestellnr": "key"}), NOW)
    assert list(opened.columns.values()) == ["key", "external_id", "event", "at", "value"]
    [row] = opened
    assert isinstance(row, Row)
    assert (row.told.who, row.told.at, row.told.value) == ("c1", datetime(2026, 1, 5, 9, tzinfo=UTC), Decimal("1234.5"))


@pytest.fixture
async def folder(engine: AsyncEngine, tmp_path: Path) -> Folder:
    async with engine.begin() as db:
        ada = Contact(external_id="c1", email="ada@acme.example", phone="+12025550143")
        await upserts.upsert(db, ada, now=NOW)
    return Folder(engine, tmp_path / "events.csv")


def errors(report: EventReport) -> list[tuple[int, str | None]]:
    return [(one["line"], one["field"]) for one in report.rejected]


def figures(report: EventReport) -> tuple[int, int, int, int]:
    return report.stored, report.duplicates, report.created_customers, len(report.rejected)


# What a row becomes


async def test_a_customer_is_found_by_any_of_its_names_and_columns_that_say_more_are_properties(folder: Folder) -> None:
    assert figures(await folder.take(ORDERS)) == (3, 0, 0, 0)
    first, second, third = await folder.stored()
    assert {row.customer_id for row in (first, second, third)} == {first.customer_id}
    assert (first.name, first.occurred_at, str(first.value), first.key) == (
        "order.placed", datetime(2026, 2, 1, 9, tzinfo=UTC), "84.50", "o-1",
    )  # fmt: skip
    assert first.properties == {"order": "00123", "gift": True}
    assert second.properties == {"order": 77}
    assert third.properties == {"order": "1.50", "gift": False}


async def test_times_without_a_zone_are_those_of_the_clocks_that_are_named(folder: Folder) -> None:
    await folder.take(ORDERS, zone="Asia/Shanghai")
    assert [row.occurred_at.isoformat() for row in await folder.stored()] == [
        "2026-02-01T09:00:00+00:00", "2026-02-01T16:00:00+00:00", "2026-02-03T00:30:00+00:00",
    ]  # fmt: skip


async def test_columns_are_known_by_other_names_or_by_what_somebody_says_they_are(folder: Folder) -> None:
    table = "Customer ID;Order Date;Total;Order No\nc1;04.02.2026 10:15;1.234,56;A 1\n"
    with pytest.raises(UnreadableTable, match="no column says what happened"):
        await folder.take(table)
    report = await folder.take(table, event="order.placed", mapping={"order no": "key"})
    assert figures(report) == (1, 0, 0, 0)
    [row] = await folder.stored()
    assert (row.name, row.key, str(row.value)) == ("order.placed", "A 1", "1234.56")
    assert row.occurred_at == datetime(2026, 2, 4, 10, 15, tzinfo=UTC)


async def test_a_day_and_a_time_in_two_columns_are_one_moment(folder: Folder) -> None:
    await folder.take("email,type,date,time\nADA@acme.example,Page.Seen,2026-02-01,13:30:00\n")
    [row] = await folder.stored()
    assert (row.name, row.occurred_at) == ("page.seen", datetime(2026, 2, 1, 13, 30, tzinfo=UTC))


async def test_the_number_of_a_customer_here_is_no_name_that_a_file_knows(folder: Folder) -> None:
    rows = "customer,event,at\n1,page.seen,2026-02-01\nid:1,page.seen,2026-02-01\nid:99,page.seen,2026-02-01\n"
    async with folder.engine.connect() as db:
        number = (await db.execute(text("SELECT id FROM customers"))).scalar_one()
    report = await folder.take(rows.replace("1,page", f"{number},page"))
    assert errors(report) == [(2, "customer"), (4, "customer")]
    assert report.stored == 1


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        *[("at", cell) for cell in (
            "1970-01-01", "0", "1989-12-31T23:59:59Z", "2300-01-01", "2026-03-03", "1e99", "NaN", "yesterday",
            "2026-02-30", "03/04/2026", "45000", "", "32503680000",
        )],
        *[("value", cell) for cell in (
            "-1", "-0.01", "NaN", "nan", "Infinity", "-inf", "1e12", "1000000000000", "1e999999999", "1,234", "ten",
            "0x10", "1_000", "--1", "1" * 400,
        )],
        *[("event", cell) for cell in ("", "Order Placed", "order..placed", "x" * 101, "order.placed\x00")],
        *[("customer", cell) for cell in ("", "nobody", "x" * 400, "id:x")],
        ("key", "k" * 201),
    ],
)  # fmt: skip
async def test_bad_input_is_rejected_with_its_line_and_keeps_nothing_else_out(
    folder: Folder, field: str, cell: str
) -> None:
    row = {"customer": "c1", "event": "order.placed", "at": "2026-02-01", "value": "1", "key": ""}
    lines = [{**row, "key": "before"}, {**row, "key": "bad", field: cell}, {**row, "key": "after"}]
    with folder.path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(lines)
    report = await folder.opened().run(NOW)
    assert [(one["line"]) for one in report.rejected] == [3]
    assert report.rejected[0]["field"] in (field, None)
    assert report.rejected[0]["error"]
    assert [one.key for one in await folder.stored()] == ["before", "after"]


@pytest.mark.parametrize("value", ["0", "999999999999.99", "0.1", "$1,234.50", ""])
async def test_a_value_within_the_bounds_is_taken(folder: Folder, value: str) -> None:
    content = f'customer,event,at,value\nc1,order.placed,2026-02-01,"{value}"\n'
    assert figures(await folder.take(content)) == (1, 0, 0, 0)


async def test_a_file_that_lacks_what_is_needed_is_refused_as_a_whole(folder: Folder) -> None:
    for header in ("event,at", "customer,event", "customer,at", "customer,event,at,Shop,shop"):
        with pytest.raises(UnreadableTable):
            await folder.take(header + "\n" + ",".join("x" * (header.count(",") + 1)) + "\n")
    with pytest.raises(UnreadableTable, match="no column 'Nummer'"):
        await folder.take(ORDERS, mapping={"Nummer": "key"})
    assert await folder.count("imports") == 0


# Once, however often


def equal_orders(count: int) -> str:
    return "customer,event,at,value\n" + "c1,order.placed,2026-02-01T10:00:00Z,5\n" * count


async def test_the_same_file_again_changes_nothing(folder: Folder) -> None:
    assert figures(await folder.take(ORDERS)) == (3, 0, 0, 0)
    assert figures(await folder.take(ORDERS)) == (0, 3, 0, 0)
    assert await folder.count() == 3


async def test_two_equal_orders_of_one_second_count_twice_and_the_same_file_again_not_at_all(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_import, "BATCH", 2)
    assert figures(await folder.take(equal_orders(5))) == (5, 0, 0, 0)
    assert figures(await folder.take(equal_orders(5))) == (0, 5, 0, 0)
    assert figures(await folder.take(equal_orders(6))) == (1, 5, 0, 0)


async def test_a_file_stays_the_same_when_the_people_it_names_turn_out_to_be_one(folder: Folder) -> None:
    async with folder.engine.begin() as db:
        other = await upserts.upsert(db, Contact(external_id="c2", email="ada@home.example"), now=NOW)
        kept = await customers.find(db, "c1")
    rows = (
        "customer,event,at\nc1,page.seen,2026-02-01\nc2,page.seen,2026-02-01\nada@home.example,page.seen,2026-02-02\n"
    )
    assert figures(await folder.take(rows)) == (3, 0, 0, 0)
    async with folder.engine.begin() as db:
        await merging.merge(db, kept.id, other.id, by="test", because=None, now=NOW)
    assert figures(await folder.take(rows)) == (0, 3, 0, 0)
    assert {row.customer_id for row in await folder.stored()} == {kept.id}


async def test_a_corrected_file_of_rejects_is_imported_like_any_other(folder: Folder, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    await folder.take("customer,event,at,shop\nc1,page.seen,tomorrow,berlin\n", rejects=rejects)
    report = await folder.take(rejects.read_text("utf-8-sig").replace("tomorrow", "2026-02-01", 2).encode())
    assert figures(report) == (1, 0, 0, 0)
    assert [row.properties for row in await folder.stored()] == [{"shop": "berlin"}]


async def test_a_key_that_stands_twice_in_a_file_is_one_event(folder: Folder) -> None:
    rows = "customer,event,at,key\n" + "c1,page.seen,2026-02-01,k\n" * 3
    assert figures(await folder.take(rows)) == (1, 2, 0, 0)


async def test_unknown_customers_are_made_when_somebody_asks_for_it(folder: Folder) -> None:
    rows = (
        "customer,event,at\nc2,page.seen,2026-02-01\nbob@acme.example,page.seen,2026-02-01\nBob@acme.example,page.seen,"
        "2026-02-02\n+49 30 901820,page.seen,2026-02-01\nbob@,page.seen,2026-02-01\nid:77,page.seen,2026-02-01\n"
    )
    assert errors(await folder.take(rows)) == [(line, "customer") for line in range(2, 8)]
    assert figures(await folder.take(rows, unknown="create")) == (4, 0, 3, 2)
    async with folder.engine.connect() as db:
        made = [await customers.find(db, name) for name in ("c2", "bob@acme.example", "+4930901820")]
    assert [(one.external_id, one.email, one.phone) for one in made] == [
        ("c2", None, None), (None, "bob@acme.example", None), (None, None, "+4930901820"),
    ]  # fmt: skip


async def test_numbers_with_noughts_in_front_are_ids_and_no_phone_numbers(folder: Folder) -> None:
    """The customers of a shop are 00001 and so on; 0049 30 901820 is a number as one dials it."""
    rows = "customer,event,at\n" + "".join(
        f"{who},page.seen,2026-02-01\n" for who in ("00001", "00999", "0049 30 901820")
    )
    assert figures(await folder.take(rows, unknown="create")) == (3, 0, 3, 0)
    assert figures(await folder.take(rows, unknown="refuse")) == (0, 3, 0, 0)
    async with folder.engine.connect() as db:
        made = [await customers.find(db, name) for name in ("external_id:00001", "external_id:00999", "+4930901820")]
    assert [one.phone for one in made] == [None, None, "+4930901820"]


async def test_who_it_was_is_tidied_as_in_a_list_of_customers(folder: Folder) -> None:
    cells = ['="c1"', "'c1'", "\u200bc1\u00a0", "nan", "NULL", "1.23457E+11"]
    rows = "customer,event,at\n" + "".join(
        '"' + cell.replace('"', '""') + f'",page.seen,2026-02-0{day}\n' for day, cell in enumerate(cells, 1)
    )
    report = await folder.take(rows, unknown="create")
    assert figures(report) == (3, 0, 0, 3)
    assert errors(report) == [(5, "customer"), (6, "customer"), (7, "customer")]
    assert "Excel has rounded" in report.rejected[2]["error"]


async def test_days_are_read_as_the_whole_file_shows(folder: Folder) -> None:
    """12/1/2010 alone may be either; a file with 12/13/2010 has the month first."""
    rows = "customer,event,at\nc1,page.seen,12/1/2010 8:26\nc1,page.seen,12/2/2010\n"
    assert errors(await folder.take(rows)) == [(2, "at"), (3, "at")]
    assert figures(await folder.take(rows + "c1,page.seen,12/13/2010 9:00\n")) == (3, 0, 0, 0)
    assert [row.occurred_at.isoformat()[:16] for row in await folder.stored()] == [
        "2010-12-01T08:26", "2010-12-02T00:00", "2010-12-13T09:00",
    ]  # fmt: skip


async def test_a_key_that_is_shared_makes_nobody(folder: Folder) -> None:
    rules = IdentityRules(shared={"email": frozenset({"info@acme.example"})})
    rows = "email,event,at\ninfo@acme.example,page.seen,2026-02-01\n"
    assert errors(await folder.take(rows, unknown="create", rules=rules)) == [(2, "email")]


async def test_a_dry_run_says_the_same_and_writes_nothing(folder: Folder) -> None:
    await folder.take(ORDERS)
    more = ORDERS + "c9,page.seen,2026-02-01,,n,,\nc9,page.seen,2026-02-01,,n,,\nc9,page.seen,never,,x,,\n"
    folder.write(more)
    counts = [await folder.count(table) for table in ("events", "customers", "imports")]
    said = await folder.opened(unknown="create").rehearse(NOW)
    assert counts == [await folder.count(table) for table in ("events", "customers", "imports")]
    done = await folder.take(more, unknown="create")
    assert figures(said) == figures(done) == (1, 4, 1, 1)
    assert said.rejected == done.rejected


async def test_history_is_kept_and_no_journey_hears_of_it(folder: Folder) -> None:
    async with folder.engine.begin() as db:
        journey = "journey: thanks\ntitle: Thanks\nenter: {on: order.placed}\nsteps: [{tag: buyer}]\n"
        await publish(db, [parse(journey)], now=NOW, by="test")
    report = await folder.take(ORDERS, history=True)
    assert (report.stored, report.heard) == (3, 0)
    assert all(row.routed_at is not None for row in await folder.stored())


async def test_events_that_no_journey_listens_to_are_stored_as_routed(folder: Folder) -> None:
    report = await folder.take(ORDERS)
    assert (report.heard, report.routed) == (0, True)
    assert all(row.routed_at == NOW for row in await folder.stored())


# Cut off, and two at once


def many(count: int) -> str:
    rows = (f"c1,page.seen,2026-02-01T00:00:{n % 60:02d}Z,{n % 7}\n" if n % 10 else "c1,page.seen,never,1\n"
            for n in range(count))  # fmt: skip
    return "customer,event,at,value\n" + "".join(rows)


def dying_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the import die in the middle of a batch, after so many."""
    store, left = Ingesting.store, [batches]

    async def mortal(self: Ingesting, *given: Any, **more: Any) -> Any:
        done = await store(self, *given, **more)
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the machine died")
        return done

    monkeypatch.setattr(Ingesting, "store", mortal)


async def test_an_import_that_was_cut_off_goes_on_where_it_was(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(event_import, "BATCH", 7)
    folder.write(many(100))
    rejects = tmp_path / "rejects.csv"
    with monkeypatch.context() as patched:
        dying_after(3, patched)
        with pytest.raises(RuntimeError):
            await folder.opened(rejects=rejects).run(NOW)
    assert await folder.count() == 18
    report = await folder.opened(rejects=rejects).run(NOW + timedelta(hours=1))
    assert (report.rows, report.resumed_at, figures(report)) == (100, 21, (90, 0, 0, 10))
    assert await folder.count() == 90
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert [int(one["line"]) for one in written] == [one["line"] for one in report.rejected]
    assert {one["at"] for one in written} == {"never"}
    assert figures(await folder.take(many(100))) == (0, 90, 0, 10)


async def test_two_imports_of_the_same_file_at_once_are_refused(folder: Folder, tmp_path: Path) -> None:
    folder.write(many(100))
    began, may_go_on = asyncio.Event(), asyncio.Event()
    first = folder.opened()
    store = first._store

    async def waits(*given: Any) -> frozenset[int]:
        began.set()
        await may_go_on.wait()
        return await store(*given)

    first._store = waits  # type: ignore[assignment, method-assign]
    running = asyncio.create_task(first.run(NOW))
    await began.wait()
    other = tmp_path / "copy.csv"
    other.write_bytes(folder.path.read_bytes())
    with pytest.raises(AlreadyImporting, match=r"copy\.csv is being imported"):
        await Folder(folder.engine, other).opened().run(NOW)
    may_go_on.set()
    assert (await running).stored == 90


async def test_two_files_with_the_same_keys_and_newcomers_at_once_store_each_once(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_import, "BATCH", 20)

    def content(numbers: Iterable[int]) -> str:
        return "customer,event,at,key\n" + "".join(f"n{n % 50},page.seen,2026-02-01,k{n}\n" for n in numbers)

    one, other = Folder(folder.engine, tmp_path / "one.csv"), Folder(folder.engine, tmp_path / "other.csv")
    both = await asyncio.gather(
        one.take(content(range(400)), unknown="create"), other.take(content(reversed(range(400))), unknown="create")
    )
    assert [report.stored + report.duplicates for report in both] == [400, 400]
    assert sum(report.stored for report in both) == await folder.count() == 400
    assert sum(report.created_customers for report in both) == 50
    assert await folder.count("customers") == 51
