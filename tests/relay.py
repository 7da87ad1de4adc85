"""Other people's mail relays, at their worst: a scripted SMTP server for tests."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

HANG = "<hang>"
CLOSE = "<close>"
KEEP_AND_CLOSE = "<keep and close>"


@dataclass
class ScriptedRelay:
    """Says what it is told to say at each stage and remembers what it was told itself.

    Stages are `greeting`, the first word of each command in lower case, and `dot`. An answer is a reply, or one of
    HANG, CLOSE (before taking the message) and KEEP_AND_CLOSE (after taking it).
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ("SIZE 10485760",)
    tls: ssl.SSLContext | None = None
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    reached_dot: asyncio.Event = field(default_factory=asyncio.Event)

    USUAL = {  # noqa: RUF012
        "greeting": "220 relay.example ready",
        "mail": "250 2.1.0 Ok",
        "rcpt": "250 2.1.5 Ok",
        "data": "354 go on",
        "dot": "250 2.0.0 Ok: queued as ABC123",
        "auth": "235 2.7.0 welcome",
        "rset": "250 2.0.0 Ok",
        "noop": "250 2.0.0 Ok",
        "quit": "221 2.0.0 Bye",
        "starttls": "220 2.0.0 go ahead",
    }

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if not await self._answer("greeting", writer):
            return
        while line := await reader.readline():
            words = line.decode().strip()
            self.commands.append(words)
            stage = words.split(" ")[0].lower()
            if stage == "ehlo":
                extensions = [*self.extensions, *(["STARTTLS"] if self.tls else [])]
                lines = ["relay.example", *extensions]
                reply = "\r\n".join(f"250{'-' if n < len(lines) else ' '}{text}" for n, text in enumerate(lines, 1))
                writer.write(self.answers.get("ehlo", reply).encode() + b"\r\n")
                continue
            if not await self._answer(stage, writer):
                return
            if stage == "starttls" and self.tls:
                await writer.start_tls(self.tls)
            if stage == "data" and self.answers.get("data", "354").startswith("354"):
                content = await reader.readuntil(b"\r\n.\r\n")
                self.reached_dot.set()
                if self.answers.get("dot", "250").startswith("250") or self.answers["dot"] == KEEP_AND_CLOSE:
                    self.received.append(content[:-3])
                if not await self._answer("dot", writer):
                    return
            if stage == "quit":
                return

    async def _answer(self, stage: str, writer: asyncio.StreamWriter) -> bool:
        answer = self.answers.get(stage) or self.USUAL[stage]
        if answer == HANG:
            await asyncio.Event().wait()
        if answer in {CLOSE, KEEP_AND_CLOSE}:
            return False
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        return not answer.startswith("421")

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._talk(reader, writer)
        writer.close()


@contextlib.asynccontextmanager
async def relay(
    answers: Mapping[str, str] | None = None,
    *,
    extensions: tuple[str, ...] = ("SIZE 10485760",),
    tls: ssl.SSLContext | None = None,
    tls_from_the_start: bool = False,
) -> AsyncIterator[ScriptedRelay]:
    """A relay on a free port of this machine for the length of the block."""
    scripted = ScriptedRelay(answers or {}, extensions, None if tls_from_the_start else tls)
    conversations: set[asyncio.Task[None]] = set()

    def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(scripted.handle(reader, writer))
        conversations.add(task)
        task.add_done_callback(conversations.discard)

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls if tls_from_the_start else None)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
