"""What both catchers do to be a process: listen, show pages, say that they are ready, stop when told."""

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from journeys.errors import WaymarkError
from workers.server.ports import listen

_ASSETS = Path(__file__).parent / "assets"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Nothing is ever loaded from elsewhere, and no page runs a script that is not ours.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_pages = Environment(
    loader=FileSystemLoader(_ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def shown_time(moment: datetime) -> str:
    """A moment for people who read no script; the page's script turns it into their own time zone."""
    return moment.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def hue(text: str) -> int:
    """A colour (degrees) that stays the same for the same text."""
    return sum(ord(c) * (n + 7) for n, c in enumerate(text)) % 360


_pages.filters["shown_time"] = shown_time
_pages.filters["hue"] = hue


def page(name: str, /, **values: Any) -> HTMLResponse:
    """One of the pages in `assets`, filled in."""
    html = _pages.get_template(name).render(**values)
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
    return HTMLResponse(html, headers=headers)


def unless_unchanged(request: Request, tag: str, make: Callable[[], Response]) -> Response:
    """Answer 304 when the reader has this state already, else what `make` returns, labelled with it."""
    etag = f'"{tag}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    response = make()
    response.headers["ETag"] = etag
    return response


async def json_body(request: Request) -> Any:
    """The JSON that was sent. Only a declared JSON type is read: other sites cannot send that from a browser."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise WaymarkError("Send JSON", hint="Add the header Content-Type: application/json.")
    try:
        return await request.json()
    except ValueError as error:
        raise WaymarkError(f"This is no JSON: {error}") from None


def application(routes: list[BaseRoute], host: str) -> Starlette:
    """The pages of a catcher. On a loopback address only local names are answered, against DNS rebinding."""
    names = [*_LOOPBACK, "[::1]"] if host in _LOOPBACK else ["*"]
    return Starlette(
        routes=[*routes, Mount("/assets", StaticFiles(directory=_ASSETS))],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)],
        exception_handlers={WaymarkError: _refused},
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, WaymarkError)
    return JSONResponse({"message": error.message, "hint": error.hint}, 422)


def listener(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises `WaymarkError` when the port is in use."""
    try:
        return listen(host, port, backlog=128)
    except OSError as error:
        raise WaymarkError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}", hint="Choose another port; 0 finds one."
        ) from None


def port_of(bound: socket.socket) -> int:
    """The actual port of a bound socket."""
    return int(bound.getsockname()[1])


def address(scheme: str, host: str, port: int) -> str:
    """A URL without a path."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, bound: socket.socket) -> AsyncIterator[None]:
    """Serve pages for the length of the block."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 (uvicorn sets no event)
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


def run_as_process(parser: argparse.ArgumentParser, run: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Read the options, run until told to stop; one line on stderr and exit code 1 when it cannot begin."""
    options = vars(parser.parse_args())
    try:
        asyncio.run(run(**options))
    except WaymarkError as error:
        sys.stderr.write(f"{error.message}. {error.hint or ''}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        pass
