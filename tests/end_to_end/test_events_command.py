"""`waymark events import` as somebody at a terminal has it, over a database, with no Temporal server anywhere."""

from __future__ import annotations

import csv
import json
import random
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from records.audience.values import Rfm
from tests.end_to_end.conftest import clean_environment
from tests.integration.test_values import Order, expected
from tests.terminal import command

ORDERS = """Customer ID,Order Date,Total,Order No,Gift
c1,2026-01-05 10:00,84.50,00123,true
c1,2026-02-06 11:30,"1,234.50",00124,
c2,2026-02-07,12,00125,
c1,1970-01-01,5,00126,
c1,2300-01-01,5,00127,
c1,2026-02-08,-3,00128,
c1,2026-02-08,NaN,00129,
"""


class Terminal:
    def __init__(self, home: Path, database_url: str) -> None:
        self.home, self.environment = home, clean_environment(WAYMARK_DATABASE_URL=database_url)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return command("--home", str(self.home), *arguments, environment=self.environment | environment)

    def report(self, *arguments: str) -> dict[str, Any]:
        ran = self(*arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found


@pytest.fixture
def waymark(tmp_path: Path, database_url: str) -> Terminal:
    terminal = Terminal(tmp_path / "home", database_url)
    people = tmp_path / "people.csv"
    people.write_text("external_id,email\nc1,ada@acme.example\n")
    assert terminal("import", str(people)).returncode == 0
    return terminal


def test_a_history_of_orders_is_tried_imported_and_imported_again(waymark: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(ORDERS)
    asked = ["events", "import", str(file), "--event", "order.placed", "--map", "Order No=key", "--time-zone",
             "Europe/Berlin"]  # fmt: skip
    tried = waymark.report(*asked, "--dry-run")
    done = waymark.report(*asked)
    again = waymark.report(*asked)
    for report, stored, duplicates in ((tried, 2, 0), (done, 2, 0), (again, 0, 2)):
        assert (report["rows"], report["stored"], report["duplicates"]) == (7, stored, duplicates)
        assert [(one["line"], one["field"]) for one in report["rejected"]] == [
            (4, "external_id"), (5, "at"), (6, "at"), (7, "value"), (8, "value"),
        ]  # fmt: skip
        assert all(one["error"] for one in report["rejected"])
    assert (tried["rejects"], done["columns"]["Order No"], done["columns"]["Gift"]) == (None, "key", "gift")
    with Path(done["rejects"]).open(encoding="utf-8-sig", newline="") as rejects:
        assert [row["Order No"] for row in csv.DictReader(rejects)] == ["00125", "00126", "00127", "00128", "00129"]
    created = waymark.report(*asked, "--unknown", "create")
    assert (created["stored"], created["duplicates"], created["created_customers"]) == (1, 2, 1)
    shown = waymark("customers", "show", "c2").stdout
    assert "order.placed" in shown


def test_an_event_by_hand_happens_by_the_clocks_of_the_workspace(waymark: Terminal) -> None:
    said = ("events", "send", "c1", "page.seen", "--at", "2026-01-05 00:30", "--json")
    assert waymark(*said, WAYMARK_WORKSPACE_TIME_ZONE="Europe/Berlin").returncode == 0
    shown = waymark("customers", "show", "c1", WAYMARK_WORKSPACE_TIME_ZONE="UTC").stdout
    assert "Sunday, 04 January 2026  UTC\n  23:30 • page.seen" in shown


def test_mistakes_of_one_kind_are_told_once(waymark: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    rows = ",2026-01-01\n" * 3 + "".join(f"c{n},2026-01-01\n" for n in range(2, 4)) + "c1,never\n"
    file.write_text("customer,at\n" + rows)
    told = waymark("events", "import", str(file), "--event", "page.seen", "--dry-run").stderr
    assert [line.partition("orders.csv:")[2] for line in told.splitlines() if "✗" in line] == [
        "2: customer is missing: say to whom it happened (and 2 rows like it)",
        "5: nobody goes by 'c2' (and 1 row like it)",
        "7: at 'never' is no moment: write it like 2026-03-01T09:30:00+01:00",
    ]


def test_rejected_rows_are_never_written_over_the_file_that_they_come_from(waymark: Terminal, tmp_path: Path) -> None:
    file, apart = tmp_path / "orders.csv", tmp_path / "wrong.csv"
    file.write_text(content := "customer,event,at\nc1,page.seen,2026-01-01\nc1,page.seen,never\n")
    for command_ in (("events", "import"), ("import",)):
        refused = waymark(*command_, str(file), "--rejects", f"{tmp_path}/./orders.csv")
        assert (refused.returncode, file.read_text()) == (1, content)
        assert "is the file that is imported" in refused.stderr
    assert waymark("events", "import", str(file), "--dry-run", "--rejects", str(apart)).returncode == 0
    assert [row["line"] for row in csv.DictReader(apart.open(encoding="utf-8-sig"))] == ["3"]


def purchases() -> list[Order]:
    """A history as shops have it: numbers for customers, days without times, the same line twice, gifts for nothing."""
    chance = random.Random(7)
    bought = [
        (
            f"{chance.randint(1, 70):05}",
            datetime(1997, 1, 1, tzinfo=UTC) + timedelta(days=chance.randint(0, 400)),
            chance.choice(["11.77", "0.10", "0.20", "0", "14.96"]),
        )
        for _ in range(300)
    ]
    return sorted([*bought, *bought[:20]])


def test_what_a_history_of_orders_comes_to_is_there_when_it_is_imported(waymark: Terminal, tmp_path: Path) -> None:
    orders = purchases()
    people, history = tmp_path / "customers.csv", tmp_path / "history.csv"
    people.write_text("customer_id\n" + "".join(f"{name}\n" for name in sorted({name for name, *_ in orders})))
    history.write_text(
        "customer,event,at,value\n"
        + "".join(f"{name},order.placed,{at:%Y%m%d},{worth}\n" for name, at, worth in orders)
    )
    assert waymark("import", str(people)).returncode == 0
    for stored in (320, 0):
        assert waymark.report("events", "import", str(history), "--history")["stored"] == stored
    for zone, day in (("UTC", date(1997, 9, 15)), ("America/New_York", date(1998, 2, 1))):
        here = ZoneInfo(zone)
        printed = waymark("report", "rfm", "--as-of", day.isoformat(), "--json", WAYMARK_WORKSPACE_TIME_ZONE=zone)
        before = datetime.combine(day, time(), tzinfo=here)
        assert [Rfm(**json.loads(line, parse_float=Decimal)) for line in printed.stdout.splitlines()] == expected(
            orders, before, here
        )
    gone = waymark.report("segments", "preview", "--where", "{lifecycle: churned}")
    best = waymark.report("segments", "preview", "--where", "{value: {m: {at_least: 5}}}")
    bought = len({name for name, *_ in orders})
    assert (gone["count"], best["count"]) == (bought, bought // 5)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("customer,at\nc1,2026-01-01\n", [], "no column says what happened"),
        ("event,at\norder.placed,2026-01-01\n", [], "no column says who it happened to"),
        ("customer,event\nc1,order.placed\n", [], "no column says when it happened"),
        ("customer,event,at\n", ["--map", "Kunde=customer"], "has no column 'Kunde'"),
        ("customer,event,at\n", ["--map", "customer"], "--map 'customer' says nothing"),
        ("customer,event,at\n", ["--time-zone", "Mars/Olympus"], "'Mars/Olympus' is no time zone"),
        ("customer,at\n", ["--event", "Order Placed"], "is no name of an event"),
        ("", [], "is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_line_that_says_what_to_do(
    waymark: Terminal, tmp_path: Path, content: str, options: list[str], said: str
) -> None:
    file = tmp_path / "events.csv"
    file.write_text(content)
    ran = waymark("events", "import", str(file), *options)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2
    assert not (tmp_path / "events.rejects.csv").exists()
