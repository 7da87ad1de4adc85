"""Twilio, as far as Waymark speaks with it: the Messages API, signed callbacks, inbound texts, and their faults."""

import asyncio
import base64
import binascii
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urljoin

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.channels.segments import segments
from activities.channels.signature import HEADER, sign
from journeys.errors import WaymarkError
from workers.catchers.texts import Status, Text, Texts

_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
_START = {"START", "UNSTOP", "YES"}
_TICK = 0.05
_HANG = 86_400
_KNOWN = {
    "send": {"pattern", "status", "code", "message", "retry_after", "taken", "hang", "drop", "times"},
    "deliver": {"pattern", "status", "code"},
    "callbacks": {"drop", "delay", "repeat", "reverse"},
}


@dataclass(slots=True)
class SmsFaults:
    """What goes wrong, as `/api/faults` sets it.

    `send`: answer `status` (HTTP) with Twilio's `code` and `message` to numbers matching `pattern`, although the text
    was `taken` or because it was not, or `hang` after taking it, or `drop` it; `times` limits it. `deliver`: end as
    `undelivered` or `failed` with error `code`. `callbacks`: `drop` them, `delay` them by seconds, `repeat` each so
    many times more, or send them in `reverse`.
    """

    asked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def set(self, asked: Any) -> None:
        """Replace all faults. Raises `WaymarkError` for what is not known."""
        if not isinstance(asked, dict) or asked.keys() - _KNOWN.keys():
            raise WaymarkError("There is no such fault", hint=f"Known are: {', '.join(_KNOWN)}.")
        for name, parts in asked.items():
            if not isinstance(parts, dict) or parts.keys() - _KNOWN[name]:
                raise WaymarkError(f"{name} has an unknown part", hint=f"Known are: {', '.join(sorted(_KNOWN[name]))}.")
            try:
                re.compile(str(parts.get("pattern", "")))
            except re.error as error:
                raise WaymarkError(f"The pattern is no regular expression: {error}") from None
        self.asked = {name: dict(parts) for name, parts in asked.items()}

    def at(self, name: str, number: str) -> dict[str, Any] | None:
        """The fault that strikes this number now, which counts it."""
        fault = self.asked.get(name)
        if fault is None or not re.search(str(fault.get("pattern", "")), number):
            return None
        if "times" in fault:
            if fault["times"] <= 0:
                return None
            fault["times"] -= 1
        return fault


class Provider:
    """The API of one account, and what it calls back.

    `reply_url` is where texts of customers are posted. Without one it is the neighbour `inbound` of the address that
    the last message gave for its status.
    """

    def __init__(self, texts: Texts, account_sid: str, auth_token: str, reply_url: str | None = None) -> None:
        self.texts = texts
        self.faults = SmsFaults()
        self.reply_url = reply_url
        self._account = account_sid
        self._token = auth_token
        # The callbacks go to this machine, so no proxy of the environment has a say.
        self._http = httpx.AsyncClient(timeout=10, trust_env=False)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Forget about callbacks that are still to come."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def create(self, request: Request) -> Response:
        """POST /2010-04-01/Accounts/{sid}/Messages.json"""
        if refusal := self._refuse_login(request):
            return refusal
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        to, sender, body = (
            form.get("To", ""),
            form.get("From") or form.get("MessagingServiceSid", ""),
            form.get("Body", ""),
        )
        if refusal := self._refuse_text(to, sender, body):
            return refusal
        fault = self.faults.at("send", to)
        if fault and not fault.keys() & {"taken", "hang", "drop"}:
            return _misbehaving(fault)
        text = self.texts.add("outbound", sender, to, body, form.get("StatusCallback"))
        if not (fault and fault.get("drop")):
            self._later(lambda: self._deliver(text))
        if fault and fault.get("taken"):
            return _misbehaving(fault)
        if fault:
            await asyncio.sleep(_HANG)
        return JSONResponse(self._described(text), 201)

    async def fetch(self, request: Request) -> Response:
        """GET /2010-04-01/Accounts/{sid}/Messages/{message}.json"""
        if refusal := self._refuse_login(request):
            return refusal
        text = self.texts.texts.get(request.path_params["message"])
        return JSONResponse(self._described(text)) if text else _error(404, 20404, "The message was not found")

    async def account(self, request: Request) -> Response:
        """GET /2010-04-01/Accounts/{sid}.json"""
        if refusal := self._refuse_login(request):
            return refusal
        return JSONResponse({"sid": self._account, "status": "active", "friendly_name": "Local catcher"})

    async def reply(self, sender: str, body: str, to: str = "", url: str = "") -> Text:
        """Somebody answers: keep it, and post it where Twilio would. Raises `WaymarkError` when nobody takes it."""
        if not _NUMBER.fullmatch(sender) or not body.strip():
            raise WaymarkError("A reply needs `from`, a number like +4915112345678, and `body`")
        earlier = [text for text in self.texts.conversation(sender).texts if text.direction == "outbound"]
        to = to or (earlier[-1].sender if earlier else "+15005550006")
        word = body.strip().upper()
        if word in _STOP | _START:
            self.texts.opt(sender, out=word in _STOP)
        text = self.texts.add("inbound", sender, to, body)
        address = url or self.reply_url or self._neighbour()
        if address is None:
            raise WaymarkError(
                "Nobody has said where replies go", hint="Start the catcher with --reply-url, or send `url`."
            )
        form = {
            "MessageSid": text.sid, "SmsSid": text.sid, "AccountSid": self._account, "ApiVersion": "2010-04-01",
            "From": sender, "To": to, "Body": body, "NumMedia": "0", "NumSegments": str(segments(body).count),
        }  # fmt: skip
        self._note(text, await self._post(address, form))
        return self.texts.texts.get(text.sid, text)

    def _neighbour(self) -> str | None:
        given = [text.callback for text in self.texts.texts.values() if text.callback]
        return urljoin(given[-1], "inbound") if given else None

    def _refuse_login(self, request: Request) -> Response | None:
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            login = base64.b64decode(encoded, validate=True).decode() if kind.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            login = ""
        expected = f"{self._account}:{self._token}"
        if request.path_params["account"] != self._account or not secrets.compare_digest(
            login.encode(), expected.encode()
        ):
            return _error(401, 20003, "Authenticate")
        return None

    def _refuse_text(self, to: str, sender: str, body: str) -> Response | None:
        if not _NUMBER.fullmatch(to):
            return _error(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if not sender:
            return _error(400, 21603, "A 'From' phone number is required.")
        if not body.strip():
            return _error(400, 21602, "Message body is required.")
        if len(body) > 1600:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        if to in self.texts.opted_out:
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        return None

    def _described(self, text: Text) -> dict[str, Any]:
        return {
            "sid": text.sid, "account_sid": self._account, "api_version": "2010-04-01", "body": text.body,
            "date_created": format_datetime(text.moment), "date_updated": format_datetime(text.moment),
            "direction": "outbound-api" if text.direction == "outbound" else "inbound", "from": text.sender,
            "to": text.to, "status": text.status, "error_code": text.error, "error_message": None, "num_media": "0",
            "num_segments": str(segments(text.body).count), "messaging_service_sid": None, "price": None,
            "uri": f"/2010-04-01/Accounts/{self._account}/Messages/{text.sid}.json",
        }  # fmt: skip

    async def _deliver(self, text: Text) -> None:
        """Walk through the statuses as Twilio does, and report each."""
        fault = self.faults.at("deliver", text.to)
        last: Status = "delivered"
        error: int | None = None
        if fault:
            last, error = fault.get("status", "undelivered"), int(fault.get("code", 30005))
        steps: list[tuple[Status, int | None]] = [("queued", None), ("sent", None), (last, error)]
        callbacks = dict(self.faults.asked.get("callbacks", {}))
        for status, code in steps:
            await asyncio.sleep(_TICK)
            self.texts.change(text.sid, status=status, error=code)
        if not text.callback or callbacks.get("drop"):
            return
        await asyncio.sleep(float(callbacks.get("delay", 0)))
        for status, code in reversed(steps) if callbacks.get("reverse") else steps:
            form = {
                "AccountSid": self._account, "ApiVersion": "2010-04-01", "MessageSid": text.sid, "SmsSid": text.sid,
                "From": text.sender, "To": text.to, "MessageStatus": status, "SmsStatus": status,
            }  # fmt: skip
            if code is not None:
                form["ErrorCode"] = str(code)
            for _ in range(1 + int(callbacks.get("repeat", 0))):
                self._note(text, f"{status}: {await self._post(text.callback, form)}")

    async def _post(self, url: str, form: dict[str, str]) -> str:
        try:
            answer = await self._http.post(url, data=form, headers={HEADER: sign(self._token, url, form)})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        return str(answer.status_code)

    def _note(self, text: Text, said: str) -> None:
        known = self.texts.texts.get(text.sid)
        if known is not None:
            self.texts.change(text.sid, callbacks=(*known.callbacks, said))

    def _later(self, make: Callable[[], Any]) -> None:
        task = asyncio.create_task(make())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _misbehaving(fault: dict[str, Any]) -> Response:
    headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
    status = int(fault.get("status", 503))
    return _error(status, int(fault.get("code", 0)), str(fault.get("message", "told to misbehave")), headers)


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status, headers)
