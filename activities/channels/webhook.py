"""The webhook channel: calls other systems, signed, and says truthfully what became of the call."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx

from activities.channels.addresses import Address, Forbidden, Target
from activities.channels.channel import ChannelError, Message, Receipt, Refused, TryLater
from activities.channels.mime import one_line
from activities.channels.standard_webhooks import read_secret, sign

TIMEOUT = 10.0
"""Seconds that a call may take altogether, when the message says nothing else."""
CONNECT = 5.0
"""Seconds to wait for one address to take the connection."""
EXPLANATION = 2.0
"""Seconds to wait for the words of an answer that is no success."""
LONGEST_ANSWER = 64 * 1024
LONGEST_PAUSE = timedelta(days=1)
_READABLE = ("text/plain", "application/json", "application/problem+json")
_SHORT = 200


class WebhookChannel:
    """Calls by HTTP POST, signed after Standard Webhooks with `secret` (the key itself, or `whsec_...`).

    The message's `address` is the URL, its `text` the JSON body, its `key` the `webhook-id` by which a receiver drops
    repeats. For that reason nothing is ever `Unknown`: whenever the answer is missing, the call is made again.
    Redirects and proxies are not followed, because either leads to where nobody has looked. `private_networks` allows
    addresses that are not public. `clock` gives the time of the attempt in seconds since 1970: receivers compare it
    with their own, so it is real even in a rehearsal. Raises `ValueError` when the secret cannot be read.
    """

    name = "webhook"

    def __init__(
        self, secret: bytes | str, *, private_networks: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.private_networks = private_networks
        self._key = read_secret(secret) if isinstance(secret, str) else secret
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    async def send(self, message: Message) -> Receipt:
        """Make one call."""
        try:
            target = Target.parse(message.address)
            async with self._client() as client:
                response = await self._answer(client, target, message)
                try:
                    said = f"{target.place} answered {response.status_code} {response.reason_phrase}".rstrip()
                    if not response.is_success:
                        raise _meaning(response, said, await _explanation(response))
                finally:
                    await response.aclose()
        except Forbidden as error:
            raise Refused(str(error)) from None
        return Receipt(provider_id=None, detail=said)

    async def check(self) -> str:
        """Nobody is called: every map has its own receivers."""
        allowed = "public addresses and private networks" if self.private_networks else "public addresses only"
        return f"calls are signed and go to {allowed}"

    async def close(self) -> None:
        """Nothing is kept open between calls."""

    async def _answer(self, client: httpx.AsyncClient, target: Target, message: Message) -> httpx.Response:
        """The head of the answer, within the message's timeout; the body is still to be read."""
        patience = message.timeout or TIMEOUT
        try:
            async with asyncio.timeout(patience):
                try:
                    addresses = await target.resolve(private_networks=self.private_networks)
                except OSError as error:
                    raise TryLater(f"{target.host} cannot be resolved: {_words(error)}") from error
                return await self._call(client, target, addresses, message)
        except TimeoutError:
            raise TryLater(f"{target.place} did not answer within {patience:g} s") from None

    async def _call(
        self, client: httpx.AsyncClient, target: Target, addresses: list[Address], message: Message
    ) -> httpx.Response:
        """Try one address after the other until one takes the connection."""
        refusal = TryLater(f"{target.host} has no address")
        for address in addresses:
            try:
                return await client.send(self._request(client, target, address, message), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                refusal = _no_connection(target, error)
                if refusal.configuration:
                    break
            except (httpx.InvalidURL, httpx.LocalProtocolError) as error:
                raise Refused(f"{target.place} cannot be called: {_words(error)}") from error
            except (httpx.HTTPError, OSError) as error:
                raise TryLater(f"{target.place} went away without an answer: {_words(error)}") from error
        raise refusal

    def _request(self, client: httpx.AsyncClient, target: Target, address: Address, message: Message) -> httpx.Request:
        """The POST to one address, in the name of the host: for its certificate, and for servers with many names."""
        body = message.text.encode("utf-8", "replace")
        headers = {
            "Host": target.place,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "Waymark",
            **sign(self._key, message.key, int(self._clock()), body),
        }
        named = {"sni_hostname": target.host}
        return client.build_request("POST", target.at(address), content=body, headers=headers, extensions=named)

    def _client(self) -> httpx.AsyncClient:
        """A client for one call: two names on one address must not share a connection that was checked for one."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return httpx.AsyncClient(verify=self._tls, timeout=httpx.Timeout(None, connect=CONNECT), trust_env=False)


def _meaning(response: httpx.Response, said: str, explanation: str) -> ChannelError:
    status = response.status_code
    reason = f"{said}: {explanation}" if explanation else said
    if status in {408, 425, 429} or status >= 500:
        return TryLater(reason, after=retry_after(response.headers.get("retry-after", "")))
    if 300 <= status < 400:
        where = _short(response.headers.get("location", "another address").partition("?")[0])
        return Refused(f"{said} and points to {where}; webhooks follow no redirects, put the final address in the map")
    return Refused(reason) if status >= 400 else TryLater(reason)


def _no_connection(target: Target, error: Exception) -> TryLater:
    """Whether somebody must mend a certificate, or it is enough to wait."""
    fault = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if fault is None or isinstance(fault, ssl.SSLEOFError):
        return TryLater(f"no connection to {target.place}: {_words(error)}")
    return TryLater(
        f"no trust in {target.place}: {getattr(fault, 'verify_message', '') or fault.reason or _words(fault)}",
        configuration=True,
        hint="Mend the receiver's certificate; SSL_CERT_FILE names the authorities to trust instead of the usual ones.",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def _explanation(response: httpx.Response) -> str:
    """The beginning of what the receiver says in words, where it does; a page for browsers is none."""
    if not response.headers.get("content-type", "").lower().startswith(_READABLE):
        return ""
    said = b""
    # The status says enough, and half an explanation is better than none.
    with contextlib.suppress(TimeoutError, httpx.HTTPError, OSError):
        async with asyncio.timeout(EXPLANATION):
            async for piece in response.aiter_raw():
                said += piece
                if len(said) >= LONGEST_ANSWER:
                    break
    return _short(said[:LONGEST_ANSWER].decode("utf-8", "replace"))


def retry_after(value: str) -> timedelta | None:
    """Retry-After as seconds or as a date (RFC 9110, section 10.2.3), at most a day; None when it is neither."""
    value = value.strip()
    try:
        if value.isascii() and value.isdecimal():
            asked = timedelta(seconds=int(value[:9]))
        else:
            moment = email.utils.parsedate_to_datetime(value)
            asked = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(asked, timedelta()), LONGEST_PAUSE)


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


def _words(error: BaseException) -> str:
    return one_line(str(error)) or type(error).__name__
