"""`waymark broadcasts` as a marketer has it at the terminal, on a running Waymark."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.conftest import ROOT, Up, until
from tests.patience import PATIENCE
from tests.terminal import command

SPRING = """\
broadcast: {name}
title: Spring
where: {{tag: {name}}}
send: email/whats_new
"""
HEAD = "external_id,first_name,email,tags,email_consent\n"


@dataclass(frozen=True)
class Marketer:
    """Somebody at a terminal, with definitions of her own."""

    up: Up
    folder: Path

    def run(self, *arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        around = self.up.environment | {"WAYMARK_DEFINITIONS": str(self.folder), "COLUMNS": str(columns)}
        return command("--home", str(self.up.home), *arguments, environment=around)

    def broadcasts(self, *arguments: str) -> str:
        """What a command that succeeds says, to people and to the pipe."""
        ran = self.run("broadcasts", *arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr + ran.stdout

    def document(self, *arguments: str) -> Any:
        """The JSON document that a command prints."""
        ran = self.run("broadcasts", *arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def refused(self, *arguments: str) -> str:
        """What a command says that fails; nobody sees a traceback."""
        ran = self.run("broadcasts", *arguments)
        assert (ran.returncode, ran.stdout, "Traceback" in ran.stderr) == (1, "", False)
        return ran.stderr

    def writes(self, name: str, text: str) -> None:
        (self.folder / "broadcasts" / f"{name}.yaml").write_text(text)

    def brings(self, name: str, count: int, more: str = "") -> None:
        """Import contacts who carry this tag and may be written to, and some `more` rows."""
        rows = "".join(f"{name}{n},Ann{n},{name}{n}@spring.example,{name},yes\n" for n in range(count))
        path = self.folder / f"{name}.csv"
        path.write_text(f"{HEAD}{rows}{more}")
        assert self.run("import", str(path)).returncode == 0

    def inbox(self, name: str) -> Counter[str]:
        """How many mails each of the contacts of this tag has."""
        found = httpx.get(
            f"{self.up.running.inbox_url}/api/messages", params={"limit": 500, "to": name}, timeout=PATIENCE
        ).json()
        return Counter(address for mail in found["messages"] for address in mail["recipients"] if name in address)

    def has_sent_some(self, name: str) -> None:
        """Return once messages of a broadcast have left."""
        until(lambda: self.document("show", name)["sent"])

    def stands(self, name: str, status: str) -> Any:
        """How a broadcast stands once it has this status and nothing of it is leaving."""

        def looked() -> Any:
            found = self.document("show", name)
            return found if (found["status"], found["leaving"]) == (status, 0) else None

        return until(looked)


@pytest.fixture
def marketer(up: Up, tmp_path: Path) -> Marketer:
    folder = tmp_path / "definitions"
    shutil.copytree(ROOT / "definitions", folder)
    return Marketer(up, folder)


def test_she_looks_ahead_tries_it_sends_it_and_sees_what_came_of_it(marketer: Marketer) -> None:
    marketer.writes("spring", SPRING.format(name="spring"))
    marketer.brings("spring", 3, "no,Bo,no@spring.example,spring,no\nmute,Cy,mute@spring.example,spring,\n")
    said = marketer.broadcasts("preview", "spring")
    for words in ("spring means 5 customers", "would get it", "left out: consent to email was withdrawn",
                  "left out: no consent to email", "Ann0", "Two coffees"):  # fmt: skip
        assert words in said
    seen = marketer.document("preview", "spring", "--as", "spring1")
    assert (seen["meant"], seen["would_get"]) == (5, 3)
    assert seen["left_out"] == {"no consent to email": 1, "consent to email was withdrawn": 1}
    assert "Hello Ann1" in seen["wordings"][0]["message"]["text"]
    assert marketer.inbox("spring") == {}

    assert "Sent to me@here.example: [Test] Two coffees" in marketer.broadcasts(
        "test", "spring", "--to", "me@here.example"
    )
    [tried] = [marketer.document("test", "spring", "--to", "me@here.example", "--as", "spring2")]
    assert (tried["to"], "Hello Ann2" in tried["text"]) == ("me@here.example", True)
    assert marketer.inbox("spring") == {}
    assert "not started" in marketer.broadcasts("list")

    started = marketer.document("start", "spring")
    assert (started["name"], started["status"]) == ("spring", "planned")
    stands = marketer.stands("spring", "finished")
    assert (stands["meant"], stands["sent"], sum(stands["skipped"].values())) == (5, 3, 2)
    assert marketer.inbox("spring") == {f"spring{n}@spring.example": 1 for n in range(3)}
    shown = marketer.broadcasts("show", "spring")
    for words in ("Spring (spring): finished", "5 of 5", "left out: no consent to email"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 80
    lines = [json.loads(line) for line in marketer.run("broadcasts", "list", "--json").stdout.splitlines()]
    assert {"spring": "finished", "new_season": "file"}.items() <= {
        one["broadcast"]: one["status"] for one in lines
    }.items()
    assert "was started already; it is finished" in marketer.refused("start", "spring")
    assert "there is nothing to pause" in marketer.refused("pause", "spring")


def test_it_stops_where_it_stands_goes_on_from_there_and_ends_when_she_says_so(marketer: Marketer) -> None:
    for name, steered, status in (("autumn", "pause", "paused"), ("winter", "cancel", "cancelled")):
        marketer.writes(name, SPRING.format(name=name) + "throttle: 2 per second\n")
        marketer.brings(name, 20)
        marketer.broadcasts("start", name)
        marketer.has_sent_some(name)
        assert marketer.document(steered, name)["status"] == status
        stands = marketer.stands(name, status)
        assert 0 < stands["sent"] < 20
        assert marketer.inbox(name).total() == stands["sent"]
        assert f"{stands['sent']} of 20" in marketer.broadcasts("show", name)
        if status == "paused":  # and goes on beside the other
            assert marketer.document("resume", name)["status"] == "running"
    assert "there is nothing to resume" in marketer.refused("resume", "winter")
    assert marketer.stands("autumn", "finished")["sent"] == 20
    assert set(marketer.inbox("autumn").values()) == {1}


def test_what_is_wrong_is_told_with_its_place_and_stops_nothing_else(marketer: Marketer) -> None:
    marketer.writes("fine", SPRING.format(name="fine"))
    marketer.writes("broken", SPRING.format(name="broken") + "throttle: fast\nsegmnt: active\n")
    said = marketer.refused("preview", "broken")
    assert "broken.yaml:5:1: 'fast' is no throttle" in said
    assert "broken.yaml:6:1: 'segmnt' is not known here; did you mean 'segment'?" in said
    assert "fine means 0 customers" in marketer.broadcasts("preview", "fine")
    (marketer.folder / "broadcasts/broken.yaml").unlink()
    marketer.writes("unwritten", SPRING.format(name="unwritten").replace("whats_new", "nowhere"))
    assert "unwritten.yaml:4:" in marketer.refused("start", "unwritten")
    (marketer.folder / "broadcasts/unwritten.yaml").unlink()
    assert "did you mean 'fine'?" in marketer.refused("start", "finee")
    assert "No broadcast nothing was started" in marketer.refused("show", "nothing")
    assert "is no mail address" in marketer.refused("test", "fine", "--to", "nobody")
    assert "lies in the past" in marketer.refused("start", "fine", "--at", "2020-01-01T09:00+00:00")
