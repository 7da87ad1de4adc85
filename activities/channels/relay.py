"""Connections to a mail relay: how to reach it, and a small pool of them."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from activities.channels.channel import TryLater
from activities.channels.replies import Reply, meaning
from journeys.errors import WaymarkError

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_STARTTLS = {"auto": None, "always": True, "never": False}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a relay at each stage, in seconds (RFC 5321, section 4.5.3.2, asks for patience).

    `final` is the wait for the reply to the final dot. Giving up there leaves a doubt that a person must
    settle, so it is the longest.
    """

    connect: float = 20
    command: float = 60
    body: float = 120
    final: float = 300

    @property
    def total(self) -> float:
        """The longest that one `send` can take, for the time-out of whoever calls it."""
        return self.connect * 2 + self.command * 8 + self.body + self.final


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over, read from an address such as `smtp://user:password@mail.example.com:587`.

    `smtps://` speaks TLS from the first byte (port 465). With `smtp://` the option `?starttls=` decides:
    `auto` upgrades when the relay offers it, `always` insists, `never` does not. The default is `always` when
    there is a password and the relay is another machine, else `auto`. `?verify=false` accepts any certificate.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: bool | None = None
    verify: bool = True

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "Relay":
        """Raises `WaymarkError` for anything but a well-formed smtp or smtps address."""
        hint = "Write WAYMARK_SMTP_URL as smtp://user:password@host:587 or smtps://user:password@host:465."
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise WaymarkError(f"The relay's address cannot be read: {error}", hint=hint) from None
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"}:
            raise WaymarkError("The relay's address is not an smtp:// or smtps:// address", hint=hint)
        options = {key: values[-1].lower() for key, values in parse_qs(parts.query).items()}
        if unknown := sorted(options.keys() - {"starttls", "verify"}):
            raise WaymarkError(f"The relay's address has an unknown option {unknown[0]!r}", hint=hint)
        tls = parts.scheme == "smtps"
        user = unquote(parts.username) if parts.username else None
        usual = "always" if user and parts.hostname not in _LOOPBACK else "auto"
        starttls = options.get("starttls", usual)
        if starttls not in _STARTTLS:
            raise WaymarkError(
                f"The relay's address says starttls={starttls}", hint="Use starttls=auto, always or never."
            )
        verify = options.get("verify", "true")
        if verify not in {"true", "false"}:
            raise WaymarkError(f"The relay's address says verify={verify}", hint="Use verify=true or false.")
        return cls(
            host=parts.hostname,
            port=port or (465 if tls else 587 if user else 25),
            user=user,
            password=unquote(parts.password or "") if user else None,
            tls=tls,
            starttls=False if tls else _STARTTLS[starttls],
            verify=verify == "true",
        )


class Connection:
    """One connection, ready for a mail transaction. `sent` counts the messages that went through it."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.sent = 0
        self.idle_since = time.monotonic()
        transport, protocol = client.transport, client.protocol
        if not isinstance(transport, asyncio.WriteTransport) or protocol is None:
            raise TryLater("the relay closed the connection at once")
        # With no room in the buffer, `drain` returns only when the kernel has taken everything: that is how we
        # know that the final dot has not left us yet.
        transport.set_write_buffer_limits(0)
        self._transport = transport
        self._writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())

    @property
    def usable(self) -> bool:
        return self.client.is_connected

    async def command(self, *words: bytes) -> Reply:
        """Send one command and wait for its reply."""
        response = await self.client.execute_command(*words)
        return Reply(response.code, response.message)

    async def write(self, data: bytes, timeout: float) -> None:
        """Write message data and wait until all of it has left. Raises `TimeoutError` and `OSError`."""
        async with asyncio.timeout(timeout):
            self._writer.write(data)
            await self._writer.drain()

    async def final_dot(self, timeout: float) -> Reply:
        """End the message data and wait for the verdict."""
        response = await self.client.execute_command(b".", timeout=timeout)
        return Reply(response.code, response.message)

    def abort(self) -> None:
        """Drop the connection without another byte."""
        self._transport.abort()
        self.client.close()

    async def quit(self) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self.client.quit(timeout=5)
        self.client.close()


class Pool:
    """At most `size` connections to one relay, used again for up to `max_messages` messages each.

    A connection that waited is asked with RSET before it is used again, so a relay that hung up in the
    meantime costs a new connection and not a message.
    """

    def __init__(self, relay: Relay, timeouts: Timeouts, *, size: int = 4, max_messages: int = 100) -> None:
        self.relay = relay
        self.timeouts = timeouts
        self.max_messages = max_messages
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection. It goes back when the block ends well; an exception inside drops it.

        Raises `TryLater` when the relay cannot be reached, does not want us, or refuses the login.
        """
        async with self._places:
            connection = await self._rested() or await self.open()
            try:
                yield connection
            except BaseException:
                connection.abort()
                raise
            if not connection.usable:
                return
            if connection.sent >= self.max_messages:
                farewell = asyncio.create_task(connection.quit())
                self._closing.add(farewell)
                farewell.add_done_callback(self._closing.discard)
            else:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle), *self._closing)

    async def _rested(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            try:
                if connection.usable and (await connection.command(b"RSET")).code == 250:
                    return connection
            except (aiosmtplib.SMTPException, OSError):
                pass
            except BaseException:
                connection.abort()
                raise
            connection.abort()
        return None

    async def open(self) -> Connection:
        """A new connection, which is not the pool's to keep. Raises `TryLater`."""
        relay, wait = self.relay, self.timeouts
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            timeout=wait.command,
            use_tls=relay.tls,
            start_tls=False,
            validate_certs=relay.verify,
            local_hostname=_own_name(),
        )
        try:
            await client.connect(timeout=wait.connect)
            await self._secure_and_log_in(client)
            return Connection(client)
        except BaseException as error:
            client.close()
            if isinstance(error, (aiosmtplib.SMTPException, OSError, ValueError)):
                raise _cannot_open(relay, error) from error
            raise

    async def _secure_and_log_in(self, client: aiosmtplib.SMTP) -> None:
        relay = self.relay
        await client.ehlo()
        offered = client.supports_extension("starttls")
        if relay.starttls and not offered:
            raise TryLater(
                f"the relay {relay} offers no STARTTLS",
                configuration=bool(relay.user),
                hint="Use smtps://, or add ?starttls=never if the way there is private.",
            )
        if offered and relay.starttls is not False:
            await client.starttls(timeout=self.timeouts.connect)
            await client.ehlo()
        if relay.user:
            if not client.supports_extension("auth"):
                raise TryLater(
                    f"the relay {relay} offers no login",
                    configuration=True,
                    hint="Leave user and password out of WAYMARK_SMTP_URL, or use the relay's submission port.",
                )
            await client.login(relay.user, relay.password or "")


def _own_name() -> str:
    """A name for EHLO without asking the DNS: ours if it is a full one, else an address literal (RFC 5321, 4.1.3)."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _cannot_open(relay: Relay, error: Exception) -> TryLater:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        later = meaning("login", Reply(error.code, error.message))
    elif isinstance(error, aiosmtplib.SMTPResponseException):
        later = meaning("greeting", Reply(error.code, error.message))
    else:
        hint = f"Does a relay listen at {relay}? It comes from WAYMARK_SMTP_URL."
        if isinstance(error.__cause__ or error, ssl.SSLError):
            hint = "Is the certificate valid for that name, and is it smtps:// (465) or smtp:// (587)?"
        later = TryLater(f"no connection to the relay {relay}: {error}", hint=hint)
    assert isinstance(later, TryLater)
    return later
