"""At the terminal every error is one line, what to do next, and an exit code; data and messages never mix."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from journeys.errors import WaymarkError
from tests.terminal import command
from workers.commands.failing import report
from workers.commands.options import options

ROOT = Path(__file__).parents[2]


def waymark(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with nothing of our own environment but the path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WAYMARK_", "TEMPORAL_"))}
    around = {**clean, "TEMPORAL_CONFIG_FILE": "/nonexistent", **environment}
    return command("--home", str(home), *arguments, environment=around)


@pytest.fixture(autouse=True)
def _no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "debug", False)


def test_an_error_that_a_person_can_act_on_is_two_lines_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(WaymarkError("The relay is away.", hint="Start it.")) == 1
    shown = capsys.readouterr()
    assert shown.err == "waymark: The relay is away.\n  Start it.\n"
    assert shown.out == ""


def test_an_unexpected_error_is_one_line_that_points_to_debug_and_exit_code_70(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(KeyError("what\nis this")) == 70
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert "--debug" in shown[1]


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "debug", True)
    with pytest.raises(WaymarkError) as caught:
        raise WaymarkError("The relay is away.")
    assert report(caught.value) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "test_debug_shows_the_traceback" in shown


def test_a_database_that_is_away_is_no_unexpected_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(OperationalError("SELECT 1", {}, OSError("connection refused"))) == 1
    assert "connection refused" in capsys.readouterr().err


def test_a_message_is_not_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    report(WaymarkError("[red]x[/] in definitions/a[1].yaml"))
    assert "[red]x[/] in definitions/a[1].yaml" in capsys.readouterr().err


def test_an_error_in_a_group_of_one_is_told_as_itself() -> None:
    assert report(ExceptionGroup("several", [WaymarkError("The relay is away.")])) == 1


def test_wrong_usage_ends_with_2_and_says_so_on_stderr(tmp_path: Path) -> None:
    ran = waymark("runs", "lst", home=tmp_path)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "lst" in ran.stderr


def test_the_version_is_printed_on_stdout(tmp_path: Path) -> None:
    ran = waymark("--version", home=tmp_path)
    assert ran.returncode == 0
    assert ran.stdout.startswith("waymark ")


def test_a_wrong_setting_is_named_before_anything_is_done(tmp_path: Path) -> None:
    ran = waymark("customers", "list", home=tmp_path, WAYMARK_DATABASE_URL="mysql://x/y")
    assert ran.returncode == 1
    assert ran.stderr.startswith("waymark: WAYMARK_DATABASE_URL:")
    assert not list(tmp_path.iterdir())


def test_a_command_that_needs_temporal_says_how_to_start_it(tmp_path: Path) -> None:
    ran = waymark("worker", home=tmp_path)
    assert ran.returncode == 1
    assert "waymark up" in ran.stderr
    assert "TEMPORAL_ADDRESS" in ran.stderr


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://ada:hunter2@127.0.0.1:1/none"
    ran = waymark("customers", "list", home=tmp_path, WAYMARK_DATABASE_URL=url)
    assert ran.returncode == 1
    assert "does not answer" in ran.stderr
    assert "hunter2" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_broken_map_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("journey: broken\ntitle: Broken\nenter: api\nsteps:\n  - snd: email/welcome\n")
    ran = waymark("journeys", "validate", str(path), home=tmp_path)
    assert ran.returncode == 1
    assert f"{path}:5:" in ran.stderr
    assert "send" in ran.stderr


def test_the_problems_of_a_map_are_one_json_document_on_stdout(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("journey: broken\ntitle: Broken\nenter: api\nsteps: []\n")
    ran = waymark("journeys", "validate", str(path), "--json", home=tmp_path)
    assert ran.returncode == 1
    found = json.loads(ran.stdout)
    assert found["valid"] is False
    assert found["problems"][0]["line"] == 4


def test_init_lays_out_a_workspace_once_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert waymark("init", str(folder), home=tmp_path).returncode == 0
    assert (folder / "definitions" / "fields.yaml").exists()
    assert (folder / "templates" / "email").is_dir()
    changed = folder / "definitions" / "fields.yaml"
    changed.write_text("fields: {}\n")
    again = waymark("init", str(folder), home=tmp_path)
    assert again.returncode == 1
    assert changed.read_text() == "fields: {}\n"


def test_doctor_lists_every_part_as_json_lines_and_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    ran = waymark("doctor", "--json", home=tmp_path, WAYMARK_DATABSE_URL="x")
    assert ran.returncode == 1
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    states = {one["part"]: one["state"] for one in found}
    assert states["Python"] == "ok"
    assert states["database"] == "ok"
    assert states["Temporal"] == "wrong"
    assert "WAYMARK_DATABASE_URL" in next(one["hint"] for one in found if one["part"] == "settings")
    assert all(one["hint"] for one in found if one["state"] == "wrong")
