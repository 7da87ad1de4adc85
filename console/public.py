"""What customers reach from their messages: unsubscribing, tracked links, the open pixel.

Needs no key, because every link is signed.
"""

import base64
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime

from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from temporalio.service import RPCError

from activities.messages.links import BrokenLinkError, Unsubscribe
from console import pages
from console.parts import Parts
from records.people import customers, identities

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A transparent GIF of one pixel."""
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}

log = logging.getLogger(__name__)


def routes(parts: Parts) -> list[Route]:
    """The routes of the links in messages."""
    public = _Public(parts)
    return [
        Route("/u/{token}", public.ask, methods=["GET"]),
        Route("/u/{token}", public.unsubscribe, methods=["POST"]),
        Route("/c/{token}", public.click, methods=["GET"]),
        Route("/o/{token}.gif", public.pixel, methods=["GET"]),
    ]


class _Public:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def ask(self, request: Request) -> Response:
        """Show the question; nothing happens yet."""
        try:
            link = self.parts.links.read_unsubscribe(request.path_params["token"])
        except BrokenLinkError:
            return self._broken(request)
        language = await self._language(request, link)
        return HTMLResponse(pages.ask(language, self.parts.workspace, link.channel), headers=_PRIVATE)

    async def unsubscribe(self, request: Request) -> Response:
        """Withdraw the consent: by the page's button, or in one click by the mail program (RFC 8058)."""
        try:
            link = self.parts.links.read_unsubscribe(request.path_params["token"])
            await self.parts.receipts.unsubscribed(link, datetime.now(UTC))
        except (BrokenLinkError, identities.UnknownCustomer):
            return self._broken(request)
        language = await self._language(request, link)
        return HTMLResponse(pages.done(language, self.parts.workspace), headers=_PRIVATE)

    async def click(self, request: Request) -> Response:
        """Go on to the address that was signed, and no other; note the click if that can be done."""
        try:
            click = self.parts.links.read_click(request.path_params["token"])
        except BrokenLinkError:
            return self._broken(request)
        await _noted(self.parts.receipts.clicked(click, datetime.now(UTC)))
        return RedirectResponse(click.url, 302, headers=_PRIVATE)

    async def pixel(self, request: Request) -> Response:
        """The picture, whatever the token: a broken picture in a mail helps nobody."""
        try:
            touch_key = self.parts.links.read_pixel(request.path_params["token"])
            await _noted(self.parts.receipts.opened(touch_key, datetime.now(UTC)))
        except BrokenLinkError:
            log.info("a pixel with a broken token was fetched")
        return Response(PIXEL, media_type="image/gif", headers=_PRIVATE)

    async def _language(self, request: Request, link: Unsubscribe) -> str:
        async with self.parts.database.connect() as db:
            try:
                locale = (await customers.get(db, await identities.current(db, link.customer_id))).locale
            except identities.UnknownCustomer:
                locale = None
        return pages.language_of(locale, request.headers.get("accept-language"), self.parts.locale)

    def _broken(self, request: Request) -> Response:
        language = pages.language_of(None, request.headers.get("accept-language"), self.parts.locale)
        return HTMLResponse(pages.broken(language), 404, headers=_PRIVATE)


async def _noted(receipt: Awaitable[None]) -> None:
    """A reader who follows a link must arrive, even while the database is away."""
    try:
        await receipt
    except (DBAPIError, RPCError, OSError) as error:
        log.warning("a receipt was lost: %s", error)
