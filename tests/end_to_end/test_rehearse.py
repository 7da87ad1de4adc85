"""`waymark rehearse` as people run it: what it prints, what it leaves alone, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.conftest import ROOT, clean_environment, until
from tests.patience import PATIENCE, gone
from tests.terminal import command

COMMAND = [sys.executable, "-m", "workers"]
REAL_SERVERS = {
    "WAYMARK_DATABASE_URL": "postgresql://someone@127.0.0.1:1/production",
    "WAYMARK_SMTP_URL": "smtp://127.0.0.1:1",
    "WAYMARK_TWILIO_ACCOUNT_SID": "ACproduction",
    "WAYMARK_TWILIO_AUTH_TOKEN": "production",
    "WAYMARK_TWILIO_FROM": "+15005550001",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
}
"""What stands in the environment of a live workspace. None of it answers: whoever asks it fails."""
MAP = """
journey: hello
title: Hello & <welcome>
enter: {on: customer.signed_up}
steps:
  - {id: hello, send: email/welcome}
  - {id: a-day, wait: 1d}
  - {id: text, send: sms/taster_nudge}
"""
CUSTOMERS = """external_id,email,phone,first_name,time_zone,email_consent,sms_consent
ann,ann@contacts.example,+4915112345678,<b>Ann</b>,Europe/Berlin,yes,yes
,bob@contacts.example,,Bob,,yes,no
broken,no address,,,,,
"""
EVENTS = """customer,event,at
ann,customer.signed_up,+9h
bob@contacts.example,customer.signed_up,+10h
nobody,customer.signed_up,+10h
ann,order.placed,soon
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The folder for temporary files: apart from pytest's own, which other users may not enter."""
    folder = Path(tempfile.mkdtemp(prefix="wm-scratch-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The arguments of a small rehearsal."""
    for name, text in (("hello.yaml", MAP), ("customers.csv", CUSTOMERS), ("events.csv", EVENTS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [
        str(tmp_path / "hello.yaml"), "--customers", str(tmp_path / "customers.csv"),
        "--events", str(tmp_path / "events.csv"), "--from", "2026-03-02T00:00",
    ]  # fmt: skip


def environment(scratch: Path) -> dict[str, str]:
    return clean_environment(WAYMARK_HOME=str(scratch / "home"), TMPDIR=str(scratch), **REAL_SERVERS)


def waymark(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command("rehearse", *arguments, environment=environment(scratch))


def left(scratch: Path) -> list[str]:
    """What is still there."""
    return [one.name for one in scratch.iterdir()]


def test_it_prints_a_line_a_message_and_a_line_a_run_and_asks_no_live_server(scratch: Path, files: list[str]) -> None:
    ran = waymark(scratch, *files, "--json")
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [
        {
            "customer": "ann", "journey": "hello", "version": 1, "step": "hello", "visit": 1, "channel": "email",
            "message": "email/welcome", "at": "2026-03-02T09:00:00Z", "status": "sent", "because": None,
        },
        {
            "customer": "bob@contacts.example", "journey": "hello", "version": 1, "step": "hello", "visit": 1,
            "channel": "email", "message": "email/welcome", "at": "2026-03-02T10:00:00Z", "status": "sent",
            "because": None,
        },
        {
            "customer": "ann", "journey": "hello", "version": 1, "step": "text", "visit": 1, "channel": "sms",
            "message": "sms/taster_nudge", "at": "2026-03-03T09:00:00Z", "status": "sent", "because": None,
        },
        {
            "customer": "bob@contacts.example", "journey": "hello", "version": 1, "step": "text", "visit": 1,
            "channel": "sms", "message": "sms/taster_nudge", "at": "2026-03-03T10:00:00Z", "status": "skipped",
            "because": "no phone number",
        },
        {"customer": "ann", "journey": "hello", "outcome": "completed", "at": "2026-03-03T09:00:00Z"},
        {"customer": "bob@contacts.example", "journey": "hello", "outcome": "completed", "at": "2026-03-03T10:00:00Z"},
    ]  # fmt: skip
    for told in ("customers.csv:4: ", "events.csv:4: 'nobody' is none of the contacts", "events.csv:5: "):
        assert told in ran.stderr
    assert left(scratch) == []


def test_the_page_is_written_and_a_table_is_shown(tmp_path: Path, scratch: Path, files: list[str]) -> None:
    page = tmp_path / "page.html"
    ran = waymark(scratch, *files, "--days", "5", "--html", str(page))
    assert ran.returncode == 0, ran.stderr
    assert "Hello & <welcome>" in ran.stdout
    assert str(page) in ran.stderr
    text = page.read_text(encoding="utf-8")
    assert "Hello &amp; &lt;welcome&gt;" in text
    assert "<b>Ann</b>" not in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_leaves_nothing_running_and_nothing_behind(
    scratch: Path, files: list[str], number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "rehearse", *files, "--days", "3000"], cwd=ROOT, env=environment(scratch), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    until(lambda: process.poll() is not None or any(left(scratch)))
    family = until(lambda: process.poll() is not None or psutil.Process(process.pid).children(recursive=True))
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 130), said
    assert left(scratch) == []
    if isinstance(family, list):
        assert gone(family)
    mine = [one for one in psutil.process_iter(["cmdline"]) if str(scratch) in " ".join(one.info["cmdline"] or [])]
    assert mine == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("welcom", "--customers", "customers.csv"), "welcom"),
        (("hello.yaml", "--customers", "nobody.csv"), "nobody.csv"),
        (("hello.yaml", "--customers", "empty.csv"), "no contact that can be read"),
        (("hello.yaml", "--customers", "customers.csv", "--from", "yesterday"), "yesterday"),
        (("hello.yaml", "--customers", "customers.csv", "--html", "missing/page.html"), "page.html"),
        (("broken.yaml", "--customers", "customers.csv"), "broken.yaml:"),
        (("hello.yaml", "--customers", "customers.csv", "--events", "customers.csv"), "no column is named"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_in_a_line(
    tmp_path: Path, scratch: Path, files: list[str], arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty.csv").write_text("email\nnobody\n", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(MAP.replace("send:", "sent:"), encoding="utf-8")
    given = [str(tmp_path / one) if "." in one else one for one in arguments]
    ran = waymark(scratch, *given)
    assert ran.returncode == 1
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert left(scratch) == []
