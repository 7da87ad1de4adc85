"""The SMS channel: Twilio's Messages API, or anything that speaks it."""

import email.utils
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from activities.channels.channel import Away, ChannelError, Message, Receipt, Refused, TryLater, Unknown
from activities.channels.segments import segments
from journeys.errors import WaymarkError

API = "https://api.twilio.com"
CONNECT = 10.0
"""Seconds to wait for the connection. Nothing was sent before it is there, so nothing is in doubt without it."""
_LOGIN_HINT = "Check WAYMARK_TWILIO_ACCOUNT_SID and WAYMARK_TWILIO_AUTH_TOKEN."
_SENDER_HINT = "Check WAYMARK_TWILIO_FROM: it must be a number or messaging service of this account."

# Twilio's error codes. The number does not exist, takes no texts, or its owner has answered STOP.
_DEAD = {21211, 21614, 21610}
_OUR_SENDER = {21212, 21603, 21606, 21659, 21660, 21701, 21702, 21703}
# A text without words, too long, or whose content is not allowed.
_OUR_TEXT = {21602, 21617, 21619, 30007}
_OUR_LOGIN = {20003, 20404}
_QUEUE_FULL = {21611, 30001}


class SmsChannel:
    """Text messages through Twilio's REST API (2010-04-01).

    `sender` is a number in E.164, an alphanumeric sender, or a messaging service (`MG...`). When
    `status_callback` is given, Twilio reports there what became of each message; the message's key is added to
    that address as `?key=`, because a report can be faster than the answer to our own request. `base_url` is
    where the API lives, `timeout` the seconds to wait for its answer.
    """

    name = "sms"

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        sender: str,
        *,
        base_url: str = API,
        status_callback: str | None = None,
        timeout: float = 30,
    ) -> None:
        self.sender = sender
        self.base_url = base_url.rstrip("/")
        self.status_callback = status_callback
        self._account = f"/2010-04-01/Accounts/{quote(account_sid, safe='')}"
        self._login = (account_sid, auth_token)
        self._timeout = httpx.Timeout(timeout, connect=CONNECT, pool=None)
        self._client: httpx.AsyncClient | None = None

    async def send(self, message: Message) -> Receipt:
        """Hand one text to the provider.

        Twilio offers no idempotency key: once the request is written, silence means `Unknown`.
        """
        form = {"To": message.address, "Body": message.text}
        form["MessagingServiceSid" if self.sender.startswith("MG") else "From"] = self.sender
        if self.status_callback:
            joint = "&" if "?" in self.status_callback else "?"
            form["StatusCallback"] = f"{self.status_callback}{joint}key={quote(message.key, safe='')}"
        response = await self._request("POST", f"{self._account}/Messages.json", form)
        answer = _json(response)
        if not response.is_success:
            raise _meaning(response, answer)
        if not isinstance(answer.get("sid"), str):
            raise Unknown(f"{self.base_url} answered {response.status_code}, but not as Twilio does")
        size = segments(message.text)
        detail = f"{answer.get('status', 'accepted')}, {size.count} segment{'s' * (size.count != 1)} ({size.encoding})"
        return Receipt(provider_id=answer["sid"], detail=detail)

    async def check(self) -> str:
        """Log in and ask for the account; nothing is sent."""
        try:
            response = await self._request("GET", f"{self._account}.json", None)
            answer = _json(response)
            if not response.is_success:
                raise _meaning(response, answer)
        except ChannelError as error:
            raise WaymarkError(f"SMS: {error.reason}", hint=getattr(error, "hint", None) or _LOGIN_HINT) from error
        return f"{self.base_url}: account {answer.get('status', 'unknown')}, texts come from {self.sender}"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _request(self, method: str, path: str, form: dict[str, str] | None) -> httpx.Response:
        if self._client is None:
            # A proxy of the environment is for the world outside, not for a catcher on this machine.
            outside = httpx.URL(self.base_url).host not in {"localhost", "127.0.0.1", "::1"}
            self._client = httpx.AsyncClient(auth=self._login, timeout=self._timeout, trust_env=outside)
        try:
            return await self._client.request(method, self.base_url + path, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Away(f"no connection to {self.base_url}: {_words(error)}") from error
        except (httpx.WriteError, httpx.WriteTimeout) as error:
            raise TryLater(f"{self.base_url} did not take the whole request: {_words(error)}") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
            raise TryLater(
                f"{self.base_url} is no usable address: {_words(error)}",
                configuration=True,
                hint="Check WAYMARK_TWILIO_BASE_URL and the account's name.",
            ) from error
        except httpx.HTTPError as error:
            raise Unknown(f"{self.base_url} took the request and did not answer: {_words(error)}") from error


def _meaning(response: httpx.Response, answer: dict[str, Any]) -> ChannelError:
    status = response.status_code
    code = answer.get("code")
    said = f"Twilio said {status}, error {code}: {answer.get('message', '')}" if code else f"Twilio said {status}"
    if code in _QUEUE_FULL or status == 429 or status in {500, 502, 503}:
        return Away(said, after=_retry_after(response))
    if status in {408, 504}:
        # A gateway handed the request on and lost patience: whoever is behind it may have sent the message.
        return Unknown(said)
    if status in {401, 403, 404} or code in _OUR_LOGIN:
        return TryLater(said, configuration=True, hint=_LOGIN_HINT)
    if code in _OUR_SENDER:
        return TryLater(said, configuration=True, hint=_SENDER_HINT)
    if 400 <= status < 500:
        return Refused(said, suppress=code in _DEAD, message=code in _OUR_TEXT)
    return TryLater(said)


def _retry_after(response: httpx.Response) -> timedelta | None:
    """Retry-After as seconds or as a date (RFC 9110, section 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(moment.astimezone(UTC) - datetime.now(UTC), timedelta())


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
