"""The email channel: hands messages to a mail relay and says truthfully what became of them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib

from activities.channels.channel import Message, Receipt, Refused, TryLater, Unknown
from activities.channels.mime import Mailbox, Unsendable, compose, message_id
from activities.channels.relay import Connection, Pool, Relay, Timeouts
from activities.channels.replies import Reply, Stage, meaning
from journeys.errors import WaymarkError

_DOT_FIRST = re.compile(rb"^\.", re.MULTILINE)


class EmailChannel:
    """Email through one SMTP relay (RFC 5321), over a small pool of connections.

    `smtp_url` is read by `Relay.parse`; `mail_from` is `Name <address>` or an address, whose domain also makes
    the Message-IDs. Raises `WaymarkError` when either cannot be read. Nothing is connected before it is needed.
    """

    name = "email"

    def __init__(
        self,
        smtp_url: str,
        mail_from: str,
        *,
        timeouts: Timeouts | None = None,
        connections: int = 4,
        max_messages: int = 100,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self.relay = Relay.parse(smtp_url)
        try:
            self.sender = Mailbox.parse_named(mail_from)
        except Unsendable as error:
            raise WaymarkError(
                f"The sender cannot be used: {error}", hint='Write WAYMARK_MAIL_FROM as "Name <name@example.com>".'
            ) from None
        self._pool = Pool(self.relay, self.timeouts, size=connections, max_messages=max_messages)

    async def send(self, message: Message) -> Receipt:
        """Hand one mail to the relay.

        Up to the final dot every failure is a `TryLater` or a `Refused`: the relay must not deliver an unfinished
        message. From the final dot until the relay's answer every failure is `Unknown`.
        """
        try:
            recipient = Mailbox.parse(message.address, message.name)
            content = compose(message, self.sender, recipient)
        except (Unsendable, UnicodeError) as error:
            raise Refused(str(error)) from None
        international = self.sender.needs_smtputf8 or recipient.needs_smtputf8
        async with self._pool.connection() as connection, _temporary_faults(self.relay):
            verdict = await self._transact(connection, recipient, content, international=international)
        if isinstance(verdict, Reply):
            return Receipt(provider_id=message_id(message.key, self.sender.domain), detail=str(verdict))
        raise verdict

    async def check(self) -> str:
        """Connect, log in and ask whether our sender is welcome; nothing is sent."""
        try:
            async with self._pool.connection() as connection, _temporary_faults(self.relay):
                secure = connection.client.get_transport_info("sslcontext") is not None
                reply = await connection.command(b"MAIL", path("FROM", self.sender))
                await connection.command(b"RSET")
        except TryLater as error:
            raise WaymarkError(f"Email: {error.reason}", hint=error.hint) from error
        if reply.code >= 400:
            fault = meaning("sender", reply)
            raise WaymarkError(f"Email: {fault.reason}", hint=getattr(fault, "hint", None))
        login = f", logged in as {self.relay.user}" if self.relay.user else ""
        return f"{self.relay} ({'TLS' if secure else 'no TLS'}{login}) accepts mail from {self.sender.address}"

    async def close(self) -> None:
        await self._pool.close()

    async def _transact(
        self, connection: Connection, recipient: Mailbox, content: bytes, *, international: bool
    ) -> Reply | Refused | TryLater:
        """One mail transaction. A refusal is returned, not raised, so that the connection lives on."""
        options = []
        if connection.client.supports_extension("size"):
            options.append(b"SIZE=%d" % len(content))
        if international:
            if not connection.client.supports_extension("smtputf8"):
                return Refused(
                    f"{recipient.address} or the sender needs a relay with SMTPUTF8, and {self.relay} has none"
                )
            options.append(b"SMTPUTF8")
        envelope: list[tuple[Stage, tuple[bytes, ...]]] = [
            ("sender", (b"MAIL", path("FROM", self.sender), *options)),
            ("recipient", (b"RCPT", path("TO", recipient))),
        ]
        for stage, words in envelope:
            reply = await connection.command(*words)
            if not 200 <= reply.code < 300:
                return failure(stage, reply)
        reply = await connection.command(b"DATA")
        if reply.code != 354:
            return failure("data", reply)
        await connection.write(stuffed(content), self.timeouts.body)
        connection.sent += 1
        try:
            reply = await connection.final_dot(self.timeouts.final)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unknown(f"the relay {self.relay} took the whole message and did not answer: {error}") from error
        if 200 <= reply.code < 300:
            return reply
        if 400 <= reply.code < 600:
            return failure("content", reply)
        raise Unknown(f"the relay {self.relay} took the whole message and answered nonsense: {reply}")


def failure(stage: Stage, reply: Reply) -> Refused | TryLater:
    fault = meaning(stage, reply)
    assert isinstance(fault, (Refused, TryLater))
    return fault


def path(direction: str, mailbox: Mailbox) -> bytes:
    return f"{direction}:<{mailbox.address}>".encode()


def stuffed(content: bytes) -> bytes:
    """Message data as it goes over the wire: leading dots doubled (RFC 5321, 4.5.2), ending with a line end."""
    return _DOT_FIRST.sub(b"..", content if content.endswith(b"\r\n") else content + b"\r\n")


@asynccontextmanager
async def _temporary_faults(relay: Relay) -> AsyncIterator[None]:
    """Before the final dot, silence and hang-ups are reasons to try later."""
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        raise TryLater(f"the relay {relay} answered nonsense: {error.code} {error.message}") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise TryLater(f"the relay {relay} went silent or away: {str(error) or type(error).__name__}") from error
