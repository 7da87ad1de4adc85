"""The mail catcher: a relay that accepts everything and delivers it to an inbox page.

Run it with `python -m workers.catchers.mail --smtp-port 1025 --http-port 8025 --folder mail`. Port 0 takes a free
one; the one line of JSON on standard output says which: `smtp_url` and `inbox_url`.
"""

import argparse
import asyncio
import socket
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from workers.catchers.faults import Fault, Faults
from workers.catchers.inbox import routes
from workers.catchers.mailbox import Mails
from workers.catchers.serving import address, application, listener, port_of, run_as_process, serving
from workers.child import announce, until_told_to_stop

_LARGEST = 33_554_432
_HANG = 86_400


class Relay:
    """The SMTP side: takes mails, unless told to misbehave."""

    def __init__(self, mails: Mails, faults: Faults, bound: socket.socket) -> None:
        self.mails = mails
        self.faults = faults
        self._address = bound.getsockname()[:2]
        self._bound: socket.socket | None = bound
        self._server: asyncio.Server | None = None
        self._conversations: set[SMTP] = set()

    async def open(self) -> None:
        """Take connections."""
        if self._server is None:
            bound, self._bound = self._bound or listener(*self._address), None
            self._server = await asyncio.get_running_loop().create_server(self._converse, sock=bound)

    async def close(self) -> None:
        """Refuse connections and end those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for conversation in list(self._conversations):
            _abort(conversation)

    async def misbehave(self, asked: Any) -> None:
        """Set the faults (see `Faults`)."""
        self.faults.set(asked)
        await (self.close() if self.faults.refuse_connections else self.open())

    def _converse(self) -> SMTP:
        return _Conversation(self, self._conversations)

    async def handle_MAIL(  # noqa: N802 (the library's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := self.faults.at("mail", address):
            return await _strike(server, fault)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := self.faults.at("rcpt", address):
            return await _strike(server, fault)
        if self.faults.greylist is not None and self.faults.greylist.puts_off(address):
            return "450 4.7.1 Greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        recipients = [str(address) for address in envelope.rcpt_tos]
        if fault := self.faults.at("dot", " ".join(recipients)):
            return await _strike(server, fault)
        content = envelope.content
        assert isinstance(content, bytes)
        mail = self.mails.add(str(envelope.mail_from or ""), recipients, content)
        if fault := self.faults.at("stored", " ".join(recipients)):
            return await _strike(server, fault)
        return f"250 2.0.0 Ok: caught as {mail.id}"


class _Conversation(SMTP):
    """One connection; knows the `data` fault, for which the library has no hook, and is known while it lasts."""

    def __init__(self, relay: Relay, open_ones: set[SMTP]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            relay, hostname="catcher.localhost", ident="Waymark mail catcher", loop=loop,
            enable_SMTPUTF8=True, data_size_limit=_LARGEST,
        )  # fmt: skip
        self._relay = relay
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._open_ones.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        recipients = " ".join(self.envelope.rcpt_tos) if self.envelope else ""
        if recipients and (fault := self._relay.faults.at("data", recipients)):
            await self.push(await _strike(self, fault))
        else:
            await super().smtp_DATA(arg)


async def _strike(server: SMTP, fault: Fault) -> str:
    if fault.hang:
        await asyncio.sleep(_HANG)
    if fault.drop:
        _abort(server)
    return fault.reply


def _abort(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()


async def run(*, smtp_port: int, http_port: int, folder: Path, host: str = "127.0.0.1") -> None:
    """Catch mail until told to stop. Raises `WaymarkError` when a port is in use."""
    smtp, http = listener(host, smtp_port), listener(host, http_port)
    relay = Relay(await asyncio.to_thread(Mails, folder), Faults(), smtp)
    app = application(routes(relay.mails, relay.faults, relay.misbehave), host)
    async with serving(app, http):
        await relay.open()
        addresses = {
            "smtp_url": address("smtp", host, port_of(smtp)),
            "inbox_url": address("http", host, port_of(http)),
        }
        await until_told_to_stop(lambda: announce(**addresses))
        await relay.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.catchers.mail", description="Catch mail on this machine.")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--folder", type=Path, required=True, help="Maildir that keeps the mails")
    parser.add_argument("--host", default="127.0.0.1")
    run_as_process(parser, run)


if __name__ == "__main__":
    main()
