"""`waymark replay`: whether runs under way go on with this release, before it is put into service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, Up, clean_environment, until
from tests.ports import quiet_ports
from tests.terminal import command

CLICKED = ROOT / "tests" / "histories" / "0.1" / "clicked.json"


def replay(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return command("--home", str(home), "replay", *arguments, environment=clean_environment(**environment))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with a run that went on as it does now, and one that went another way."""
    folder = tmp_path / "histories"
    folder.mkdir()
    (folder / "same.json").write_text(CLICKED.read_text())
    (folder / "other.json").write_text(CLICKED.read_text().replace('"deliver"', '"hand_over"'))
    return folder


def test_without_a_server_the_histories_of_the_release_are_replayed(tmp_path: Path) -> None:
    ran = replay(tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "0 do not fit shape" in ran.stdout
    assert "No open runs are replayed" in ran.stderr


def test_one_that_does_not_fit_is_named_with_the_reason_in_one_line(tmp_path: Path, other: Path) -> None:
    ran = replay(tmp_path, "--histories", str(other))
    assert ran.returncode == 1
    told, summary = ran.stdout.splitlines()
    assert told.startswith("✗ other.json: ")
    assert "hand_over" in told
    assert summary == "2 replayed, 1 do not fit shape 1 of the workflow."


def test_programs_get_a_line_for_each(tmp_path: Path, other: Path) -> None:
    ran = replay(tmp_path, "--histories", str(other), "--json")
    assert ran.returncode == 1
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(line["name"], line["fits"]) for line in lines] == [("other.json", False), ("same.json", True)]
    assert lines[0]["because"]
    assert lines[1]["because"] is None


def test_open_runs_of_a_live_server_are_replayed_too(up: Up, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("external_id,email,consent_email\nreplayed,replayed@acme.example,yes\n")
    up.waymark("import", str(people))
    up.waymark("enrol", "welcome", "replayed")
    [run] = up.lines("runs", "list", "--customer", "replayed")
    name = f"journey/welcome/{run['customer_id']}/"
    (tmp_path / "same.json").write_text(CLICKED.read_text())
    asked = ("replay", "--sample", "1000", "--histories", str(tmp_path))
    found = until(lambda: [line for line in up.lines(*asked) if line["name"].startswith(name)])
    assert [line["fits"] for line in found] == [True]
    assert all(one["state"] == "ok" for one in up.lines("doctor"))


def test_a_server_that_was_asked_for_and_does_not_answer_is_an_error(tmp_path: Path) -> None:
    [port] = quiet_ports(1)
    ran = replay(tmp_path, "--sample", "5", TEMPORAL_ADDRESS=f"127.0.0.1:{port}")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "does not answer" in ran.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "is no history"), ("[]", "is no history"), ("{}", "is no history"), ('{"events": []}', "is no history"),
     ('{"events": [{"eventId": "1"}]}', "is no history"), ('{"events": 7}', "is no history"),
     ('{"events": [{"eventType": "EVENT_TYPE_UNHEARD_OF"}]}', "is no history")],
)  # fmt: skip
def test_a_file_that_is_no_history_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "wrong.json").write_text(content)
    ran = replay(tmp_path, "--histories", str(tmp_path))
    assert ran.returncode == 1
    assert "wrong.json" in ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_without_histories_is_named(tmp_path: Path) -> None:
    ran = replay(tmp_path, "--histories", str(tmp_path / "none"))
    assert ran.returncode == 1
    assert "holds no histories" in ran.stderr
