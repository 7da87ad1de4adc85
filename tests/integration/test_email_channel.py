"""The email channel against real SMTP conversations, good and bad."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from activities.channels.channel import Message, Refused, TryLater, Unknown
from activities.channels.email import EmailChannel
from activities.channels.relay import Relay, Timeouts
from journeys.errors import WaymarkError
from tests.patience import PATIENCE
from tests.relay import CLOSE, HANG, KEEP_AND_CLOSE, ScriptedRelay, relay

QUICK = Timeouts(connect=0.3, command=0.3, body=0.3, final=0.3)
PATIENT = Timeouts(connect=PATIENCE, command=PATIENCE, body=PATIENCE, final=PATIENCE)
CERTIFICATE = Path(__file__).parent.parent / "relay.pem"
# What a stage answers, and what that means, for every stage before the message is handed over.
BEFORE_THE_DOT = ["greeting", "ehlo", "mail", "rcpt", "data"]


def message(number: int = 1, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "key": f"welcome.{number}",
        "address": "ada@example.com",
        "subject": "Hello",
        "text": "Hello Ada\n.a line with a dot\n.\n..",
        "html": "<p>Hello Ada</p>",
        "locale": "en",
        "at": datetime(2026, 3, 1, tzinfo=UTC),
    }
    return Message(**(fields | changes))


@asynccontextmanager
async def channel(url: str, timeouts: Timeouts = PATIENT, max_messages: int = 100) -> AsyncIterator[EmailChannel]:
    made = EmailChannel(url, "Shop <hello@shop.example>", timeouts=timeouts, max_messages=max_messages)
    try:
        yield made
    finally:
        await made.close()


async def sent_to(server: ScriptedRelay, timeouts: Timeouts = PATIENT) -> None:
    async with channel(server.url, timeouts) as email:
        await email.send(message())


@pytest.fixture
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_message_arrives_as_it_was_written() -> None:
    async with relay() as server, channel(server.url) as email:
        receipt = await email.send(message())
    assert receipt.provider_id == "<welcome.1@shop.example>"
    assert receipt.detail == "250 2.0.0 Ok: queued as ABC123"
    assert "MAIL FROM:<hello@shop.example>" in server.commands[1]
    unstuffed = server.received[0].replace(b"\r\n..", b"\r\n.")
    body = BytesParser(EmailMessage, policy=policy.default).parsebytes(unstuffed).get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["Hello Ada", ".a line with a dot", ".", ".."]


async def test_one_connection_carries_many_messages() -> None:
    async with relay() as server, channel(server.url) as email:
        for number in range(5):
            await email.send(message(number))
    assert (server.connections, len(server.received)) == (1, 5)


async def test_a_connection_is_replaced_after_its_share_of_messages() -> None:
    async with relay() as server, channel(server.url, max_messages=2) as email:
        for number in range(5):
            await email.send(message(number))
    assert (server.connections, len(server.received)) == (3, 5)


async def test_a_connection_that_the_relay_closed_meanwhile_costs_no_message() -> None:
    async with relay({"rset": "421 4.4.2 idle too long"}) as server, channel(server.url) as email:
        await email.send(message(1))
        await email.send(message(2))
    assert (server.connections, len(server.received)) == (2, 2)


async def test_many_messages_at_once_share_a_few_connections() -> None:
    async with relay() as server, channel(server.url) as email:
        await asyncio.gather(*(email.send(message(number)) for number in range(50)))
    assert len(server.received) == 50
    assert server.connections <= 4


async def test_a_refused_message_leaves_the_connection_in_use() -> None:
    async with relay({"rcpt": "550 5.1.1 no such user"}) as server, channel(server.url) as email:
        for number in range(3):
            with pytest.raises(Refused):
                await email.send(message(number))
    assert server.connections == 1


@pytest.mark.parametrize("stage", BEFORE_THE_DOT)
async def test_a_relay_that_falls_silent_before_the_dot_is_tried_later(stage: str) -> None:
    async with relay({stage: HANG}) as server:
        if stage == "ehlo":
            server.extensions = ("SIZE",)
            server.answers = {"ehlo": "250-never"}  # an unfinished reply
        with pytest.raises(TryLater) as caught:
            await sent_to(server, QUICK)
    assert not caught.value.configuration


@pytest.mark.parametrize("stage", ["greeting", "mail", "rcpt", "data"])
async def test_a_relay_that_hangs_up_before_the_dot_is_tried_later(stage: str) -> None:
    async with relay({stage: CLOSE}) as server:
        with pytest.raises(TryLater):
            await sent_to(server)


@pytest.mark.parametrize("stage", ["greeting", "mail", "rcpt", "data", "dot"])
async def test_a_temporary_reply_at_any_stage_is_tried_later_in_the_relays_words(stage: str) -> None:
    async with relay({stage: "451 4.7.1 Greylisted, come back in 300 s"}) as server:
        with pytest.raises(TryLater, match="Greylisted, come back") as caught:
            await sent_to(server)
    assert not caught.value.configuration


async def test_a_relay_that_stops_reading_in_the_middle_is_tried_later() -> None:
    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        for reply in (b"250 relay", b"250 ok", b"250 ok", b"354 go on"):
            await reader.readline()
            writer.write(reply + b"\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    server = await asyncio.start_server(stuck, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    async with server, channel(f"smtp://127.0.0.1:{port}", QUICK) as email:
        with pytest.raises(TryLater):
            await email.send(message(text="x" * 20_000_000, html=None))


async def test_silence_after_the_dot_leaves_it_unknown() -> None:
    async with relay({"dot": HANG}) as server:
        with pytest.raises(Unknown, match="did not answer"):
            await sent_to(server, replace(PATIENT, final=0.3))


@pytest.mark.parametrize("end", [CLOSE, KEEP_AND_CLOSE])
async def test_a_hang_up_after_the_dot_leaves_it_unknown(end: str) -> None:
    async with relay({"dot": end}) as server:
        with pytest.raises(Unknown):
            await sent_to(server)


@pytest.mark.parametrize("nonsense", ["what?", "354 go on", "999 party"])
async def test_nonsense_after_the_dot_leaves_it_unknown(nonsense: str) -> None:
    async with relay({"dot": nonsense}) as server:
        with pytest.raises(Unknown):
            await sent_to(server)


async def test_nonsense_before_the_dot_is_tried_later() -> None:
    async with relay({"mail": "what?"}) as server:
        with pytest.raises(TryLater):
            await sent_to(server)


async def test_a_cancelled_send_after_the_dot_stays_cancelled_and_drops_the_connection() -> None:
    async with relay({"dot": HANG}) as server, channel(server.url) as email:
        task = asyncio.create_task(email.send(message()))
        await server.reached_dot.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.answers = {}
        await email.send(message(2))
    assert server.connections == 2


async def test_a_relay_that_is_not_there_is_tried_later() -> None:
    async with relay() as server:
        url = server.url
    async with channel(url) as email:
        with pytest.raises(TryLater, match="no connection") as caught:
            await email.send(message())
    assert not caught.value.configuration


async def test_a_relay_whose_name_does_not_resolve_is_tried_later() -> None:
    async with channel("smtp://relay.invalid") as email:
        with pytest.raises(TryLater, match=r"relay\.invalid"):
            await email.send(message())


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown",
        "550 5.1.2 bad destination system",
        "553 5.1.3 bad syntax",
        "551 5.1.6 has moved",
        "556 5.1.10 recipient address has null MX",
        "550 5.2.1 mailbox disabled",
        "550 No such user here",
        "550 Unknown recipient",
        "553 sorry, that mailbox does not exist",
        "550-5.1.1 The email account that you tried to reach does not exist.\r\n550 5.1.1 Goodbye",
    ],
)
async def test_a_mailbox_that_does_not_exist_is_refused_and_suppressed(reply: str) -> None:
    async with relay({"rcpt": reply}) as server:
        with pytest.raises(Refused) as caught:
            await sent_to(server)
    assert caught.value.suppress


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 message refused by policy",
        "550 5.7.26 unauthenticated sender domain",
        "554 5.7.1 Service unavailable; Client host blocked using dnsbl; does not exist",
        "552 5.2.2 mailbox full",
        "550 mailbox unavailable",
        "550 rejected as spam: user unknown",
        "554 transaction failed",
        "550 5.0.0 no",
    ],
)
async def test_a_refusal_that_is_not_the_addresss_fault_does_not_suppress_it(reply: str) -> None:
    async with relay({"rcpt": reply}) as server:
        with pytest.raises(Refused) as caught:
            await sent_to(server)
    assert not caught.value.suppress


@pytest.mark.parametrize("stage", ["data", "dot"])
async def test_a_refused_content_never_suppresses_the_address(stage: str) -> None:
    async with relay({stage: "550 5.1.1 looks like a missing user, but is about the content"}) as server:
        with pytest.raises(Refused) as caught:
            await sent_to(server)
    assert not caught.value.suppress


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("mail", "550 5.7.1 sender not allowed"),
        ("mail", "530 5.7.0 Authentication required"),
        ("rcpt", "553 5.7.1 <hello@shop.example>: Sender address rejected: not owned by user shop"),
        ("rcpt", "550 5.1.8 <hello@shop.example>: Sender address rejected: Domain not found"),
        ("rcpt", "554 5.7.1 <ada@example.com>: Relay access denied"),
        ("rcpt", "530 5.7.0 Must issue a STARTTLS command first"),
    ],
)
async def test_a_fault_of_our_settings_pauses_the_channel_and_says_what_to_look_at(stage: str, reply: str) -> None:
    async with relay({stage: reply}) as server:
        with pytest.raises(TryLater) as caught:
            await sent_to(server)
    assert caught.value.configuration
    assert "WAYMARK_" in (caught.value.hint or "")


async def test_a_message_too_large_is_refused_and_not_the_senders_fault() -> None:
    async with relay({"mail": "552 5.3.4 message size exceeds limit"}) as server:
        with pytest.raises(Refused, match="too large"):
            await sent_to(server)


async def test_a_refused_login_pauses_the_channel() -> None:
    answers = {"auth": "535 5.7.8 authentication failed"}
    async with (
        relay(answers, extensions=("AUTH PLAIN",)) as server,
        channel(f"smtp://shop:wrong@127.0.0.1:{server.port}") as email,
    ):
        with pytest.raises(TryLater, match="authentication failed") as caught:
            await email.send(message())
    assert caught.value.configuration


async def test_a_login_that_fails_for_the_moment_is_only_tried_later() -> None:
    answers = {"auth": "454 4.7.0 temporary authentication failure"}
    async with (
        relay(answers, extensions=("AUTH PLAIN",)) as server,
        channel(f"smtp://shop:right@127.0.0.1:{server.port}") as email,
    ):
        with pytest.raises(TryLater) as caught:
            await email.send(message())
    assert not caught.value.configuration


async def test_a_relay_without_login_pauses_the_channel_that_wants_one() -> None:
    async with relay() as server, channel(f"smtp://shop:right@127.0.0.1:{server.port}") as email:
        with pytest.raises(TryLater, match="offers no login") as caught:
            await email.send(message())
    assert caught.value.configuration


async def test_user_and_password_arrive_unescaped() -> None:
    async with (
        relay(extensions=("AUTH PLAIN",)) as server,
        channel(f"smtp://shop%40example.com:p%2Fss@127.0.0.1:{server.port}") as email,
    ):
        await email.send(message())
    assert "AUTH PLAIN AHNob3BAZXhhbXBsZS5jb20AcC9zcw==" in server.commands


async def test_starttls_is_used_when_offered(certificate: ssl.SSLContext) -> None:
    async with relay(tls=certificate) as server, channel(f"{server.url}?verify=false") as email:
        await email.send(message())
        assert "(TLS)" in await email.check()
    assert "STARTTLS" in server.commands
    assert len(server.received) == 1


async def test_a_large_message_passes_through_tls(certificate: ssl.SSLContext) -> None:
    async with relay(tls=certificate) as server, channel(f"{server.url}?verify=false") as email:
        server_limit = "x" * 40_000
        await email.send(message(text=server_limit, html=None))
    assert len(server.received[0]) > 40_000


async def test_tls_from_the_first_byte_works(certificate: ssl.SSLContext) -> None:
    async with (
        relay(tls=certificate, tls_from_the_start=True) as server,
        channel(f"smtps://127.0.0.1:{server.port}?verify=false") as email,
    ):
        await email.send(message())
    assert len(server.received) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(scheme: str, certificate: ssl.SSLContext) -> None:
    async with (
        relay(tls=certificate, tls_from_the_start=scheme == "smtps") as server,
        channel(f"{scheme}://localhost:{server.port}") as email,
    ):
        with pytest.raises(TryLater, match=r"(?i)certificate") as caught:
            await email.send(message())
    assert "certificate" in (caught.value.hint or "")
    assert not server.received


async def test_plain_text_where_tls_is_expected_is_tried_later() -> None:
    async with relay() as server, channel(f"smtps://127.0.0.1:{server.port}", QUICK) as email:
        with pytest.raises(TryLater):
            await email.send(message())


async def test_no_password_is_sent_in_the_clear_to_another_machine() -> None:
    assert Relay.parse("smtp://user:secret@mail.example.com").starttls is True
    assert Relay.parse("smtp://user:secret@mail.example.com?starttls=never").starttls is False
    async with (
        relay(extensions=("AUTH PLAIN",)) as server,
        channel(f"smtp://u:p@127.0.0.1:{server.port}?starttls=always") as email,
    ):
        with pytest.raises(TryLater, match="STARTTLS"):
            await email.send(message())
    assert not any(command.startswith("AUTH") for command in server.commands)


async def test_a_chinese_mailbox_is_reached_through_a_relay_that_can() -> None:
    async with relay(extensions=("SMTPUTF8", "8BITMIME")) as server, channel(server.url) as email:
        await email.send(message(address="王@例子.测试"))
    assert any("SMTPUTF8" in command for command in server.commands)
    assert "RCPT TO:<王@xn--fsqu00a.xn--0zwm56d>" in server.commands


async def test_a_chinese_mailbox_is_refused_clearly_where_the_relay_cannot() -> None:
    async with relay() as server, channel(server.url) as email:
        with pytest.raises(Refused, match="SMTPUTF8") as caught:
            await email.send(message(address="王@example.com"))
    assert not caught.value.suppress


@pytest.mark.parametrize(
    "changes", [{"address": "no address"}, {"subject": "a\nb"}, {"subject": None}, {"unsubscribe_url": "x y"}]
)
async def test_what_cannot_be_a_mail_is_refused_before_anything_is_connected(changes: dict[str, Any]) -> None:
    async with relay() as server, channel(server.url) as email:
        with pytest.raises(Refused):
            await email.send(message(**changes))
    assert server.connections == 0


async def test_the_check_says_where_mail_goes_and_as_whom() -> None:
    async with relay() as server, channel(server.url) as email:
        assert await email.check() == f"127.0.0.1:{server.port} (no TLS) accepts mail from hello@shop.example"
    assert not server.received


@pytest.mark.parametrize("answers", [{"mail": "550 5.7.1 not you"}, {"greeting": "554 no"}, {"mail": CLOSE}])
async def test_the_check_fails_with_a_hint(answers: dict[str, str]) -> None:
    async with relay(answers) as server, channel(server.url) as email:
        with pytest.raises(WaymarkError, match="Email: "):
            await email.check()


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "smtp://",
        "smtp://a:port",
        "smtp://a/b",
        "smtp://a?starttls=perhaps",
        "smtp://a?tls=1",
        "mail.example.com",
    ],
)
def test_an_address_of_a_relay_that_cannot_be_read_is_an_error_with_a_hint(url: str) -> None:
    with pytest.raises(WaymarkError) as caught:
        EmailChannel(url, "hello@shop.example")
    assert caught.value.hint


@pytest.mark.parametrize("sender", ["", "Shop", "Shop <hello>", "Shop\n<hello@shop.example>"])
def test_a_sender_that_is_no_address_is_an_error_with_a_hint(sender: str) -> None:
    with pytest.raises(WaymarkError) as caught:
        EmailChannel("smtp://localhost", sender)
    assert "WAYMARK_MAIL_FROM" in (caught.value.hint or "")


def test_the_password_is_never_printed() -> None:
    assert "secret" not in repr(Relay.parse("smtp://user:secret@mail.example.com"))
