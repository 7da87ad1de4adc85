"""What people get told at the terminal when they ask for what cannot be: one line each, and what to do next.

Errors go to standard error, standard output stays empty or parseable, and the exit code is 1.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Up, clean_environment
from tests.terminal import command
from workers import examining
from workers.settings import load_settings

HEAD = "journey: a\ntitle: A\nenter: api\nsteps:\n"
FAULTS = {
    "an unknown step": (f"{HEAD}  - sned: email/x\n", "5:5: 'sned' is no step; did you mean 'send'?"),
    "a misspelt key": (f"{HEAD}  - wait_for: {{on: e, upto: 1d}}\n", "5:23: 'upto' is not known here; did you mean"),
    "a duplicate id": (f"{HEAD}  - {{id: a, tag: x}}\n  - {{id: a, tag: y}}\n", "6:6: the id 'a' is taken by an earli"),
    "an impossible date": (f"{HEAD}  - set: {{plan: 2026-02-30}}\n", "5:17: 2026-02-30 is not a date that exists"),
    "a naive moment": (f"{HEAD}  - set: {{plan: 2026-01-01T10:00:00}}\n", "5:17: 2026-01-01T10:00:00 has no time zone"),
    "a wait of zero": (f"{HEAD}  - wait: 0d\n", "5:5: '0d' must be longer than nothing"),
    "a wait of a thousand years": (f"{HEAD}  - wait: 1000y\n", "5:5: '1000y' is longer than ten years"),
    "a tab": (f"{HEAD}  - tag: x\n\t- tag: y\n", "6:1: a tab: YAML indents with spaces only"),
    "an anchor": (f"{HEAD}  - &x {{tag: y}}\n", "5:5: anchors and aliases (&name, *name) are not read"),
    "ten megabytes": (HEAD + "  - tag: x\n" * 1_000_000, "1:1: the file has 11,000,038 bytes; at most"),
    "an undeclared field": (
        f"{HEAD}  - set: {{plam: x}}\n",
        "5:11: 'plam' is no field of a customer; did you mean 'pla",
    ),
    "an empty file": ("", "1:1: is empty"),
}


def waymark(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds nothing running."""
    return command("--home", str(home), *arguments, environment=clean_environment(**environment))


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    """What an error said: at most two lines, with the exit code 1 and nothing on standard output."""
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert 1 <= len(ran.stderr.splitlines()) <= 2, ran.stderr
    assert ran.stderr.startswith("waymark: ")
    return ran.stderr


# Maps


@pytest.fixture(scope="module")
def bad_maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bad")
    paths = {}
    for number, (name, (text, _)) in enumerate(FAULTS.items()):
        paths[name] = folder / f"map{number}.yaml"
        paths[name].write_text(text)
    return paths


@pytest.fixture(scope="module")
def validated(bad_maps: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """What `waymark journeys validate` says of all of them."""
    return waymark(bad_maps["a tab"].parent, "journeys", "validate", *map(str, bad_maps.values()))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_map_is_one_line_with_file_line_and_column(
    validated: subprocess.CompletedProcess[str], bad_maps: dict[str, Path], fault: str
) -> None:
    told = [line for line in validated.stderr.splitlines() if str(bad_maps[fault]) in line]
    assert [line for line in told if line.startswith(f"✗ {bad_maps[fault]}:{FAULTS[fault][1]}")], told


def test_all_faults_of_all_maps_are_told_at_once_and_the_exit_code_is_1(
    validated: subprocess.CompletedProcess[str],
) -> None:
    assert (validated.returncode, validated.stdout) == (1, "")
    *faults, unseen, summary = validated.stderr.splitlines()
    assert all(re.match(r"✗ .+\.yaml:\d+:\d+: ", line) for line in faults)
    assert "was not counted" in unseen
    assert summary == f"{len(faults)} problems. Nothing was published."


def test_the_faults_of_maps_are_one_json_document(bad_maps: dict[str, Path], tmp_path: Path) -> None:
    ran = waymark(tmp_path, "journeys", "validate", "--json", *map(str, bad_maps.values()))
    told: dict[str, Any] = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr, told["valid"]) == (1, "", False)
    assert {problem["file"] for problem in told["problems"]} == set(map(str, bad_maps.values()))


def test_a_message_that_is_missing_and_a_name_that_no_contact_has_are_told_before_publishing(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    body = templates / "email" / "welcome" / "en" / "body.txt"
    body.write_text("Hello\n{{ customer.frist_name }}\n")
    path = tmp_path / "map.yaml"
    path.write_text(f"{HEAD}  - send: email/welcome\n  - send: email/welcom\n")
    ran = waymark(tmp_path, "journeys", "publish", str(path), "--json", WAYMARK_TEMPLATES=str(templates))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.search(rf"{re.escape(str(path))}:5:\d+: email/welcome: .*body\.txt:2: .*frist_name", ran.stderr)
    assert re.search(rf"{re.escape(str(path))}:6:\d+: email/welcom: .*there is no email 'welcom'", ran.stderr)
    assert not (tmp_path / "postgres").exists()


# Contacts, events, runs, tasks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("events", "send", "nobody@acme.example", "order.placed"), "No customer goes by 'nobody@acme.example'."),
        (("enrol", "welcom", "gus"), "there is no published journey 'welcom'"),
        (("enrol", "welcome", "gus"), "is in this journey now"),
        (("customers", "show", "nobody"), "No customer goes by 'nobody'."),
        (("runs", "show", "999999"), "there is no run 999999"),
        (("runs", "resolve", "999999", "--as", "sent"), "999999"),
        (("runs", "list", "--status", "asleep"), "status 'asleep' is not known."),
        (("tasks", "claim", "999999"), "There is no task 999999."),
        (("tasks", "done", "999999", "--outcome", "lucky"), "outcome 'lucky' is not known."),
        (("journeys", "show", "nowhere"), "There is no published journey 'nowhere'."),
        (("events", "send", "gus", "Order Placed"), "'Order Placed' is no name of an event"),
        (("events", "send", "gus", "order.placed", "--at", "next tuesday"), "--at"),
        (("import", "nowhere.csv"), "nowhere.csv"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_what_is_not_there_is_named_in_one_line(up: Up, gus: str, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(up.waymark(*arguments, "--json", check=False))


@pytest.fixture(scope="module")
def gus(up: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A contact on the way through `welcome`."""
    people = tmp_path_factory.mktemp("gus") / "gus.csv"
    people.write_text("external_id,email,consent_email\ngus,gus@acme.example,yes\n")
    up.waymark("import", str(people))
    up.waymark("events", "send", "gus", "customer.signed_up")
    return "gus"


def test_of_several_contacts_those_who_can_enter_do_and_the_others_are_told(up: Up, gus: str) -> None:
    ran = up.waymark("enrol", "nurture", "gus", "nobody", "--json", check=False)
    entered, unknown = map(json.loads, ran.stdout.splitlines())
    assert (ran.returncode, ran.stderr) == (1, "")
    assert entered["customer"] == "gus"
    assert entered["enrolment"] > 0
    assert unknown == {"customer": "nobody", "error": "No customer goes by 'nobody'."}


def test_a_file_in_another_encoding_is_read(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes("email,first_name\nrené@acme.example,René\nzoe@acme.example,Zoë\n".encode("cp1252"))
    report = json.loads(up.waymark("import", str(path), "--json").stdout)
    assert report["created"] + report["unchanged"] == 2
    [zoe] = up.lines("customers", "list", "--search", "zoe@acme")
    assert zoe["first_name"] == "Zoë"


def test_a_row_of_bytes_that_mean_nothing_is_refused_by_its_line(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "noise.csv"
    path.write_bytes(b"email,first_name\n\x00\xff\xfe\x81\x00@acme.example,\x9d\nlou@acme.example,Lou\n")
    report = json.loads(up.waymark("import", str(path), "--json").stdout)
    assert (report["created"], [row["line"] for row in report["rejected"]]) == (1, [2])
    assert "damaged" in report["rejected"][0]["error"]


def test_a_file_that_is_no_table_is_refused_in_one_line(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00")
    assert f"{path} is a picture, not CSV" in refused(up.waymark("import", str(path), "--json", check=False))


def test_a_broken_quote_costs_its_own_row_only(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "quote.csv"
    path.write_text('email,first_name\nhal@acme.example,"Hal\nida@acme.example,Ida\n')
    report = json.loads(up.waymark("import", str(path), "--json").stdout)
    assert [row["line"] for row in report["rejected"]] == [2]
    assert "quote" in report["rejected"][0]["error"]
    assert [one["first_name"] for one in up.lines("customers", "list", "--search", "ida@acme")] == ["Ida"]


def test_a_contact_without_any_address_is_refused_by_its_line(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("external_id,email,phone,first_name\nx1,,,Nobody\nx2,kim@acme.example,,Kim\n")
    ran = up.waymark("import", str(path))
    assert "none.csv:2: email and phone are both missing" in ran.stderr
    assert "1 created" in ran.stdout


# Servers and settings


def test_doctor_names_each_server_that_refuses_and_what_nobody_may_read_is_not_said(tmp_path: Path) -> None:
    ran = waymark(
        tmp_path, "doctor", "--json",
        WAYMARK_DATABASE_URL="postgresql://ada:hunter2@127.0.0.1:1/none",
        TEMPORAL_ADDRESS="127.0.0.1:1",
        WAYMARK_SMTP_URL="smtp://ada:hunter2@127.0.0.1:1",
        WAYMARK_TWILIO_ACCOUNT_SID="AC1",
        WAYMARK_TWILIO_AUTH_TOKEN="hunter2",
        WAYMARK_TWILIO_FROM="+15005550006",
        WAYMARK_TWILIO_BASE_URL="http://127.0.0.1:1",
    )  # fmt: skip
    found = {one["part"]: one for one in map(json.loads, ran.stdout.splitlines())}
    assert (ran.returncode, ran.stderr) == (1, "")
    assert {part for part, one in found.items() if one["state"] == "wrong"} == {"database", "Temporal", "email", "sms"}
    assert "Connection refused" in found["database"]["detail"]
    assert "Temporal at 127.0.0.1:1 does not answer: Connection refused" in found["Temporal"]["detail"]
    assert all(one["hint"] for one in found.values() if one["state"] == "wrong")
    assert "hunter2" not in ran.stdout


@pytest.fixture
def silent() -> Iterator[list[int]]:
    """Ports of servers that take connections and say nothing."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()


async def test_doctor_names_each_server_that_says_nothing(
    tmp_path: Path, silent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "PATIENCE", 0.1)
    settings = load_settings(
        home=tmp_path, database_url="postgresql://127.0.0.1:1/none",
        smtp_url=f"smtp://ada:hunter2@127.0.0.1:{silent[0]}",
        twilio_account_sid="AC1", twilio_auth_token="hunter2", twilio_from="+15005550006",
        twilio_base_url=f"http://127.0.0.1:{silent[1]}",
    )  # fmt: skip
    found = {one.part: one for one in await examining.examine(settings)}
    assert (found["email"].state, found["sms"].state) == ("wrong", "wrong")
    assert f"127.0.0.1:{silent[0]} says nothing" in found["email"].detail
    assert f"127.0.0.1:{silent[1]} says nothing" in found["sms"].detail
    assert found["email"].hint
    assert found["sms"].hint
    assert "hunter2" not in str(found)


def test_a_console_on_a_port_in_use_names_it(up: Up) -> None:
    port = str(up.running.console_url).rpartition(":")[2]
    assert f"Port {port} of 127.0.0.1 is in use." in refused(up.waymark("console", "--port", port, check=False))


def test_a_command_whose_servers_do_not_answer_ends_at_once_with_their_names(tmp_path: Path) -> None:
    said = refused(waymark(tmp_path, "customers", "list", "--json", WAYMARK_DATABASE_URL="postgresql://127.0.0.1:1/x"))
    assert "The database does not answer" in said
    assert "port 1" in said
    assert "WAYMARK_DATABASE_URL" in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WAYMARK_SMTP_PORT", "none", "found 'none'"),
        ("WAYMARK_DATABASE_URL", "mysql://db/x", "must be an address like postgresql://host"),
        ("WAYMARK_WORKSPACE_TIME_ZONE", "Berlin", "must be an IANA time zone"),
        ("WAYMARK_SECRET", "short", "at least 16 characters"),
        ("WAYMARK_PROCESSES", "0", "greater than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_be_is_named_by_its_variable(tmp_path: Path, name: str, value: str, words: str) -> None:
    said = refused(waymark(tmp_path, "customers", "list", "--json", **{name: value}))
    assert said.startswith(f"waymark: {name}: ")
    assert words in said


def test_a_variable_that_is_no_setting_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    ran = waymark(tmp_path, "doctor", "--json", WAYMARK_DATABSE_URL="postgresql://db/x", WAYMARK_SMPT_URL="smtp://x")
    told = [(one["detail"], one["hint"]) for one in map(json.loads, ran.stdout.splitlines())]
    assert ("WAYMARK_DATABSE_URL is no setting", "Did you mean WAYMARK_DATABASE_URL?") in told
    assert ("WAYMARK_SMPT_URL is no setting", "Did you mean WAYMARK_SMTP_URL?") in told


def test_whoever_starts_a_worker_is_told_of_a_variable_that_is_no_setting(tmp_path: Path) -> None:
    told = waymark(tmp_path, "worker", WAYMARK_SMPT_URL="smtp://x").stderr
    assert "WAYMARK_SMPT_URL is no setting; did you mean WAYMARK_SMTP_URL?" in told
