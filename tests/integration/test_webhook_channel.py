"""The webhook channel against a receiver that checks signatures, and against receivers at their worst."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from activities.channels.channel import Message, Refused, TryLater
from activities.channels.standard_webhooks import sign
from activities.channels.webhook import WebhookChannel

KEY = b"a key of at least twenty-four bytes"
CERTIFICATE = Path(__file__).parents[1] / "relay.pem"
NOW = 1_770_000_000


@dataclass
class Receiver:
    """A web server that answers `answer` to anything, and keeps what it was sent.

    `answer` None means silence for ever, b"" hanging up; `early` answers before anything was read.
    """

    answer: bytes | None = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    early: bool = False
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/hook?a=1"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.early:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((head[0], headers, body))
        if self.answer is None:
            await asyncio.Event().wait()
        writer.write(self.answer or b"")
        writer.close()


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    talks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(
        lambda r, w: talks.add(asyncio.create_task(receiver.talk(r, w))), "127.0.0.1", 0, ssl=receiver.tls
    )
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answer(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def message(url: str, timeout: float | None = None, text: str = '{"type":"journey.webhook"}') -> Message:
    return Message("wm-1", url, None, text, None, "", datetime(2020, 1, 1, tzinfo=UTC), timeout=timeout)


def channel(**options: Any) -> WebhookChannel:
    return WebhookChannel(KEY, clock=lambda: NOW + 0.9, **{"private_networks": True, **options})


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name stand for these addresses; returns the names that were asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    return asked


# What leaves


async def test_a_call_arrives_signed_with_the_time_of_the_attempt() -> None:
    async with listening(Receiver()) as receiver:
        receipt = await channel().send(message(receiver.url(), text='{"name":"小明"}'))
    [(line, headers, body)] = receiver.requests
    assert line == "POST /hook?a=1 HTTP/1.1"
    assert json.loads(body) == {"name": "小明"}
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    signed = {name: value for name, value in headers.items() if name.startswith("webhook-")}
    assert signed == sign(KEY, "wm-1", NOW, body)
    assert receipt.provider_id is None
    assert receipt.detail == f"127.0.0.1:{receiver.port} answered 204 No Content"


async def test_a_repeat_carries_the_same_id() -> None:
    async with listening(Receiver(answer("503 Busy"))) as receiver:
        webhook = channel()
        for _ in range(2):
            with pytest.raises(TryLater):
                await webhook.send(message(receiver.url()))
    assert [headers["webhook-id"] for _, headers, _ in receiver.requests] == ["wm-1", "wm-1"]


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "299 Odd"])
async def test_every_success_is_sent(status: str) -> None:
    async with listening(Receiver(answer(status, "thank you"))) as receiver:
        assert status in (await channel().send(message(receiver.url()))).detail


async def test_a_success_whose_body_never_comes_is_a_success() -> None:
    async with listening(Receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")) as receiver:
        await channel().send(message(receiver.url()))


async def test_calls_at_the_same_time_do_not_mix() -> None:
    async with listening(Receiver()) as receiver:
        webhook = channel()
        await asyncio.gather(*(webhook.send(message(receiver.url(), text=f'"{n}"')) for n in range(20)))
    assert sorted(int(json.loads(body)) for _, _, body in receiver.requests) == list(range(20))


async def test_a_proxy_of_the_environment_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with listening(Receiver()) as receiver:
        await channel().send(message(receiver.url()))


# What comes back


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "410 Gone", "422 No"])
async def test_what_a_receiver_will_never_take_is_refused_in_its_words(status: str) -> None:
    said = answer(status, '{"error":\n "no such contact"}', "Content-Type: application/json; charset=utf-8")
    async with listening(Receiver(said)) as receiver:
        with pytest.raises(Refused) as caught:
            await channel().send(message(receiver.url()))
    assert caught.value.reason == f'127.0.0.1:{receiver.port} answered {status}: {{"error": "no such contact"}}'
    assert not caught.value.suppress


@pytest.mark.parametrize("status", ["408 Slow", "425 Too Early", "429 Too Many", "500 Oops", "502 Bad", "503 Busy"])
async def test_what_a_receiver_cannot_take_now_is_tried_again(status: str) -> None:
    async with listening(Receiver(answer(status))) as receiver:
        with pytest.raises(TryLater, match=status) as caught:
            await channel().send(message(receiver.url()))
    assert caught.value.after is None
    assert not caught.value.configuration


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        (" 0 ", 0, 0),
        ("99999999999999999999", 86_400, 86_400),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0, 0),
        (format_datetime(datetime(2200, 1, 1, tzinfo=UTC), usegmt=True), 86_400, 86_400),
    ],
)
async def test_a_receiver_may_ask_for_a_pause(value: str, least: int, most: int) -> None:
    async with listening(Receiver(answer("429 Too Many Requests", "", f"Retry-After: {value}"))) as receiver:
        with pytest.raises(TryLater) as caught:
            await channel().send(message(receiver.url()))
    assert caught.value.after is not None
    assert timedelta(seconds=least) <= caught.value.after <= timedelta(seconds=most)


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "²", "Mon, 01 Jan 9999 00:00:00 -9999", ""])
async def test_a_pause_that_cannot_be_read_is_none(value: str) -> None:
    said = answer("503 Busy", "", f"Retry-After: {value}")
    async with listening(Receiver(said)) as receiver:
        with pytest.raises(TryLater) as caught:
            await channel().send(message(receiver.url()))
    assert caught.value.after in (None, timedelta(days=1))


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    async with listening(Receiver()) as elsewhere:
        said = answer(status, "", f"Location: {elsewhere.url()}&token=secret")
        async with listening(Receiver(said)) as receiver:
            with pytest.raises(Refused, match=f"{status} and points to http.*no redirects") as caught:
                await channel().send(message(receiver.url()))
    assert elsewhere.requests == []
    assert "secret" not in caught.value.reason


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("<html>Oops</html>", "text/html", ""),
        ("line one\nline\ttwo\x1b[31m", "text/plain", ": line one line two [31m"),
        ("x" * 1_000_000, "text/plain", ": " + "x" * 199 + "…"),
    ],
)
async def test_the_words_of_a_receiver_are_kept_short(body: str, kind: str, words: str) -> None:
    async with listening(Receiver(answer("400 No", body, f"Content-Type: {kind}"))) as receiver:
        with pytest.raises(Refused) as caught:
            await channel().send(message(receiver.url()))
    assert caught.value.reason == f"127.0.0.1:{receiver.port} answered 400 No{words}"


# Silence and worse


async def test_a_receiver_that_does_not_answer_is_tried_again() -> None:
    async with listening(Receiver(None)) as receiver:
        with pytest.raises(TryLater, match=r"did not answer within 0\.2 s"):
            await channel().send(message(receiver.url(), timeout=0.2))
    assert len(receiver.requests) <= 1


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH_9.6\r\n"])
@pytest.mark.parametrize("early", [False, True])
async def test_a_receiver_that_hangs_up_or_talks_nonsense_is_tried_again(said: bytes, early: bool) -> None:
    async with listening(Receiver(said, early=early)) as receiver:
        with pytest.raises(TryLater, match="went away without an answer"):
            await channel().send(message(receiver.url()))


async def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    async with listening(Receiver()) as receiver:
        pass
    with pytest.raises(TryLater, match="no connection to 127"):
        await channel().send(message(receiver.url()))


async def test_a_name_that_nobody_knows_is_tried_again() -> None:
    with pytest.raises(TryLater, match=r"nobody\.invalid cannot be resolved"):
        await channel().send(message("http://nobody.invalid/"))


async def test_a_call_that_is_given_up_from_outside_ends_at_once() -> None:
    async with listening(Receiver(None)) as receiver:
        call = asyncio.create_task(channel().send(message(receiver.url())))
        while not receiver.requests:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# Where calls may go


async def test_a_private_address_is_not_called() -> None:
    async with listening(Receiver()) as receiver:
        with pytest.raises(Refused, match="not public; WAYMARK_WEBHOOK_PRIVATE_NETWORKS=true"):
            await channel(private_networks=False).send(message(receiver.url()))
        with pytest.raises(Refused, match=r"localhost, which is .*, is not public"):
            await channel(private_networks=False).send(message(receiver.url("localhost")))
    assert receiver.requests == []


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="write https://host/path"):
        await channel().send(message("gopher://crm.example/"))
    with pytest.raises(Refused, match="no name and no password"):
        await channel().send(message("http://ada:secret@crm.example/"))


async def test_the_address_that_was_judged_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolves(monkeypatch, "127.0.0.1")
    async with listening(Receiver()) as receiver:
        await channel().send(message(receiver.url("crm.example")))
    assert asked == ["crm.example"]
    [(_, headers, _)] = receiver.requests
    assert headers["host"] == f"crm.example:{receiver.port}"


async def test_another_address_of_a_name_is_tried_when_one_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening(Receiver()) as receiver:
        resolves(monkeypatch, "127.0.0.2", "127.0.0.1")
        await channel().send(message(receiver.url("crm.example")))
    assert len(receiver.requests) == 1


# TLS


@pytest.fixture
def tls() -> ssl.SSLContext:
    """The certificate of `localhost`, which nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_is_asked_for_and_checked_by_name(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str | None] = []
    tls.sni_callback = lambda _connection, name, _context: names.append(name)
    resolves(monkeypatch, "127.0.0.1")
    async with listening(Receiver(tls=tls)) as receiver:
        await channel().send(message(receiver.url("localhost")))
        with pytest.raises(TryLater, match=r"no trust in crm\.example:\d+: Hostname mismatch") as caught:
            await channel().send(message(receiver.url("crm.example")))
    assert names == ["localhost", "crm.example"]
    assert caught.value.configuration
    assert len(receiver.requests) == 1


async def test_a_certificate_that_nobody_vouches_for_waits_for_somebody_to_mend_it(tls: ssl.SSLContext) -> None:
    async with listening(Receiver(tls=tls)) as receiver:
        with pytest.raises(TryLater, match=r"no trust in localhost.*self-signed") as caught:
            await channel().send(message(receiver.url("localhost")))
    assert caught.value.configuration
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    assert receiver.requests == []


async def test_a_hang_up_in_the_middle_of_the_handshake_is_only_temporary() -> None:
    async with listening(Receiver(b"", early=True)) as receiver:
        with pytest.raises(TryLater, match="no connection to") as caught:
            await channel().send(message(receiver.url().replace("http:", "https:")))
    assert not caught.value.configuration


# The rest of the protocol


async def test_the_check_says_where_calls_may_go() -> None:
    assert await channel(private_networks=False).check() == "calls are signed and go to public addresses only"
    assert "private networks" in await channel().check()


async def test_a_closed_channel_may_be_used_again() -> None:
    async with listening(Receiver()) as receiver:
        webhook = channel()
        await webhook.send(message(receiver.url()))
        await webhook.close()
        await webhook.send(message(receiver.url()))
    assert len(receiver.requests) == 2


def test_a_secret_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        WebhookChannel("not a secret")
