"""What the SMS provider tells us: reports of delivery, and texts that come in (Twilio's webhooks)."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activities.channels.signature import HEADER, is_valid
from console.parts import Parts
from console.problems import Problem

EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML that answers nothing."""
MOST = 64_000


def routes(parts: Parts) -> list[Route]:
    """The routes below /callbacks, which need the provider's signature."""
    twilio = _Twilio(parts)
    return [
        Route("/callbacks/twilio/status", twilio.status, methods=["POST"]),
        Route("/callbacks/twilio/inbound", twilio.inbound, methods=["POST"]),
    ]


class _Twilio:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def status(self, request: Request) -> Response:
        """What became of a text: sent, delivered, failed ..."""
        form = await self._signed_form(request)
        await self.parts.receipts.sms_status(
            request.query_params.get("key"),
            form.get("MessageSid", ""),
            form.get("MessageStatus", ""),
            form.get("ErrorCode"),
            datetime.now(UTC),
        )
        return Response(status_code=204)

    async def inbound(self, request: Request) -> Response:
        """A text that somebody sent us."""
        form = await self._signed_form(request)
        if not form.get("From") or not form.get("MessageSid"):
            raise Problem(422, "From and MessageSid are needed.")
        await self.parts.receipts.sms_reply(form["From"], form.get("Body", ""), form["MessageSid"], datetime.now(UTC))
        return Response(EMPTY, media_type="text/xml")

    async def _signed_form(self, request: Request) -> dict[str, str]:
        """The form, if the provider signed it for the address that it was told. Raises Problem 403."""
        token = self.parts.twilio_auth_token
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST:
                raise Problem(413, "The form is too large.")
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        query = f"?{request.url.query}" if request.url.query else ""
        signature = request.headers.get(HEADER, "")
        # Behind a proxy the address that arrives here differs from the one that Twilio was told and has signed.
        urls = (f"{self.parts.url}{request.url.path}{query}", str(request.url))
        if token is None or not any(is_valid(token, signature, url, pairs) for url in urls):
            raise Problem(
                403,
                "The signature is missing or wrong.",
                hint="Check WAYMARK_TWILIO_AUTH_TOKEN, and that WAYMARK_CONSOLE_URL is the address Twilio was given.",
            )
        return dict(pairs)
