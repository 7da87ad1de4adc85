"""The catchers as processes: they keep what they get, misbehave when told, and end when they should."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from activities.channels.channel import Message, Receipt, Refused, TryLater, Unknown
from activities.channels.email import EmailChannel
from activities.channels.relay import Timeouts
from activities.channels.signature import is_valid
from activities.channels.sms import SmsChannel
from tests.catchers import MailCatcher, SmsCatcher, catcher, fill, mail_catcher, mails, sms_catcher, texts
from tests.patience import PATIENCE, eventually
from workers.catchers.faults import Faults
from workers.catchers.inbox import routes
from workers.catchers.mailbox import Mail, Mails
from workers.catchers.serving import application

__all__ = ["mail_catcher", "mails", "sms_catcher", "texts"]
ADA = "+4915112345678"


def mail(number: int = 1, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "key": f"welcome.{number}",
        "address": "ada@example.com",
        "subject": "欢迎 Ada",
        "text": "Hello Ada",
        "html": "<html><head><title>x</title></head><body><p>Hello <b>Ada</b></p></body></html>",
        "locale": "en",
        "at": datetime(2030, 3, 1, tzinfo=UTC),
        "unsubscribe_url": "http://127.0.0.1:8080/u/abc",
        "name": "Ada Lovelace",
    }
    return Message(**(fields | changes))


async def send(mails: MailCatcher, *messages: Message, timeouts: Timeouts | None = None) -> list[Receipt]:
    channel = EmailChannel(mails.smtp_url, "Shop <hello@shop.example>", timeouts=timeouts)
    try:
        return [await channel.send(message) for message in messages]
    finally:
        await channel.close()


async def text(texts: SmsCatcher, callback: str | None = None, to: str = ADA) -> str:
    channel = SmsChannel(
        texts.account_sid, texts.auth_token, "+15005550006", base_url=texts.url, status_callback=callback
    )
    try:
        receipt = await channel.send(Message("nudge.1", to, None, "Hi Ada", None, "en", datetime.now(UTC)))
    finally:
        await channel.close()
    return str(receipt.provider_id)


@asynccontextmanager
async def console() -> AsyncIterator[tuple[str, list[tuple[str, dict[str, str], bool]]]]:
    """Receives callbacks: path, form, and whether Twilio's signature was right."""
    calls: list[tuple[str, dict[str, str], bool]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        form = dict(parse_qsl((await reader.readexactly(int(headers["content-length"]))).decode()))
        original = {line.split(": ")[0].lower(): line.partition(": ")[2] for line in head.split("\r\n")}
        calls.append((path, form, is_valid("local", original.get("x-twilio-signature", ""), url + path, form)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield url, calls


async def test_a_caught_mail_is_listed_and_can_be_read(mails: MailCatcher) -> None:
    await send(mails, mail())
    (listed,) = mails.messages()
    assert listed["from"] == "Shop <hello@shop.example>"
    assert listed["to"] == "Ada Lovelace <ada@example.com>"
    assert (listed["subject"], listed["recipients"]) == ("欢迎 Ada", ["ada@example.com"])
    assert listed["date"] == "2030-03-01T00:00:00+00:00"
    read = mails.message(listed["id"])
    assert (read["text"].strip(), "<b>Ada</b>" in read["html"]) == ("Hello Ada", True)
    assert ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"] in read["headers"]
    assert ["Message-ID", "<welcome.1@shop.example>"] in read["headers"]


async def test_mails_are_found_by_recipient_and_subject_newest_first(mails: MailCatcher) -> None:
    await send(mails, mail(1), mail(2, address="bob@example.com", name=None), mail(3, subject="Renewal"))
    assert [m["subject"] for m in mails.messages()] == ["Renewal", "欢迎 Ada", "欢迎 Ada"]
    assert [m["recipients"] for m in mails.messages(to="BOB@")] == [["bob@example.com"]]
    assert [m["subject"] for m in mails.messages(to="lovelace", subject="renew")] == ["Renewal"]
    newest = mails.messages(limit=1)[0]["id"]
    assert mails.messages(after=newest) == []
    assert len(mails.messages(before=newest)) == 2


async def test_the_page_of_a_mail_loads_nothing_and_runs_nothing(mails: MailCatcher) -> None:
    await send(mails, mail())
    answer = httpx.get(f"{mails.url}/api/messages/{mails.messages()[0]['id']}/html", timeout=PATIENCE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert '<head><base target="_blank"><title>' in answer.text


@pytest.mark.parametrize("path", ["/messages/nothing", "/api/messages/nothing", "/api/messages/..%2F..%2Fetc/html"])
def test_a_mail_that_is_not_there_is_not_found(mails: MailCatcher, path: str) -> None:
    assert httpx.get(mails.url + path, timeout=PATIENCE).status_code == 404


def test_other_sites_cannot_empty_or_disturb_the_inbox(mails: MailCatcher) -> None:
    assert (
        httpx.post(f"{mails.url}/clear", headers={"Origin": "https://evil.example"}, timeout=PATIENCE).status_code
        == 403
    )
    assert httpx.post(f"{mails.url}/api/faults", content="{}", timeout=PATIENCE).status_code == 422
    assert httpx.get(mails.url, headers={"Host": "evil.example"}, timeout=PATIENCE).status_code == 400


@pytest.mark.parametrize(
    "faults", [{"rctp": {}}, {"rcpt": {"cod": 1}}, {"rcpt": {"pattern": "("}}, {"rcpt": {"code": 250}}]
)
def test_a_fault_that_is_not_known_is_refused(mails: MailCatcher, faults: dict[str, Any]) -> None:
    answer = httpx.post(f"{mails.url}/api/faults", json=faults, timeout=PATIENCE)
    assert answer.status_code == 422
    assert answer.json()["message"]


async def test_the_catcher_refuses_whom_it_is_told_to_refuse(mails: MailCatcher) -> None:
    mails.misbehave(rcpt={"pattern": "^gone@", "code": 550, "text": "5.1.1 no such user"})
    with pytest.raises(Refused, match="no such user") as caught:
        await send(mails, mail(address="gone@example.com"))
    assert caught.value.suppress
    await send(mails, mail())
    assert len(mails.messages()) == 1


async def test_the_catcher_greylists(mails: MailCatcher) -> None:
    mails.misbehave(greylist={"times": 1})
    with pytest.raises(TryLater, match="Greylisted"):
        await send(mails, mail())
    await send(mails, mail())
    assert len(mails.messages()) == 1


async def test_the_catcher_refuses_connections_and_takes_them_again(mails: MailCatcher) -> None:
    mails.misbehave(refuse_connections=True)
    with pytest.raises(TryLater, match="no connection"):
        await send(mails, mail())
    mails.misbehave()
    await send(mails, mail())


async def test_the_catcher_keeps_a_mail_and_hangs_up_without_a_word(mails: MailCatcher) -> None:
    mails.misbehave(stored={"drop": True, "times": 1})
    with pytest.raises(Unknown):
        await send(mails, mail())
    assert len(mails.messages()) == 1
    await send(mails, mail(2))
    assert len(mails.messages()) == 2


@pytest.mark.parametrize(
    ("stage", "error", "kept"),
    [("mail", TryLater, 0), ("rcpt", TryLater, 0), ("data", TryLater, 0), ("dot", Unknown, 0), ("stored", Unknown, 1)],
)
async def test_the_catcher_hangs_where_it_is_told(
    mails: MailCatcher, stage: str, error: type[Exception], kept: int
) -> None:
    mails.misbehave(**{stage: {"hang": True}})
    # Nothing but the silence that is meant is cut short.
    short = "final" if error is Unknown else "command"
    with pytest.raises(error):
        await send(mails, mail(), timeouts=replace(Timeouts(), **{short: 0.3}))
    eventually(lambda: len(mails.messages()) == kept)


def test_mails_survive_a_restart_in_their_order(tmp_path: Path) -> None:
    options = ("--smtp-port=0", "--http-port=0", f"--folder={tmp_path / 'inbox'}")
    with catcher("mail", *options) as (_, answer):
        first = MailCatcher(answer["smtp_url"], answer["inbox_url"])
        asyncio.run(send(first, mail(1, subject="One"), mail(2, subject="Two")))
    with catcher("mail", *options) as (_, answer):
        again = MailCatcher(answer["smtp_url"], answer["inbox_url"])
        assert [m["subject"] for m in again.messages()] == ["Two", "One"]
        asyncio.run(send(again, mail(3, subject="Three")))
        assert [m["subject"] for m in again.messages()] == ["Three", "Two", "One"]


async def test_of_thousands_of_mails_the_inbox_reads_those_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behaves(_: object) -> None: ...

    fill(tmp_path / "inbox", 2_000)
    mails, source, read = Mails(tmp_path / "inbox"), Mails.source, list[str]()

    def noted(self: Mails, mail: Mail) -> bytes:
        read.append(mail.subject)
        return source(self, mail)

    monkeypatch.setattr(Mails, "source", noted)
    transport = httpx.ASGITransport(application(routes(mails, Faults(), behaves), "127.0.0.1"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
        first = await browser.get("/")
        assert sorted(read) == sorted(f"Mail {number}" for number in range(1950, 2000))
        searched = await browser.get("/", params={"to": "c77", "subject": "mail 77"})
    assert first.text.count("<tr data-id") == 50
    assert "11 of 2000 mails" in searched.text
    assert len(read) == 50 + 11


@pytest.mark.parametrize(
    ("module", "options"), [("mail", ["--http-port=0", "--folder=inbox", "--smtp-port"]), ("sms", ["--port"])]
)
def test_a_port_in_use_is_one_clear_line(module: str, options: list[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", f"workers.catchers.{module}", *options, port]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
                               env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.strip().count("\n") == 0
    assert f"port {port}" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("module", "options"), [("mail", ["--smtp-port=0", "--http-port=0"]), ("sms", ["--port=0"])])
def test_a_catcher_ends_cleanly_when_told(
    module: str, options: list[str], number: signal.Signals, tmp_path: Path
) -> None:
    with catcher(module, *options, f"--folder={tmp_path / 'kept'}") as (process, answer):
        assert answer["ready"]
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_a_catcher_ends_when_its_parent_dies(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, os; from workers.child import PARENT\n"
        "child = subprocess.Popen([sys.executable, '-m', 'workers.catchers.sms', '--port=0'], stdout=subprocess.PIPE,"
        " env={**os.environ, PARENT: str(os.getpid())})\n"
        "print(child.stdout.readline().decode().strip(), flush=True); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    url = httpx.URL(json.loads(parent.stdout)["sms_url"])

    def gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((url.host, url.port or 0)) != 0

    eventually(gone)


async def test_each_status_is_reported_signed_and_in_order(texts: SmsCatcher) -> None:
    async with console() as (url, calls):
        sid = await text(texts, f"{url}/status")
        await asyncio.to_thread(texts.settled, sid, 3)
    assert [form["MessageStatus"] for _, form, _ in calls] == ["queued", "sent", "delivered"]
    assert {path for path, _, _ in calls} == {"/status?key=nudge.1"}
    assert all(form["MessageSid"] == sid and valid for _, form, valid in calls)


async def test_callbacks_can_be_dropped_repeated_and_turned_round(texts: SmsCatcher) -> None:
    async with console() as (url, calls):
        texts.misbehave(callbacks={"drop": True})
        await asyncio.to_thread(texts.settled, await text(texts, f"{url}/status"))
        assert not calls
        texts.misbehave(callbacks={"repeat": 1, "reverse": True, "delay": 0.1})
        await asyncio.to_thread(texts.settled, await text(texts, f"{url}/status"), 6)
    said = [form["MessageStatus"] for _, form, _ in calls]
    assert said == ["delivered", "delivered", "sent", "sent", "queued", "queued"]


async def test_a_text_can_fail_to_be_delivered(texts: SmsCatcher) -> None:
    texts.misbehave(deliver={"pattern": "78$", "status": "undelivered", "code": 30005})
    async with console() as (url, calls):
        settled = await asyncio.to_thread(texts.settled, await text(texts, f"{url}/status"), 3)
    assert (settled["status"], settled["error"]) == ("undelivered", 30005)
    assert calls[-1][1]["ErrorCode"] == "30005"


async def test_a_reply_is_posted_signed_to_the_neighbour_of_the_status_callback(texts: SmsCatcher) -> None:
    async with console() as (url, calls):
        await asyncio.to_thread(texts.settled, await text(texts, f"{url}/callbacks/twilio/status"), 3)
        calls.clear()
        await asyncio.to_thread(texts.reply, ADA, "Yes please 👍")
    ((path, form, valid),) = calls
    assert (path, valid) == ("/callbacks/twilio/inbound", True)
    assert (form["From"], form["To"], form["Body"]) == (ADA, "+15005550006", "Yes please 👍")


@pytest.mark.parametrize(
    "reply", [{"from": "12", "body": "x"}, {"from": ADA, "body": " "}, {"from": ADA, "body": 1}, []]
)
def test_a_reply_that_is_none_is_refused(texts: SmsCatcher, reply: Any) -> None:
    assert httpx.post(f"{texts.url}/api/replies", json=reply, timeout=PATIENCE).status_code == 422


def test_texts_survive_a_restart(tmp_path: Path) -> None:
    options = ("--port=0", f"--folder={tmp_path}")
    with catcher("sms", *options) as (_, answer):
        first = SmsCatcher(answer["sms_url"])
        first.settled(asyncio.run(text(first)))
    with (tmp_path / "texts.jsonl").open("a") as file:
        file.write('{"sid": "cut sh')
    with catcher("sms", *options) as (_, answer):
        assert [(t["body"], t["status"]) for t in SmsCatcher(answer["sms_url"]).messages()] == [("Hi Ada", "delivered")]


async def test_the_phone_page_shows_conversations(texts: SmsCatcher) -> None:
    await asyncio.to_thread(texts.settled, await text(texts))
    await text(texts, to="+8613800138000")
    shown = httpx.get(texts.url, params={"with": ADA}, timeout=PATIENCE).text
    assert "Hi Ada" in shown
    assert "+8613800138000" in shown
    assert "delivered" in shown
