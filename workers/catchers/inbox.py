"""The inbox: pages and JSON over the caught mails."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from workers.catchers.faults import Faults
from workers.catchers.mailbox import Mail, Mails, body
from workers.catchers.serving import json_body, page, unless_unchanged

_PAGE = 50
_MOST = 1000
# Mail runs no script and loads nothing from elsewhere; its links open beside the inbox.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)


def routes(mails: Mails, faults: Faults, misbehave: Callable[[Any], Awaitable[None]]) -> list[BaseRoute]:
    """Everything the inbox answers."""
    inbox = Inbox(mails, faults, misbehave)
    return [
        Route("/", inbox.index),
        Route("/messages/{id}", inbox.message),
        Route("/clear", inbox.clear_by_form, methods=["POST"]),
        Route("/api/messages", inbox.listing, methods=["GET"]),
        Route("/api/messages", inbox.clear, methods=["DELETE"]),
        Route("/api/messages/{id}", inbox.details),
        Route("/api/messages/{id}/html", inbox.html),
        Route("/api/messages/{id}/source", inbox.source),
        Route("/api/faults", inbox.show_faults, methods=["GET"]),
        Route("/api/faults", inbox.set_faults, methods=["POST", "PUT"]),
        Route("/api/faults", inbox.end_faults, methods=["DELETE"]),
    ]


class Inbox:
    """The handlers."""

    def __init__(self, mails: Mails, faults: Faults, misbehave: Callable[[Any], Awaitable[None]]) -> None:
        self._mails = mails
        self._faults = faults
        self._misbehave = misbehave

    async def index(self, request: Request) -> Response:
        wanted = {name: request.query_params.get(name, "").strip() for name in ("to", "subject", "before")}

        def make() -> Response:
            found, matching = self._mails.find(**wanted, limit=_PAGE + 1)
            shown = found[:_PAGE]
            rows = [(mail, self._mails.snippet(mail)) for mail in shown]
            older = shown[-1].id if len(found) > _PAGE else None
            return page("inbox.html", rows=rows, matching=matching, total=len(self._mails), older=older, **wanted)

        return unless_unchanged(request, f"{self._mails.changes}-{len(self._mails)}", make)

    async def message(self, request: Request) -> Response:
        mail = self._wanted(request)
        parsed = self._mails.parsed(mail)
        text, has_html = body(parsed, "plain"), bool(body(parsed, "html"))
        view = request.query_params.get("view", "html" if has_html else "text")
        source = self._mails.source(mail).decode("utf-8", "replace") if view == "source" else ""
        unsubscribe = str(parsed.get("List-Unsubscribe", "")).strip("<> ")
        return page(
            "message.html", mail=mail, view=view, text=text, has_html=has_html, source=source,
            unsubscribe=unsubscribe if unsubscribe.startswith(("http://", "https://")) else "",
        )  # fmt: skip

    async def clear_by_form(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}":
            raise HTTPException(403, "Only the inbox itself may clear the inbox.")
        self._mails.clear()
        return RedirectResponse("/", 303)

    async def listing(self, request: Request) -> Response:
        query = request.query_params
        limit = query.get("limit", str(_PAGE))
        if not limit.isdigit():
            raise HTTPException(422, "limit must be a whole number")
        names = ("to", "subject", "before", "after")
        found, matching = self._mails.find(**{n: query.get(n, "") for n in names}, limit=min(int(limit), _MOST))
        return JSONResponse({"messages": [mail.described() for mail in found], "matching": matching})

    async def clear(self, request: Request) -> Response:
        return JSONResponse({"deleted": self._mails.clear()})

    async def details(self, request: Request) -> Response:
        mail = self._wanted(request)
        parsed = self._mails.parsed(mail)
        headers = [[name, str(value)] for name, value in parsed.items()]
        bodies = {"text": body(parsed, "plain"), "html": body(parsed, "html")}
        return JSONResponse({**mail.described(), "headers": headers, **bodies})

    async def html(self, request: Request) -> Response:
        content = body(self._mails.parsed(self._wanted(request)), "html")
        base = '<base target="_blank">'
        head = _HEAD.search(content)
        content = content[: head.end()] + base + content[head.end() :] if head else base + content
        headers = {"Content-Security-Policy": _MAIL_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    async def source(self, request: Request) -> Response:
        content = self._mails.source(self._wanted(request))
        return Response(content, media_type="text/plain; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})

    async def show_faults(self, request: Request) -> Response:
        return JSONResponse(self._faults.describe())

    async def set_faults(self, request: Request) -> Response:
        await self._misbehave(await json_body(request))
        return JSONResponse(self._faults.describe())

    async def end_faults(self, request: Request) -> Response:
        await self._misbehave({})
        return JSONResponse({})

    def _wanted(self, request: Request) -> Mail:
        mail = self._mails.get(request.path_params["id"])
        if mail is None:
            raise HTTPException(404, "There is no such mail here.")
        return mail
