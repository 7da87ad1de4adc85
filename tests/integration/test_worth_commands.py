"""`report rfm`, `report lifecycle` and `scores` at the terminal, on a real database and without a Temporal server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from records import tables
from records.database import address
from tests.terminal import command

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def waymark(database_url: str, tmp_path: Path) -> Run:
    """The command, over two customers: one ordered three times for ten cents, one once for 1200."""
    engine = create_engine(address(database_url))
    with engine.begin() as db:
        for name, values in (("7", ["0.10", "0.10", "0.10"]), ("é", ["1200"]), ("new", [])):
            row = {"external_id": name, "created_at": NOW, "updated_at": NOW}
            me = db.execute(insert(tables.customers).values(row).returning(tables.customers.c.id)).scalar_one()
            for number, value in enumerate(values):
                at = datetime(2024, 1, 10, 23, 30, tzinfo=UTC) - number * DAY
                event = {"customer_id": me, "name": "order.placed", "occurred_at": at, "received_at": at}
                db.execute(insert(tables.events).values(**event, value=Decimal(value)))
    engine.dispose()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WAYMARK_", "TEMPORAL_"))}
    clean |= {"WAYMARK_DATABASE_URL": database_url, "TEMPORAL_CONFIG_FILE": "/nonexistent"}

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return command("--home", str(tmp_path), *words, environment=clean | environment)

    return run


def test_recency_frequency_and_money_are_json_lines_with_exact_numbers(waymark: Run) -> None:
    done = waymark("report", "rfm", "--as-of", "2024-01-11", "--json")
    assert done.stdout.splitlines() == [
        '{"customer": "7", "recency_days": 1, "frequency": 3, "monetary": 0.3, "r": 1, "f": 2, "m": 1}',
        '{"customer": "é", "recency_days": 1, "frequency": 1, "monetary": 1200, "r": 2, "f": 1, "m": 2}',
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_days_begin_and_end_where_the_workspace_is(waymark: Run) -> None:
    done = waymark("report", "rfm", "--as-of", "2024-01-11", "--csv", WAYMARK_WORKSPACE_TIME_ZONE="Europe/Berlin")
    assert done.stdout.splitlines() == ["customer,recency_days,frequency,monetary,r,f,m", "7,1,2,0.2,1,1,1"]


def test_people_see_a_picture(waymark: Run) -> None:
    done = waymark("report", "rfm", "--as-of", "2024-01-11", "--limit", "1")
    for quintile in range(1, 6):
        assert f"\nr {quintile} " in done.stdout
    assert "2 customers with an event order.placed before 2024-01-11 00:00 UTC" in done.stderr
    for form, lines in (("--json", 1), ("--csv", 2)):
        done = waymark("report", "rfm", "--as-of", "2024-01-11", "--limit", "1", form)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, lines)


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "20260101", "0001-01-01", "2026-01-01T10:00"])
def test_a_day_that_is_none_is_refused(waymark: Run, day: str) -> None:
    done = waymark("report", "rfm", "--as-of", day)
    assert done.returncode == 1
    assert done.stderr == f"waymark: '{day}' is no day between 1900 and 2200.\n  Write it as YYYY-MM-DD.\n"


def test_another_event_may_be_the_order_and_nobody_is_nothing(waymark: Run) -> None:
    done = waymark("report", "rfm", "--event", "cart.updated", "--json")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_stages_are_worked_out_when_they_are_first_asked_for_and_those_of_newcomers_later(
    waymark: Run, tmp_path: Path
) -> None:
    found = json.loads(waymark("report", "lifecycle", "--json").stdout)
    assert (found["customers"], found["in_none"], found["moves"]) == (3, 0, [])
    assert {one["stage"]: one["customers"] for one in found["stages"]} == {
        "acquisition": 1, "nurture": 0, "mature": 0, "at_risk": 0, "churned": 2,
    }  # fmt: skip
    (newcomers := tmp_path / "newcomers.csv").write_text("email\nada@acme.example\nbo@acme.example\n")
    assert waymark("import", str(newcomers)).returncode == 0
    later = json.loads(waymark("report", "lifecycle", "--json").stdout)
    assert (later["stages"][0]["customers"], later["in_none"], later["moves"]) == (3, 0, [])


def test_rules_are_looked_at_before_they_are_brought_into_force(waymark: Run) -> None:
    looked = json.loads(waymark("scores", "rescore", "--dry-run", "--json").stdout)
    assert (looked["customers"], looked["same_rules"], looked["dry_run"]) == (3, False, True)
    assert sum(one["customers"] for one in looked["grades"]) == 3
    unasked = waymark("scores", "rescore")
    assert unasked.returncode == 1
    assert "Nobody is there to say yes" in unasked.stderr
    assert json.loads(waymark("scores", "explain", "7", "--json").stdout)["rules"] is None


def test_a_score_is_explained_also_without_rules(waymark: Run) -> None:
    found = json.loads(waymark("scores", "explain", "7", "--json").stdout)
    assert (found["external_id"], found["score"], found["grade"], found["rules"]) == ("7", 0, None, None)
    assert "No rules of scores are in force" in waymark("scores", "explain", "7").stderr
    assert "still to come" in waymark("scores", "explain", "7", "--at", "2199-01-01").stderr


def test_a_past_score_is_by_the_rules_of_then(waymark: Run, database_url: str) -> None:
    """Each order brings 10 points in the rules of 2024-02-01, 1 in those of 2024-03-01; before, there were none."""
    engine = create_engine(address(database_url))
    with engine.begin() as db:
        for points, month in ((10, 2), (1, 3)):
            rules = {
                "half_life": "never",
                "engagement": [{"name": "ordered", "on": "order.placed", "points": points}],
                "grades": {"fit": {"A": 3, "B": 2, "C": 1}, "activity": {"1": 30, "2": 20, "3": 10}},
            }
            row = {"name": "scoring", "definition": rules, "digest": str(points), "published_by": "marie"}
            db.execute(insert(tables.rulebooks).values(**row, published_at=datetime(2024, month, 1, tzinfo=UTC)))
    engine.dispose()

    def asked(*words: str) -> tuple[int, str, str]:
        found = json.loads(waymark("scores", "explain", "7", *words, "--json").stdout)
        return found["score"], found["rules"]["digest"], found["rules"]["in_force"]

    assert asked("--at", "2024-02-15") == (30, "10", "then")
    assert asked("--at", "2024-02-15", "--rules", "now") == (3, "1", "later")
    assert asked("--at", "2024-01-10") == (2, "1", "later")
    assert asked() == (3, "1", "then")
    shown = waymark("scores", "explain", "7", "--at", "2024-02-15")
    assert ["ordered", "3", "+30", "+30", "+30", "████████"] in [line.split() for line in shown.stdout.splitlines()]
    assert "By the rules of 2024-02-01 00:00 UTC (marie)." in shown.stderr
