"""`waymark demo`: run once for all of these tests, which then look at what it said and at what it left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from tests.end_to_end.conftest import ROOT, clean_environment, until
from tests.patience import PATIENCE, gone
from workers import running
from workers.server.postgres import EmbeddedPostgres

LONGEST = 600.0
"""Seconds for 45 days on a machine that others use as well; alone it is a minute."""
REAL_SERVERS = {
    "WAYMARK_DATABASE_URL": "postgresql://someone@127.0.0.1:1/production",
    "WAYMARK_SMTP_URL": "smtp://127.0.0.1:1",
    "WAYMARK_TWILIO_ACCOUNT_SID": "ACproduction",
    "WAYMARK_TWILIO_AUTH_TOKEN": "production",
    "WAYMARK_TWILIO_BASE_URL": "http://127.0.0.1:1",
    "WAYMARK_TWILIO_FROM": "+15005550001",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "TEMPORAL_NAMESPACE": "production",
}
"""What may stand in the environment of somebody who tries the demo. None of it answers."""
PLAYED = {"welcome", "nurture", "renewal", "win_back"}
"""What the sample tells of in full; orders and baskets in it begin two journeys more."""
JOURNEYS = {*PLAYED, "abandoned_cart", "birthday", "holiday_greetings", "post_purchase", "re_permission"}


@dataclass(frozen=True)
class Demo:
    """A demo that has ended, or that runs."""

    base: Path
    environment: dict[str, str]
    code: int | None = None
    out: str = ""
    err: str = ""

    @property
    def home(self) -> Path:
        """The demo's own folder."""
        return self.base / "demo"

    def waymark(self, *arguments: str) -> str:
        """What another command over the demo's home prints."""
        ran = subprocess.run(
            [sys.executable, "-m", "workers", "--home", str(self.home), *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.waymark(*arguments, "--json").splitlines()]

    def left_behind(self) -> list[psutil.Process]:
        """Every living process that has to do with the demo's folder."""
        mine = str(self.base)
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                names_it = any(mine in word for word in process.info["cmdline"] or [])
                if names_it or process.environ().get("WAYMARK_HOME", "").startswith(mine):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`waymark demo --once`, from nothing to its end."""
    base = tmp_path_factory.mktemp("demo")
    ran = subprocess.run(
        [sys.executable, "-m", "workers", "demo", "--once", "--home", str(base)],
        cwd=base, env=clean_environment(WAYMARK_PROCESSES="2", **REAL_SERVERS), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    return Demo(base, clean_environment(), ran.returncode, ran.stdout, ran.stderr)


def test_it_ends_by_itself_and_leaves_no_process(demo: Demo) -> None:
    assert demo.code == 0, demo.err
    assert demo.left_behind() == []
    assert not (demo.home / "running.json").exists()


def test_two_hundred_contacts_come_in_and_each_dirty_row_is_told_by_line_and_reason(demo: Demo) -> None:
    told = re.findall(r"^✗ customers\.csv:(\d+): (.{10,})$", demo.err, re.MULTILINE)
    assert len(told) >= 12
    assert len({line for line, _ in told}) == len({reason for _, reason in told}) == len(told)
    assert f"214 rows: 200 created, 0 updated, 0 unchanged, {len(told)} rejected." in demo.out
    assert len(demo.lines("customers", "list", "--limit", "1000")) == 200


def test_the_journeys_took_people_in_wrote_to_them_and_saw_what_they_did(demo: Demo) -> None:
    figures = {one["journey"]: one for one in demo.lines("journeys", "list")}
    assert set(figures) == JOURNEYS
    for name in PLAYED:
        for figure in ("enrolled", "sent", "opened", "clicked", "exited", "finished"):
            assert figures[name][figure] > 0, (name, figure)
    assert all(figures[name]["sent"] > 0 for name in ("abandoned_cart", "post_purchase"))
    assert {(one["uncertain"], one["failed"]) for one in figures.values()} == {(0, 0)}
    assert sum(one["qualified"] for one in figures.values()) > 0
    assert sum(one["converted"] for one in figures.values()) > 0


def test_sales_has_won_lost_and_put_back_leads_and_has_some_to_call(demo: Demo) -> None:
    tasks = demo.lines("tasks", "list", "--limit", "1000")
    assert {task["outcome"] for task in tasks if task["status"] == "done"} == {"won", "lost", "nurture"}
    waiting = [task for task in tasks if task["status"] == "open"]
    assert waiting
    assert all(task["because"] and task["due_at"] and task["details"]["recent"] for task in waiting)


def test_it_ends_with_a_summary_the_tasks_and_one_contacts_story(demo: Demo) -> None:
    assert "45 days later" in demo.out
    for title in ("Welcome series", "Office coffee nurture", "Season renewal", "Win back"):
        assert title in demo.out
    assert re.search(r"Sales: \d+ tasks done \(\d+ won, \d+ lost, \d+ nurture\), \d+ waiting", demo.out)
    assert re.search(r"✉ email/\w+ sent", demo.out)
    assert re.search(r"← left \w+: \w+", demo.out)
    assert "could not happen" not in demo.err
    assert "Traceback" not in demo.out + demo.err
    assert max(map(len, demo.out.partition("45 days later")[2].splitlines()[1:])) <= 80


def test_where_to_look_while_it_runs_stands_at_its_start(demo: Demo) -> None:
    assert re.search(r"Mail +caught, inbox http://127\.0\.0\.1:\d+", demo.err)
    assert re.search(r"Temporal +Web UI http://127\.0\.0\.1:\d+", demo.err)


def test_the_records_are_there_afterwards(demo: Demo) -> None:
    story = json.loads(demo.waymark("customers", "show", "K1137", "--json"))
    told = Counter(entry["kind"] for entry in story["timeline"])
    assert {"entered", "event", "touch", "score", "stage", "task", "task_done", "left"} <= set(told)
    moments = [datetime.fromisoformat(entry["at"]) for entry in story["timeline"]]
    assert moments == sorted(moments)
    [run] = demo.lines("runs", "list", "--customer", "K1137")
    shown = json.loads(demo.waymark("runs", "show", str(run["id"]), "--json"))
    assert [touch["status"] for touch in shown["touches"]] == ["sent"] * told["touch"]
    assert shown["path"]


def test_whoever_earned_points_in_a_turn_stands_in_the_segment_that_asks_for_them(demo: Demo) -> None:
    member = "EXISTS (SELECT FROM segment_members WHERE customer_id = id AND segment = '{}')"
    asked = f"""
        SELECT id, {member.format("potential")} FROM customers LEFT JOIN customer_values ON customer_id = id
        WHERE {member.format("potential")} <> (NOT {member.format("high_value")}
            AND (coalesce(r >= 4 AND m >= 3, false) OR coalesce(lifecycle = 'acquisition' AND score >= 40, false)))
    """
    with ledger(demo.home) as db:
        assert db.execute(asked).fetchall() == []


def test_the_ledger_agrees_with_the_mail_server_and_the_provider_message_by_message(demo: Demo) -> None:
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in (demo.home / "mail" / "new").iterdir()
    ]
    mailed = Counter(str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in mails)
    recipients = {str(mail["Message-ID"]).strip("<>").partition("@")[0]: str(mail["Delivered-To"]) for mail in mails}
    texted = {json.loads(line)["sid"] for line in (demo.home / "sms" / "texts.jsonl").read_text().splitlines()}
    with ledger(demo.home) as db:
        rows = db.execute("SELECT channel, status, key, address, provider_id FROM touches").fetchall()
    emails = {key: address for channel, status, key, address, _ in rows if (channel, status) == ("email", "sent")}
    texts = [sid for channel, status, _, _, sid in rows if (channel, status) == ("sms", "sent")]
    assert set(mailed.values()) == {1}
    assert recipients == emails
    assert len(emails) > 400
    assert len(texts) == len(texted) > 0
    assert set(texts) == texted
    assert {status for _, status, *_ in rows} <= {"sent", "skipped"}


@contextmanager
def ledger(home: Path) -> Iterator[psycopg.Connection]:
    """The database of a home folder, for as long as somebody looks into it."""
    server = EmbeddedPostgres(home / "postgres")
    with psycopg.connect(server.start()) as connection:
        yield connection
    server.stop()


SHORT = "from workers import demo; demo.DAYS = 1; from workers.command import main; main()"
"""The same program with fewer days to pass."""


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[tuple[Demo, subprocess.Popen[str], Path]]:
    """`waymark demo` without --once, up to where it waits."""
    said = tmp_path / "said"
    environment = clean_environment()
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", SHORT, "demo", "--home", str(tmp_path)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, text=True,
        )  # fmt: skip
    try:
        yield Demo(tmp_path, environment), process, said
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def test_without_once_it_stays_up_to_be_looked_at_until_ctrl_c(
    staying: tuple[Demo, subprocess.Popen[str], Path],
) -> None:
    demo, process, said = staying
    until(lambda: "Press Ctrl-C" in said.read_text() or process.poll() is not None)
    assert process.poll() is None, said.read_text()
    until(lambda: "Look closer in another terminal" in said.read_text())
    found = running.read(demo.home)
    assert found is not None
    for page in (found.inbox_url, found.sms_url, found.temporal_ui):
        assert page is not None
        assert page in said.read_text()
        assert httpx.get(page, timeout=PATIENCE).status_code == 200
    assert len(demo.lines("customers", "list", "--limit", "1000")) == 200
    assert {one["state"] for one in demo.lines("doctor")} == {"ok"}

    again = subprocess.run(
        [sys.executable, "-m", "workers", "demo", "--once", "--home", str(demo.base)],
        cwd=ROOT, env=demo.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (1, "")
    assert "already running" in again.stderr

    family = demo.left_behind()
    assert len(family) > 6
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert gone(family)
    assert demo.left_behind() == []


def test_ctrl_c_in_the_middle_of_the_days_ends_it_in_order(staying: tuple[Demo, subprocess.Popen[str], Path]) -> None:
    demo, process, said = staying
    until(lambda: "Published:" in said.read_text() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) in (0, 130), said.read_text()
    assert "Traceback" not in said.read_text()
    assert demo.left_behind() == []
