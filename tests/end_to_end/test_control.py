"""An operator at the terminal: pausing, resuming, stopping, explaining and steering, on the real thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.conftest import Up, until
from tests.patience import PATIENCE

CONTROL = """\
journey: control
title: Under control
enter: api
re_enter: after_exit
exit: [{on: control.over, as: gone}]
steps:
  - {id: hello, send: email/welcome}
  - {id: rest, wait: 30d}
  - branch:
      - when: {score: {at_least: 60}}
        steps: [{id: hot, tag: hot}]
  - {id: bye, send: email/brew_guide}
  - {id: linger, wait: 30d}
"""
_numbers = count(1)


@pytest.fixture(scope="module")
def far(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The shared stack with one more journey; nothing stays held."""
    path: Path = tmp_path_factory.mktemp("control") / "control.yaml"
    path.write_text(CONTROL)
    up.waymark("journeys", "publish", str(path))
    yield up
    for one in up.lines("holds"):
        flag = ["--everything"] if one["kind"] == "all" else [f"--{one['kind']}", one["name"]]
        up.waymark("resume", *flag, "--overdue", "skip")


def person(far: Up, tmp_path: Path) -> str:
    """A customer of the test's own."""
    name = f"control{next(_numbers)}"
    file = tmp_path / f"{name}.csv"
    file.write_text(f"external_id,email,email_consent,time_zone\n{name},{name}@control.example,yes,Asia/Tokyo\n")
    far.waymark("import", str(file))
    return name


def enrolled(far: Up, name: str, state: str = "waiting") -> int:
    """The number of a run that has come to rest."""
    far.waymark("enrol", "control", name)
    return int(until(in_state(far, name, state))["id"])


def in_state(far: Up, name: str, state: str) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        runs = far.lines("runs", "list", "--customer", name)
        return next((run for run in reversed(runs) if run["state"] == state), None)

    return look


def explained(far: Up, run: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(far.waymark("runs", "explain", str(run), "--json").stdout)
    return found


def refused(far: Up, *arguments: str) -> str:
    """One line of what is wrong and one of what to do."""
    ran = far.waymark(*arguments, check=False)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 2, ran.stderr
    return ran.stderr


def test_a_paused_journey_is_listed_holds_who_enters_and_goes_on(far: Up, tmp_path: Path) -> None:
    name = person(far, tmp_path)
    assert "is paused" in far.waymark("pause", "--journey", "control", "--because", "a wrong price").stderr
    assert "paused already" in far.waymark("pause", "--journey", "control").stderr
    [hold] = [one for one in far.lines("holds") if one["kind"] == "journey"]
    assert (hold["name"], hold["mode"], hold["because"]) == ("control", "pause", "a wrong price")
    assert "a wrong price" in far.waymark("holds").stdout
    run = enrolled(far, name, "paused")
    found = explained(far, run)
    assert "the journey is paused by" in found["now"]["words"]
    assert [one["because"] for one in found["holds"]] == ["a wrong price"]
    dry = far.waymark("resume", "--journey", "control", "--dry-run").stderr
    assert "would go on. 1 run is overdue (1 at the entry): they go on spread over 1 hour." in dry
    assert json.loads(far.waymark("resume", "--journey", "control", "--dry-run", "--json").stdout)["entries"] == 1
    assert "is overdue" in far.waymark("resume", "--journey", "control", "--over", "0m").stderr
    until(in_state(far, name, "waiting"))
    assert "nothing to resume" in refused(far, "resume", "--journey", "control")


def test_a_paused_customer_stands_still_and_resuming_with_nothing_overdue_says_so(far: Up, tmp_path: Path) -> None:
    name = person(far, tmp_path)
    enrolled(far, name)
    assert "1 run under way" in far.waymark("pause", "--customer", name).stderr
    assert "Nothing is overdue." in far.waymark("resume", "--customer", name).stderr


def test_a_run_is_explained_in_the_contacts_time_with_the_way_into_the_temporal_ui(far: Up, tmp_path: Path) -> None:
    run = enrolled(far, person(far, tmp_path))
    shown = far.waymark("runs", "explain", str(run)).stdout
    assert "Under control, control version 1" in shown
    assert "times are those of Asia/Tokyo" in shown
    assert "JST" in shown
    assert "email/welcome sent" in shown
    assert "Now: waiting at rest. It does what the map says: wait 30 days." in shown
    assert "leaves at once on control.over (gone)" in shown
    link = explained(far, run)["temporal_ui"]
    assert link in shown
    assert link.startswith(f"{far.running.temporal_ui}/namespaces/default/workflows/journey%2Fcontrol%2F")
    assert httpx.get(link, follow_redirects=True, timeout=PATIENCE).status_code == 200


def test_a_run_is_skipped_moved_and_ended_and_every_order_is_on_record(far: Up, tmp_path: Path) -> None:
    name = person(far, tmp_path)
    run = str(enrolled(far, name))
    far.waymark("runs", "skip", run, "--because", "she asked")
    until(lambda: (explained(far, int(run))["now"]["step"]) == "linger")
    moved = far.waymark("runs", "move", run, "--to", "rest", "--because", "she changed her mind")
    assert f"Run {run} is waiting at rest until" in moved.stderr
    ended = json.loads(far.waymark("runs", "exit", run, "--outcome", "duplicate", "--json").stdout)
    assert (ended["taken"], ended["run"]["outcome"]) == (True, "duplicate")
    found = explained(far, int(run))
    assert [(one["kind"], one["because"], one["refusal"]) for one in found["orders"]] == [
        ("skip", "she asked", None), ("move", "she changed her mind", None), ("exit", None, None),
    ]  # fmt: skip
    assert [(one["step"], one["seen"]) for one in found["steps"] if one["kind"] == "branch"] == [
        ("branch", {"score at least 60": False})
    ]
    assert "skip, " in far.waymark("runs", "explain", run).stdout


def test_what_makes_no_sense_is_refused_in_one_line(far: Up, tmp_path: Path) -> None:
    run = str(enrolled(far, person(far, tmp_path)))
    assert "'rst' is no step of control; did you mean 'rest'?" in refused(far, "runs", "move", run, "--to", "rst")
    assert "has nothing that was put off: it is waiting at rest" in refused(far, "runs", "retry", run)
    assert "is no outcome" in refused(far, "runs", "exit", run, "--outcome", "No Good")
    far.waymark("runs", "exit", run)
    for order in (["skip", run], ["move", run, "--to", "bye"], ["retry", run], ["exit", run]):
        assert f"run {run} has ended" in refused(far, "runs", *order)
    assert "there is no run 999999" in refused(far, "runs", "explain", "999999")
    assert "there is no run 999999" in refused(far, "runs", "skip", "999999")


def test_holding_what_there_is_not_is_refused_in_one_line(far: Up) -> None:
    assert "did you mean 'control'?" in refused(far, "pause", "--journey", "contrl")
    assert "No customer goes by 'nobody'" in refused(far, "pause", "--customer", "nobody")
    assert "'telex' is no channel" in refused(far, "pause", "--channel", "telex")
    assert "Say what" in refused(far, "pause")
    assert "Say what" in refused(far, "resume", "--everything", "--channel", "email")
    assert "'sprad' is no way to resume; did you mean 'spread'?" in refused(
        far, "resume", "--everything", "--overdue", "sprad"
    )
    assert "Say so with --yes" in refused(far, "stop", "--everything")


def test_a_customer_is_stopped(far: Up, tmp_path: Path) -> None:
    name = person(far, tmp_path)
    enrolled(far, name)
    assert "1 run ends with the outcome stopped." in far.waymark("stop", "--customer", name).stderr
    assert until(in_state(far, name, "exited"))["outcome"] == "stopped"


# Over HTTP


@pytest.fixture
def http(far: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{far.running.console_url}/v1", timeout=PATIENCE) as client:
        yield client


def test_a_program_pauses_and_resumes(far: Up, http: httpx.Client, tmp_path: Path) -> None:
    name = person(far, tmp_path)
    enrolled(far, name)
    act = {"customer": name, "by": "crm", "because": "a complaint"}
    assert http.post("/holds", json={"action": "pause", **act}).json()["changed"]
    assert not http.post("/holds", json={"action": "pause", **act}).json()["changed"]
    assert ("crm", "a complaint") in [(one["by"], one["because"]) for one in http.get("/holds").json()["holds"]]
    resumed = http.post("/holds", json={"action": "resume", "overdue": "skip", **act}).json()
    assert (resumed["overdue"], resumed["ordered"], resumed["complete"]) == (0, 0, True)
    assert http.post("/holds", json={"action": "resume", **act}).status_code == 409
    assert http.post("/holds", json={"action": "stop", **act}).json()["ordered"] == 1
    assert until(in_state(far, name, "exited"))["outcome"] == "stopped"


def test_a_program_steers_a_run(far: Up, http: httpx.Client, tmp_path: Path) -> None:
    run = enrolled(far, person(far, tmp_path))
    order = {"by": "crm", "because": "asked for on the phone"}
    moved = http.post(f"/runs/{run}/orders", json={"kind": "move", "to": "linger", **order})
    assert (moved.status_code, moved.json()["run"]["step"]) == (200, "linger")
    unknown = http.post(f"/runs/{run}/orders", json={"kind": "move", "to": "lnger", **order})
    assert unknown.status_code == 409
    assert "did you mean 'linger'?" in unknown.json()["detail"]
    ended = http.post(f"/runs/{run}/orders", json={"kind": "exit", **order}).json()
    assert (ended["taken"], ended["run"]["outcome"]) == (True, "removed")
    assert http.post(f"/runs/{run}/orders", json={"kind": "skip", **order}).status_code == 409
    assert http.post("/runs/999999/orders", json={"kind": "skip", **order}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/holds", {"action": "halt", "everything": True, "by": "crm"}, "action 'halt' is not known"),
        ("/holds", {"action": "pause", "everything": True}, "by is missing"),
        ("/holds", {"action": "pause", "by": "crm"}, "Name one of journey, customer, channel, everything"),
        ("/holds", {"action": "pause", "channel": "telex", "by": "crm"}, "'telex' is no channel"),
        ("/holds", {"action": "pause", "journy": "control", "by": "crm"}, "journy is not known here"),
        ("/holds", {"action": "stop", "everything": True, "by": "crm"}, "Stopping everything ends every run"),
        ("/holds", {"action": "resume", "everything": True, "by": "crm", "over": "soon"}, "'soon' is not a duration"),
        ("/holds", [], "A JSON object is needed"),
        ("/runs/1/orders", {"kind": "jump", "by": "crm"}, "kind 'jump' is not known"),
        ("/runs/1/orders", {"kind": "exit", "by": "crm", "outcome": "No Good"}, "is no outcome"),
        ("/runs/1/orders", {"kind": "skip", "by": 7}, "by must be text"),
    ],
)
def test_a_request_that_cannot_be_taken_says_why(http: httpx.Client, path: str, body: Any, said: str) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
