"""The console: one ASGI application of the HTTP API, the links in messages and the provider's callbacks."""

from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.service import RPCError

from activities.intake.contacts import InvalidContactError
from console import api, callbacks, public
from console.parts import Parts
from console.problems import Problem, handle
from journeys.errors import WaymarkError
from records.runs import versions

EXPECTED = (Problem, WaymarkError, InvalidContactError, DBAPIError, RPCError)
"""Errors that have an answer. Starlette raises others again once they are answered, which ends the connection."""


def create_app(parts: Parts) -> Starlette:
    """The application over these parts, which the caller opens and closes."""

    async def health(_: Request) -> Response:
        async with parts.database.connect() as db:
            await versions.listing(db)
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            *api.routes(parts),
            *public.routes(parts),
            *callbacks.routes(parts),
        ],
        exception_handlers=dict.fromkeys((*EXPECTED, HTTPException, Exception), handle),
    )
