"""`waymark segments` at the terminal, against a real database."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.publishing import publish
from journeys.loading import parse
from records.audience import segments
from records.people import upserts
from records.people.contacts import Contact
from tests.unit.test_command_errors import waymark

Ask = Callable[..., subprocess.CompletedProcess[str]]
FILES = {
    "fields.yaml": "fields:\n  plan: {type: text}\n",
    "segments/vips.yaml": "segment: vips\ntitle: VIPs\nwhere: {tag: vip}\n",
    "segments/others.yaml": "segment: others\ntitle: Others\nwhere: {not: {segment: vips}}\n",
}

CARE = "journey: care\ntitle: Care\nenter: {segment: vips}\nsteps:\n  - wait: 1d\n"


@pytest.fixture
async def ask(engine: AsyncEngine, database_url: str, tmp_path: Path) -> Ask:
    """`waymark segments ...` with six customers, two of whom are VIPs, and two segments in files."""
    async with engine.begin() as db:
        for number in range(6):
            contact = Contact(external_id=f"c-{number}", tags=("vip",) if number < 2 else ())
            await upserts.upsert(db, contact, now=datetime.now(UTC))
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        around = {"WAYMARK_DATABASE_URL": database_url, "WAYMARK_DEFINITIONS": str(tmp_path)}  # and no Temporal
        return waymark("segments", *arguments, home=tmp_path / "home", **around)

    return run


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_from_the_file_to_the_members(ask: Ask) -> None:
    assert [(one["segment"], one["became"]) for one in lines(ask("publish", "--json"))] == [
        ("vips", "new"), ("others", "new"),
    ]  # fmt: skip
    before = document(ask("preview", "vips", "--json"))
    assert (before["count"], before["members"], before["entering"], before["leaving"]) == (2, 0, 2, 0)
    done = ask("evaluate", "--json")
    assert [(one["segment"], one["entered"], one["asked"]) for one in lines(done)] == [
        ("vips", 2, None), ("others", 4, None),
    ]  # fmt: skip
    assert done.stderr == ""
    assert None not in [one["asked"] for one in lines(ask("evaluate", "--json"))]
    assert [one["asked"] for one in lines(ask("evaluate", "vips", "--full", "--json"))] == [None]
    first = lines(ask("members", "others", "--limit", "3", "--json"))
    rest = lines(ask("members", "others", "--after", str(first[-1]["customer_id"]), "--json"))
    assert [one["external_id"] for one in first + rest] == ["c-2", "c-3", "c-4", "c-5"]
    assert all(one["since"] for one in first)
    assert {one["name"]: one["members"] for one in lines(ask("list", "--json"))} == {"others": 4, "vips": 2}


async def test_members_are_worked_out_without_temporal_and_journeys_hear_of_it_later(
    ask: Ask, engine: AsyncEngine
) -> None:
    async with engine.begin() as db:
        await publish(db, [parse(CARE)], now=datetime.now(UTC), by="test")
    lines(ask("publish", "--json"))
    done = ask("evaluate", "vips", "--json")
    assert [(one["segment"], one["entered"]) for one in lines(done)] == [("vips", 2)]
    assert "Temporal does not answer now; journeys hear of it within a minute of its return." in done.stderr
    async with engine.connect() as db:
        assert [one.properties for one in await segments.unrouted(db, limit=9)] == [{"segment": "vips"}] * 2


def test_a_preview_shows_count_sample_and_plan_of_any_condition(ask: Ask) -> None:
    where = "{not: {tag: vip}}"
    found = document(ask("preview", "--where", where, "--limit", "2", "--json"))
    assert (found["segment"], found["count"], found["members"]) == (None, 4, 0)
    assert [one["external_id"] for one in found["sample"]] == ["c-2", "c-3"]
    assert found["plan"]["tree"]["Node Type"]
    assert "customers" in "\n".join(found["plan"]["lines"])
    shown = ask("preview", "--where", where)
    assert "4 customers meet it now; 0 are in it. 4 would enter, 0 would leave." in shown.stderr
    assert "customers" in shown.stdout


@pytest.mark.parametrize(
    ("where", "refusal"),
    [
        ("{segment: own}", "own.yaml:3:9: the segment own asks for itself"),
        ("{segment: nobody}", "own.yaml:3:9: 'nobody' is no segment"),
        ("{field: {name: plam, is: home}}", "own.yaml:3:17: 'plam' is no field of a customer; did you mean 'plan'?"),
        ("{field: {name: plan, at_least: 5}}", "own.yaml:3:29: plan holds text"),
    ],
)
def test_a_file_that_cannot_be_is_refused_at_the_word(ask: Ask, tmp_path: Path, where: str, refusal: str) -> None:
    (tmp_path / "segments" / "own.yaml").write_text(f"segment: own\ntitle: Own\nwhere: {where}\n")
    for command in (("publish",), ("preview", "own"), ("preview", str(tmp_path / "segments" / "own.yaml"))):
        done = ask(*command)
        assert done.returncode == 1
        assert refusal in done.stderr
        assert "Traceback" not in done.stderr
    assert lines(ask("list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("preview",), "Say what to preview."),
        (("preview", "vips", "--where", "{tag: x}"), "Say what to preview."),
        (("preview", "vipz"), "did you mean 'vips'?"),
        (("preview", "--where", "{tag: x"), "--where:"),
        (("preview", "--where", "vip"), "--where:1:1: 'vip' is no condition"),
        (("preview", "--where", "{all: [{tag: x}, {segment: vip}]}"), "--where:1:19: 'vip' is no segment"),
        (("evaluate", "vips"), "is no segment in force"),
        (("members", "vips"), "There is no segment 'vips' in force."),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line_that_says_why(ask: Ask, arguments: tuple[str, ...], refusal: str) -> None:
    done = ask(*arguments)
    assert done.returncode == 1
    assert refusal in done.stderr
    assert "Traceback" not in done.stderr
