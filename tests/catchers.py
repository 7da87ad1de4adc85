"""The catchers as processes, one of each a run: import these fixtures into a conftest to use them.

`from tests.catchers import mail_catcher, mails, sms_catcher, texts`: `mails` and `texts` are empty and well-behaved
at the start of each test.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.patience import PATIENCE, eventually
from workers.catchers.mailbox import Mails
from workers.catchers.sms import ACCOUNT, TOKEN
from workers.child import PARENT


@dataclass(frozen=True)
class MailCatcher:
    """A mail catcher: where to send, where to look, and what is there."""

    smtp_url: str
    url: str
    process: subprocess.Popen[str] | None = None

    def messages(self, **query: str | int) -> list[dict[str, Any]]:
        """Newest first; `to`, `subject`, `after`, `before`, `limit`."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/messages", params=query, timeout=PATIENCE).json()[
            "messages"
        ]
        return found

    def message(self, identifier: str) -> dict[str, Any]:
        """One mail with headers, text and html."""
        answer = httpx.get(f"{self.url}/api/messages/{identifier}", timeout=PATIENCE)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def misbehave(self, **faults: Any) -> None:
        httpx.post(f"{self.url}/api/faults", json=faults, timeout=PATIENCE).raise_for_status()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """For the length of the block it says nothing to anybody; then it answers what it was told meanwhile."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def clear(self) -> None:
        httpx.delete(f"{self.url}/api/faults", timeout=PATIENCE).raise_for_status()
        httpx.delete(f"{self.url}/api/messages", timeout=PATIENCE).raise_for_status()


@dataclass(frozen=True)
class SmsCatcher:
    """An SMS catcher, and the account that it knows."""

    url: str
    account_sid: str = ACCOUNT
    auth_token: str = TOKEN

    def messages(self, **query: str | int) -> list[dict[str, Any]]:
        """Newest first; `to`, `after`, `limit`."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/messages", params=query, timeout=PATIENCE).json()[
            "messages"
        ]
        return found

    def reply(self, sender: str, body: str, **more: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/api/replies", json={"from": sender, "body": body, **more}, timeout=PATIENCE)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def misbehave(self, **faults: Any) -> None:
        httpx.post(f"{self.url}/api/faults", json=faults, timeout=PATIENCE).raise_for_status()

    def clear(self) -> None:
        httpx.delete(f"{self.url}/api/faults", timeout=PATIENCE).raise_for_status()
        httpx.delete(f"{self.url}/api/messages", timeout=PATIENCE).raise_for_status()

    def settled(self, sid: str, callbacks: int = 0) -> dict[str, Any]:
        """The text once it has its last status and so many callbacks were made."""

        def text() -> dict[str, Any] | None:
            found = next((text for text in self.messages() if text["sid"] == sid), None)
            done = found and found["status"] not in {"queued", "sent"} and len(found["callbacks"]) >= callbacks
            return found if done else None

        return eventually(text)


@contextmanager
def catcher(module: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A catcher's process and what its line said."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"workers.catchers.{module}", *options],
        stdout=subprocess.PIPE, text=True, env={**os.environ, PARENT: str(os.getpid())},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="session")
def mail_catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailCatcher]:
    """The mail catcher of this run."""
    folder = tmp_path_factory.mktemp("mail") / "inbox"
    with catcher("mail", "--smtp-port=0", "--http-port=0", f"--folder={folder}") as (_, answer):
        yield MailCatcher(answer["smtp_url"], answer["inbox_url"])


@pytest.fixture
def mails(mail_catcher: MailCatcher) -> MailCatcher:
    """The mail catcher, empty and well-behaved."""
    mail_catcher.clear()
    return mail_catcher


@pytest.fixture(scope="session")
def sms_catcher() -> Iterator[SmsCatcher]:
    """The SMS catcher of this run."""
    with catcher("sms", "--port=0") as (_, answer):
        yield SmsCatcher(answer["sms_url"])


@pytest.fixture
def texts(sms_catcher: SmsCatcher) -> SmsCatcher:
    """The SMS catcher, empty and well-behaved."""
    sms_catcher.clear()
    return sms_catcher


def fill(folder: Path, count: int) -> None:
    """Put mails into a catcher's folder without sending them."""
    mails = Mails(folder)
    for number in range(count):
        content = (
            f"From: Shop <s@shop.example>\r\nTo: c{number}@example.com\r\nSubject: Mail {number}\r\n\r\nHello {number}"
        )
        mails.add("s@shop.example", [f"c{number}@example.com"], content.encode())
