"""`waymark tasks` and `waymark report` of sales at the terminal: what a rep and a manager read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from records.sales import tasks
from tests.integration.test_sales_desk import lead
from tests.unit.test_command_errors import waymark

Ask = Callable[..., subprocess.CompletedProcess[str]]
TEAM = """
threshold: 60
reps: [{name: Mei, email: mei@acme.example}, {name: Tom, email: tom@acme.example}]
"""


@pytest.fixture
async def ask(engine: AsyncEngine, database_url: str, tmp_path: Path) -> Ask:
    """`waymark ...` where Mei is late with a deal whose month is over, and Tom has something for tomorrow."""
    now = datetime.now(UTC)
    ann, bob = await lead(engine, "Ann"), await lead(engine, "Bob")
    async with engine.begin() as db:
        for customer, rep, due in ((ann, "Mei", now - timedelta(days=2)), (bob, "Tom", now + timedelta(days=1))):
            task = await tasks.create(
                db, customer_id=customer, queue="sales", title=f"Ring [{rep}]", now=now - timedelta(days=3),
                due_at=due, rule="qualified", assigned_to=rep,
            )  # fmt: skip
            assert task is not None
            if rep == "Mei":
                await tasks.change(db, task, pipeline="offer", amount=1000, expected_close=date(2020, 5, 4))
    (tmp_path / "handoff.yaml").write_text(TEAM)

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        around = {"WAYMARK_DATABASE_URL": database_url, "WAYMARK_DEFINITIONS": str(tmp_path)}  # and no Temporal
        return waymark(*arguments, home=tmp_path / "home", **around, **settings)

    return run


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_what_is_late_is_marked_and_what_is_over_comes_last(ask: Ask) -> None:
    assert "Ring [Mei] Ann Mei open, late" in said(ask("tasks", "list"))
    said(ask("tasks", "done", "1", "--rep", "mei", "--outcome", "lost", "--reason", "too dear"))
    listed = [json.loads(line) for line in ask("tasks", "list", "--json").stdout.splitlines()]
    assert [(one["id"], one["outcome"]) for one in listed] == [(2, None), (1, "lost")]
    shown = said(ask("tasks", "show", "1"))
    assert "reach ann@customers.example" in shown.lower()
    assert "done: Mei, lost" in shown


def test_a_deal_whose_month_is_over_is_seen_in_the_forecast(ask: Ask) -> None:
    assert "2020-05 (past) 1 1,000 500" in said(ask("report", "forecast"))
    [month] = [json.loads(line) for line in ask("report", "forecast", "--json").stdout.splitlines()]
    assert month == {"month": "2020-05", "count": 1, "amount": 1000, "weighted": 500}


def test_the_day_of_all_and_of_one_however_the_name_is_written(ask: Ask) -> None:
    whole = said(ask("report", "sales-day", WAYMARK_WORKSPACE_CURRENCY="EUR"))
    assert "Mei 0 0 0 0 1 1" in whole
    assert "Overdue (1) 1 Ring [Mei] Ann Mei due" in whole
    assert "offer: 1, 1,000 EUR (weighted 500 EUR)" in whole
    assert "Due by the end of" in said(ask("report", "sales-day", "--rep", "tom"))
    refused = ask("report", "sales-day", "--rep", "Ann")
    assert (refused.returncode, "'Ann' is no rep" in refused.stderr) == (1, True)
