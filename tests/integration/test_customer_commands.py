"""The commands for customers, each a process of its own against a real database, without any other server."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from records import events
from records.people import upserts
from records.people.contacts import Contact
from tests.terminal import command

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs `waymark` with this database and the definitions that are shipped."""

    def __init__(self, database_url: str, home: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("WAYMARK_", "TEMPORAL_"))},
            "WAYMARK_DATABASE_URL": database_url, "WAYMARK_HOME": str(home), "TEMPORAL_CONFIG_FILE": "/nonexistent",
        }  # fmt: skip

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(command, *words, environment=self._environment)
        return done.returncode, done.stdout, done.stderr

    async def lines(self, *words: str) -> list[Any]:
        code, out, err = await self(*words, "--json")
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    async def json(self, *words: str) -> Any:
        code, out, err = await self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def waymark(database_url: str, tmp_path: Path) -> Terminal:
    return Terminal(database_url, tmp_path)


async def people(engine: AsyncEngine) -> list[int]:
    contacts = [
        Contact(external_id="c-1", email="anna@example.com", phone="+4915112345678", first_name="Anna",
                last_name="Müller", country="DE", tags=["vip"], properties={"plan": "team", "lifetime_value": 9.5},
                consents={"email": True, "sms": False}),
        Contact(external_id="c-2", email="a.mueller@example.com", first_name="Anna", last_name="Mueller"),
        Contact(phone="+8613812345678", first_name="小明", last_name="王"),
    ]  # fmt: skip
    async with engine.begin() as db:
        return [(await upserts.upsert(db, one, now=NOW)).id for one in contacts]


async def test_customers_are_exported_one_a_line_with_all_their_names(engine: AsyncEngine, waymark: Terminal) -> None:
    await people(engine)
    async with engine.begin() as db:
        await upserts.upsert(db, Contact(external_id="c-9", email="anna@example.com"), now=NOW)
    first, _, last = await waymark.lines("customers", "export")
    wanted = {
        "external_ids": ["c-1", "c-9"], "email": "anna@example.com", "phone": "+4915112345678",
        "emails": ["anna@example.com"], "first_name": "Anna", "plan": "team", "stage": "new",
        "consents": {"email": True, "sms": False}, "tags": ["vip"], "score": 0, "lifecycle": None,
    }  # fmt: skip
    assert {name: first[name] for name in wanted} == wanted
    assert first["fields"] == {
        "first_name": "Anna", "last_name": "Müller", "country": "DE", "locale": None, "time_zone": None,
        "plan": "team", "lifetime_value": 9.5,
    }  # fmt: skip
    assert (last["external_ids"], last["email"], last["phones"]) == ([], None, ["+8613812345678"])
    _, out, _ = await waymark("customers", "export")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["external_ids"] for row in rows] == ["c-1; c-9", "c-2", ""]
    assert (rows[0]["plan"], rows[0]["consent_sms"], rows[2]["last_name"]) == ("team", "no", "王")


async def test_a_merge_by_hand_and_its_undoing(engine: AsyncEngine, waymark: Terminal) -> None:
    kept, gone, _ = await people(engine)
    done = await waymark.json("customers", "merge", "c-1", "c-2", "--because", "one desk")
    assert (done["kept"], done["gone"]) == (kept, gone)
    seen = await waymark.json("customers", "show", f"id:{gone}")
    assert seen["customer"]["id"] == kept
    assert [one["because"] for one in seen["merges"]] == ["one desk"]
    assert {one["value"] for one in seen["names"]} >= {"c-1", "c-2", "a.mueller@example.com"}
    code, out, err = await waymark("customers", "show", f"id:{gone}")
    assert f"Customer {gone} is part of customer {kept}" in err
    assert "merged with Anna Mueller" in out
    assert "also" in out

    for pair in (("c-2", "c-1"), (f"id:{kept}", f"id:{gone}"), ("c-1", "c-1")):
        code, out, err = await waymark("customers", "merge", *pair)
        assert (code, out) == (1, "")
        assert "Traceback" not in err
        assert len(err.splitlines()) == 2

    back = await waymark.json("customers", "unmerge", "c-2")
    assert (back["kept"]["id"], back["gone"]["id"], back["merge"]) == (kept, gone, done["merge"])
    code, _, err = await waymark("customers", "unmerge", str(done["merge"]))
    assert code == 1
    assert "was undone already" in err


async def test_people_are_searched_page_by_page(engine: AsyncEngine, waymark: Terminal) -> None:
    anna, other, wang = await people(engine)
    for sought, found in (("0151 1234", [anna]), ("ann", [anna, other]), ("小明", [wang]), ("c-2", [other])):
        assert [one["id"] for one in await waymark.lines("customers", "search", sought)] == found
    page = await waymark.lines("customers", "search", "ann", "--limit", "1", "--after", str(anna))
    assert [one["id"] for one in page] == [other]
    code, out, err = await waymark("customers", "search", "nobody")
    assert (code, out) == (0, "")
    assert "Nobody is called 'nobody'" in err


async def test_a_long_timeline_is_gone_through_page_by_page(engine: AsyncEngine, waymark: Terminal) -> None:
    anna, *_ = await people(engine)
    async with engine.begin() as db:
        for number in range(120):
            at = NOW + timedelta(minutes=number // 4)
            await events.store(db, customer_id=anna, name=f"n{number}.seen", occurred_at=at, received_at=at)
    _, out, err = await waymark("customers", "show", "c-1", "--limit", "38")
    assert "n80.seen" in out
    assert "n79.seen" not in out
    assert f"--before {(NOW + timedelta(minutes=20)).isoformat()}" in err
    whole = (await waymark.json("customers", "show", "c-1", "--limit", "1000"))["timeline"]
    assert len(whole) > 120
    pages, page = [], (await waymark.json("customers", "show", "c-1", "--limit", "7"))["timeline"]
    while page:
        pages.append(page)
        page = (await waymark.json("customers", "show", "c-1", "--limit", "7", "--before", page[0]["at"]))["timeline"]
    assert [one for page in reversed(pages) for one in page] == whole
    assert len(pages[0]) == 8
    _, _, err = await waymark("customers", "show", "c-1", "--before", "some day")
    assert "--before" in err
    assert len(err.splitlines()) == 2


async def test_an_import_tells_every_mistake_and_counts_every_row_once(waymark: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "id,email,phone,country\n"
        "1,ada@acme.example; Ada <ada@home.example>,+49 151 12345678 / +49 30 901820,DE\n"
        '2,"bo@acme.example, nobody",,Atlantis\n3,,,Germny\n4,ADA@home.example,,\n5,cy@acme.example,030/901821,DE\n',
        encoding="utf-8",
    )
    tried = await waymark.json("import", str(path), "--dry-run")
    report = await waymark.json("import", str(path))
    figures = ("created", "updated", "merged", "unchanged")
    assert [report[name] for name in figures] == [2, 1, 0, 0]
    assert sum(report[name] for name in figures) + len(report["rejected"]) == report["rows"] == 5
    assert [(one["line"], one["field"]) for one in report["rejected"]] == [(3, "email"), (4, "country")]
    assert report["rejected"][0]["error"].startswith("email 'nobody' is no mail address")
    assert "; country 'Atlantis' " in report["rejected"][0]["error"]
    assert "; email and phone are both missing" in report["rejected"][1]["error"]
    assert [tried[name] for name in ("rows", *figures, "rejected")] == [
        report[name] for name in ("rows", *figures, "rejected")
    ]
    ada, cy = await waymark.lines("customers", "export")
    assert (ada["external_ids"], ada["email"], ada["emails"]) == (
        ["1", "4"], "ada@acme.example", ["ada@acme.example", "ada@home.example"],
    )  # fmt: skip
    assert (ada["phones"], cy["phones"]) == (["+4915112345678", "+4930901820"], ["+4930901821"])
    with (tmp_path / "list.rejects.csv").open(encoding="utf-8-sig") as rejects:
        assert [(row["line"], row["field"], row["id"]) for row in csv.DictReader(rejects)] == [
            ("3", "email, country", "2"), ("4", "country, email", "3"),
        ]  # fmt: skip
    again = await waymark.json("import", str(path))
    assert [again[name] for name in figures] == [0, 0, 0, 3]
    assert again["rejected"] == report["rejected"]
