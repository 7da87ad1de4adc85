"""`waymark up` as a real process: everything runs, other commands find it, and nothing is left behind."""

import re
import signal
from pathlib import Path

import httpx

from tests.end_to_end.conftest import Starter, Up, until
from tests.patience import PATIENCE, gone

PEOPLE = "external_id,email,phone,first_name,consent_email,consent_sms\n{id},{id}@acme.example,,Ada,yes,yes\n"


def imported(up: Up, folder: Path, name: str) -> str:
    path = folder / f"{name}.csv"
    path.write_text(PEOPLE.format(id=name))
    up.waymark("import", str(path))
    return name


def test_a_contact_signs_up_and_receives_the_welcome_mail(up: Up, tmp_path: Path) -> None:
    name = imported(up, tmp_path, "ada")
    up.waymark("events", "send", name, "customer.signed_up", "--key", "ada-1")

    def mails() -> list[dict[str, str]]:
        found = httpx.get(f"{up.running.inbox_url}/api/messages", timeout=PATIENCE).json()["messages"]
        return [mail for mail in found if "ada@acme.example" in mail["recipients"]]

    [mail] = until(mails)
    assert "taster box" in mail["subject"]
    [run] = up.lines("runs", "list", "--customer", name)
    assert (run["journey"], run["status"]) == ("welcome", "active")


def test_the_links_of_a_mail_lead_to_the_console_and_back_into_the_journey(up: Up, tmp_path: Path) -> None:
    name = imported(up, tmp_path, "bo")
    up.waymark("events", "send", name, "customer.signed_up")
    inbox = up.running.inbox_url

    def mail() -> str | None:
        for found in httpx.get(f"{inbox}/api/messages", timeout=PATIENCE).json()["messages"]:
            if "bo@acme.example" in found["recipients"]:
                return str(httpx.get(f"{inbox}/api/messages/{found['id']}", timeout=PATIENCE).text)
        return None

    links = re.findall(rf"{re.escape(str(up.running.console_url))}/c/[\w.~-]+", until(mail))
    answer = httpx.get(links[0], timeout=PATIENCE)
    assert answer.status_code == 302
    assert not answer.headers["location"].startswith(str(up.running.console_url))
    kinds = [entry["title"] for entry in _timeline(up, name)]
    assert "email.clicked" in kinds
    until(lambda: "+15 points" in [entry["title"] for entry in _timeline(up, name)])


def _timeline(up: Up, name: str) -> list[dict[str, str]]:
    found = httpx.get(f"{up.running.console_url}/v1/customers/{name}/timeline", timeout=PATIENCE).json()
    return list(found["timeline"])


def test_doctor_finds_every_part_in_order(up: Up) -> None:
    states = {(one["part"], one["state"]) for one in up.lines("doctor")}
    assert {state for _, state in states} == {"ok"}
    assert {"database", "Temporal", "workers", "email", "sms", "definitions"} <= {part for part, _ in states}


def test_a_second_up_over_the_same_home_says_so_and_changes_nothing(up: Up) -> None:
    again = up.waymark("up", check=False)
    assert again.returncode == 1
    assert "already running" in again.stderr
    assert str(up.running.pid) in again.stderr
    assert up.process.poll() is None


def test_a_worker_that_is_killed_is_started_again(up: Up) -> None:
    [worker] = [process for process in up.running.processes if process.name == "worker 1"]
    found = worker.find()
    assert found is not None
    found.kill()
    until(lambda: [p for p in up.running.processes if p.name == "worker 1" and p.pid != worker.pid])
    until(lambda: all(one["state"] == "ok" for one in up.lines("doctor") if one["part"] == "workers"))


def test_sigterm_in_the_middle_of_the_start_leaves_no_process_behind(start_up: Starter, tmp_path: Path) -> None:
    up = start_up(tmp_path / "home")
    until(lambda: (up.home / "running.json").exists())
    until(up.databases)
    everything = up.family()
    assert up.stop(signal.SIGTERM) == 0
    assert gone(everything)
    assert up.databases() == []


def test_a_kill_and_ctrl_c_leave_no_process_in_the_end_and_lose_nothing(start_up: Starter, tmp_path: Path) -> None:
    up = start_up(tmp_path / "home")
    up.wait_until_ready()
    imported(up, tmp_path, "di")
    left = [found for process in up.running.processes if (found := process.find())]
    up.stop(signal.SIGKILL)
    again = start_up(tmp_path / "home")
    again.wait_until_ready()
    assert "did not end in order" in again.said
    assert gone(left)
    everything = again.family()
    assert len(everything) > 8
    assert again.stop(signal.SIGINT) == 0
    assert gone(everything)
    assert again.databases() == []
    assert not (again.home / "running.json").exists()
    assert [one["external_id"] for one in again.lines("customers", "list")] == ["di"]
    assert again.databases() == []


def test_a_port_in_use_is_changed_for_another_with_a_notice(up: Up) -> None:
    wanted = up.environment["WAYMARK_CONSOLE_PORT"]
    assert f"Port {wanted} for the console is in use" in up.said
    assert up.running.console_url != f"http://127.0.0.1:{wanted}"
    assert httpx.get(f"{up.running.console_url}/healthz", timeout=PATIENCE).json() == {"status": "ok"}


def test_beyond_this_machine_the_console_needs_a_key(start_up: Starter, tmp_path: Path) -> None:
    up = start_up(tmp_path / "home", environment={"WAYMARK_HOST": "0.0.0.0"})
    assert up.process.wait(timeout=PATIENCE) == 1
    assert "WAYMARK_API_KEY" in up.said
