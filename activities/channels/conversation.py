"""One conversation with a relay, in which the next mail is begun while one is being judged.

Where the relay offers PIPELINING (RFC 2920), the final dot of one mail and MAIL, RCPT and DATA of the next travel
together, so that a mail costs one round trip instead of four. Every reply is still matched to its own mail; what
becomes of each is said with the same words as for a single one (`activities/channels/email.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass

from activities.channels import mime
from activities.channels.channel import Outcome, Receipt, Refused, TryLater, Unknown
from activities.channels.email import EmailChannel, failure, path
from activities.channels.letters import Bundle, Letter
from activities.channels.relay import Connection
from activities.channels.replies import Reply, Stage

PER_CONNECTION = 500
"""Mails over one connection: relays tire of endless ones."""


class Conversation(asyncio.Protocol):
    """One connection, taken over from the library once it is open, secured and logged in."""

    def __init__(self, connection: Connection, channel: EmailChannel) -> None:
        transport = connection.client.transport
        if not isinstance(transport, asyncio.WriteTransport):
            raise TryLater("the relay closed the connection at once")
        offers = connection.client.supports_extension
        self._pipelining, self._size, self._utf8 = offers("pipelining"), offers("size"), offers("smtputf8")
        self._relay, self._timeouts, self._sender = channel.relay, channel.timeouts, channel.sender
        self._from = path("FROM", channel.sender)
        # The library hangs up when its own end of the connection is forgotten.
        self._connection = connection
        self._transport = transport
        self._unread = b""
        self._said: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._heard: asyncio.Future[None] | None = None
        self._wanted = 0
        self._broken: str | None = None
        self._reset = False
        self.sent = 0
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        return self._broken is None and not self._transport.is_closing()

    @property
    def lost(self) -> TryLater:
        """What happened to the conversation."""
        return TryLater(f"the relay {self._relay} went silent or away: {self._broken or 'it hung up'}")

    async def carry(self, bundle: Bundle) -> None:
        """Hand over letters one after another. Returns when none waits, or when the conversation is not usable."""
        number = bundle.take()
        begun = False
        while number is not None:
            letter = bundle.letters[number]
            if letter.international and not self._utf8:
                who = letter.address.decode()
                bundle.end(
                    number, Refused(f"{who} or the sender needs a relay with SMTPUTF8, and {self._relay} has none")
                )
                number, begun = bundle.take(), False
                continue
            try:
                refusal = await self._envelope(letter, begun=begun)
            except (OSError, TimeoutError) as error:
                # Nothing of it has left us: another conversation may carry it.
                self._break(error)
                bundle.waiting.appendleft(number)
                return
            if refusal is not None:
                if refusal.code == 421 and self.sent:
                    self._broken = str(refusal)
                    bundle.waiting.appendleft(number)
                    return
                bundle.end(number, failure(refusal.stage, refusal.reply))
                if refusal.code == 421:
                    self._broken = str(refusal)
                    return
                number, begun = bundle.take(), False
                continue
            upcoming = bundle.take() if self.sent + 1 < PER_CONNECTION else None
            behind = bundle.letters[upcoming] if self._pipelining and upcoming is not None else None
            begun = behind is not None and not behind.international
            try:
                bundle.end(number, await self._content(letter, behind if begun else None))
            except (OSError, TimeoutError) as error:
                self._break(error)
                bundle.end(
                    number, Unknown(f"the relay {self._relay} took the whole message and did not answer: {error}")
                )
                if upcoming is not None:
                    bundle.waiting.appendleft(upcoming)
                return
            number = upcoming
            self.sent += 1

    async def _envelope(self, letter: Letter, *, begun: bool) -> _Refusal | None:
        """MAIL, RCPT and DATA (`begun`: they are on their way); what was refused, and by which words."""
        replies: list[Reply] = []
        if begun:
            replies = await self._hear(3, self._timeouts.command)
        elif self._pipelining:
            commands = self._commands(letter)
            self._write(b"".join(commands))
            replies = await self._hear(len(commands), self._timeouts.command)
        else:
            for command in self._commands(letter):
                self._write(command)
                replies += await self._hear(1, self._timeouts.command)
                if not 200 <= replies[-1].code < 400:
                    break
        replies = replies[1:] if self._reset else replies
        self._reset = False
        stages: tuple[Stage, ...] = ("sender", "recipient", "data")
        for stage, reply in zip(stages, replies, strict=False):
            if not (reply.code == 354 if stage == "data" else 200 <= reply.code < 300):
                if len(replies) == 3 and replies[2].code == 354:
                    # It waits for content all the same; an empty one is refused, as nobody is to get it (RFC 2920).
                    self._write(b".\r\n")
                    await self._hear(1, self._timeouts.command)
                self._reset = True
                return _Refusal(stage, reply)
        return None

    async def _content(self, letter: Letter, upcoming: Letter | None) -> Outcome:
        """The mail itself and, behind it, the commands of the next."""
        behind = b"".join(self._commands(upcoming)) if upcoming is not None else b""
        self._write(b"".join((letter.content, b".\r\n", behind)))
        [reply] = await self._hear(1, self._timeouts.body + self._timeouts.final)
        if 200 <= reply.code < 300:
            return Receipt(provider_id=mime.message_id(letter.key, self._sender.domain), detail=str(reply))
        if 400 <= reply.code < 600:
            return failure("content", reply)
        return Unknown(f"the relay {self._relay} took the whole message and answered nonsense: {reply}")

    def _commands(self, letter: Letter) -> list[bytes]:
        size = b" SIZE=%d" % len(letter.content) if self._size else b""
        utf8 = b" SMTPUTF8" if letter.international else b""
        return [
            *([b"RSET\r\n"] if self._reset else []),
            b"MAIL " + self._from + size + utf8 + b"\r\n",
            b"RCPT TO:<" + letter.address + b">\r\n",
            b"DATA\r\n",
        ]

    def _write(self, data: bytes) -> None:
        if self._broken is not None or self._transport.is_closing():
            raise ConnectionError(self._broken or "it hung up")
        self._transport.write(data)

    async def _hear(self, count: int, timeout: float) -> list[Reply]:
        """The next so many replies. Raises `OSError` and `TimeoutError`."""
        if len(self._replies) < count:
            if self._broken is not None:
                raise ConnectionError(self._broken)
            self._wanted = count
            self._heard = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._heard
            finally:
                self._heard = None
        return [self._replies.popleft() for _ in range(count)]

    def data_received(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._said.append(line[4:].rstrip())
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else 0
                text = b" ".join(self._said).decode("utf-8", "replace")
                self._replies.append(Reply(code, text))
                self._said = []
        if self._heard is not None and not self._heard.done() and len(self._replies) >= self._wanted:
            self._heard.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._broken = self._broken or str(error or "it hung up")
        if self._heard is not None and not self._heard.done():
            self._heard.set_exception(ConnectionError(self._broken))

    def _break(self, error: Exception) -> None:
        self._broken = self._broken or str(error) or type(error).__name__

    def abort(self) -> None:
        """Drop the connection without another byte."""
        self._broken = self._broken or "it was dropped"
        self._transport.abort()

    async def quit(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self._write(b"QUIT\r\n")
            await self._hear(1, 5)
        self.abort()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the relay did not want, and what it said."""

    stage: Stage
    reply: Reply

    @property
    def code(self) -> int:
        return self.reply.code

    def __str__(self) -> str:
        return str(self.reply)
