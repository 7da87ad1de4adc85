"""The SMS channel against the catcher's Twilio, and against servers that are no Twilio at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from activities.channels.channel import Message, Refused, TryLater, Unknown
from activities.channels.sms import SmsChannel
from journeys.errors import WaymarkError
from tests.catchers import SmsCatcher, sms_catcher, texts
from tests.patience import eventually

__all__ = ["sms_catcher", "texts"]
SENDER = "+15005550006"


def message(to: str = "+4915112345678", text: str = "Hello Ada") -> Message:
    return Message("welcome/1 2", to, None, text, None, "en", datetime(2026, 3, 1, tzinfo=UTC))


@asynccontextmanager
async def channel(
    base_url: str,
    account: str = "ACwaymarklocal",
    token: str = "local",
    timeout: float = 10,
    callback: str | None = None,
) -> AsyncIterator[SmsChannel]:
    made = SmsChannel(account, token, SENDER, base_url=base_url, status_callback=callback, timeout=timeout)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def server(answer: bytes | None, *, read: bool = True) -> AsyncIterator[str]:
    """A server that answers these bytes to anything, or (None) nothing ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await asyncio.Event().wait()
        writer.write(answer or b"")
        writer.close()

    conversations: set[asyncio.Task[None]] = set()
    made = await asyncio.start_server(lambda r, w: conversations.add(asyncio.create_task(talk(r, w))), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}"
    finally:
        made.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def response(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def test_a_text_arrives_and_its_receipt_names_it(texts: SmsCatcher) -> None:
    async with channel(texts.url) as sms:
        receipt = await sms.send(message(text="您好，小明 👋"))
    (caught,) = texts.messages()
    assert receipt.provider_id == caught["sid"]
    assert receipt.detail == "queued, 1 segment (UCS-2)"
    assert (caught["from"], caught["to"], caught["body"]) == (SENDER, "+4915112345678", "您好，小明 👋")


async def test_the_status_callback_carries_the_messages_key(texts: SmsCatcher) -> None:
    async with channel(texts.url, callback="http://127.0.0.1:1/status") as sms:
        receipt = await sms.send(message())
    assert texts.settled(str(receipt.provider_id))["callback"] == "http://127.0.0.1:1/status?key=welcome%2F1%202"


async def test_the_check_names_the_account(texts: SmsCatcher) -> None:
    async with channel(texts.url) as sms:
        assert await sms.check() == f"{texts.url}: account active, texts come from {SENDER}"


async def test_the_check_fails_with_a_hint(texts: SmsCatcher) -> None:
    async with channel(texts.url, token="wrong") as sms:
        with pytest.raises(WaymarkError, match=r"SMS: .*20003") as caught:
            await sms.check()
    assert "WAYMARK_TWILIO" in (caught.value.hint or "")


async def test_an_impossible_number_is_refused_and_suppressed(texts: SmsCatcher) -> None:
    async with channel(texts.url) as sms:
        with pytest.raises(Refused, match="21211") as caught:
            await sms.send(message(to="12345"))
    assert caught.value.suppress


async def test_a_number_that_answered_stop_is_refused_and_suppressed(texts: SmsCatcher) -> None:
    async with channel(texts.url) as sms:
        texts.reply("+4915112345678", "stop", url="http://127.0.0.1:1/")
        with pytest.raises(Refused, match="21610") as caught:
            await sms.send(message())
        assert caught.value.suppress
        texts.reply("+4915112345678", "START", url="http://127.0.0.1:1/")
        await sms.send(message())
    assert len(texts.messages(to="+49")) == 1


@pytest.mark.parametrize(("code", "suppress"), [(21614, True), (21214, False), (21408, False), (21617, False)])
async def test_what_twilio_refuses_for_good_is_refused(texts: SmsCatcher, code: int, suppress: bool) -> None:
    texts.misbehave(send={"status": 400, "code": code, "message": "no"})
    async with channel(texts.url) as sms:
        with pytest.raises(Refused) as caught:
            await sms.send(message())
    assert (caught.value.suppress, caught.value.message) == (suppress, code == 21617)


@pytest.mark.parametrize(
    ("account", "token"), [("ACwaymarklocal", "wrong"), ("ACsomebody", "local"), ("", ""), ("../x", "local")]
)
async def test_a_wrong_login_pauses_the_channel(texts: SmsCatcher, account: str, token: str) -> None:
    async with channel(texts.url, account, token) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert caught.value.configuration
    assert "WAYMARK_TWILIO" in (caught.value.hint or "")


@pytest.mark.parametrize("code", [21606, 21212, 21659])
async def test_a_sender_that_is_not_ours_pauses_the_channel(texts: SmsCatcher, code: int) -> None:
    texts.misbehave(send={"status": 400, "code": code, "message": "not your number"})
    async with channel(texts.url) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert caught.value.configuration


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (500, 0), (503, 0), (502, 0), (400, 21611)])
async def test_an_overloaded_provider_is_tried_later_when_it_says(texts: SmsCatcher, status: int, code: int) -> None:
    texts.misbehave(send={"status": status, "code": code, "retry_after": 90})
    async with channel(texts.url) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert (caught.value.after, caught.value.configuration) == (timedelta(seconds=90), False)


async def test_retry_after_may_be_a_date() -> None:
    answer = response("503 Busy", "", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT")
    async with server(answer) as url, channel(url) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert caught.value.after is not None
    assert caught.value.after > timedelta(days=365)


async def test_a_nonsensical_retry_after_is_ignored() -> None:
    async with server(response("503 Busy", "", "Retry-After: soon")) as url, channel(url) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert caught.value.after is None


async def test_a_provider_that_is_not_there_is_tried_later() -> None:
    async with server(b"") as url:
        pass
    async with channel(url) as sms:
        with pytest.raises(TryLater, match="no connection"):
            await sms.send(message())


@pytest.mark.parametrize("base_url", ["ftp://a", "nonsense"])
async def test_an_address_that_is_none_pauses_the_channel(base_url: str) -> None:
    async with channel(base_url) as sms:
        with pytest.raises(TryLater) as caught:
            await sms.send(message())
    assert caught.value.configuration


async def test_silence_after_the_request_leaves_it_unknown() -> None:
    async with server(None) as url, channel(url, timeout=0.3) as sms:
        with pytest.raises(Unknown, match="did not answer"):
            await sms.send(message())


async def test_a_text_that_was_taken_without_an_answer_is_unknown(texts: SmsCatcher) -> None:
    texts.misbehave(send={"hang": True})
    async with channel(texts.url, timeout=0.3) as sms:
        with pytest.raises(Unknown):
            await sms.send(message())
    eventually(lambda: len(texts.messages()) == 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 201 Crea",
        b"SSH-2.0-OpenSSH\r\n",
        response("201 Created", "<html>"),
        response("200 OK", "[]"),
        response("504 Gateway Timeout"),
    ],
)
async def test_an_answer_that_says_nothing_leaves_it_unknown(answer: bytes) -> None:
    async with server(answer) as url, channel(url) as sms:
        with pytest.raises(Unknown):
            await sms.send(message())


async def test_a_cancelled_send_stays_cancelled() -> None:
    async with server(None) as url, channel(url) as sms:
        task = asyncio.create_task(sms.send(message()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_channel_can_be_used_again_after_it_was_closed(texts: SmsCatcher) -> None:
    async with channel(texts.url) as sms:
        await sms.send(message())
        await sms.close()
        await sms.send(message())
    assert len(texts.messages()) == 2
