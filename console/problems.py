"""Errors of the HTTP API as problem documents (RFC 9457): what is wrong, and what to do about it."""

import json
import logging
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from temporalio.service import RPCError

from activities.entering.audience import NotEnrollable
from activities.intake.contacts import InvalidContactError
from activities.messages.links import BrokenLinkError
from activities.operating.scopes import NotHeld
from activities.operating.steering import OrderRefused
from journeys.errors import WaymarkError
from records.people.identities import UnknownCustomer
from records.people.upserts import ConflictingIdentity
from records.runs.enrolments import UnknownRun
from records.runs.versions import UnknownJourney
from records.sales.taking import TaskFinished, TaskTaken
from records.sales.tasks import UnknownTask

STATUS: Mapping[type[WaymarkError], int] = {
    UnknownCustomer: 404,
    UnknownJourney: 404,
    UnknownRun: 404,
    UnknownTask: 404,
    BrokenLinkError: 404,
    ConflictingIdentity: 409,
    NotEnrollable: 409,
    NotHeld: 409,
    OrderRefused: 409,
    TaskFinished: 409,
    TaskTaken: 409,
}
TITLES = {
    400: "Bad request", 401: "Not authorised", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 413: "Too large", 422: "Not acceptable", 500: "Internal error", 503: "Not available",
}  # fmt: skip

log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is an error: `detail` says what is wrong, `hint` what to do, `errors` more by field."""

    def __init__(
        self, status: int, detail: str, *, hint: str | None = None, errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint, self.errors = status, detail, hint, errors


def problem_of(error: Exception) -> Problem:
    """What an exception means to a caller."""
    match error:
        case Problem():
            return error
        case InvalidContactError():
            return Problem(422, str(error), hint="Correct the fields and send it again.", errors=error.problems)
        case WaymarkError():
            return Problem(_status(error), error.message, hint=error.hint)
        case HTTPException():
            return Problem(error.status_code, error.detail)
        case DBAPIError() | RPCError():
            what = "database" if isinstance(error, DBAPIError) else "Temporal server"
            log.error("the %s failed", what, exc_info=error)
            return Problem(503, f"The {what} does not answer.", hint="Send it again in a minute, with the same key.")
    log.error("unexpected error", exc_info=error)
    return Problem(500, "Something went wrong here.", hint="The console's log says more.")


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.hint:
        body["hint"] = problem.hint
    if problem.errors:
        body["errors"] = dict(problem.errors)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


async def handle(request: Request, error: Exception) -> Response:
    """The exception handler of the application."""
    return answer(problem_of(error))


def _status(error: WaymarkError) -> int:
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)


async def read_json(request: Request, *, most: int = 5_000_000) -> object:
    """The body as JSON. Raises Problem when it is none, or has more than `most` bytes."""
    try:
        return json.loads(await read_body(request, most=most))
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"The body is no JSON: {error}", hint="Send a JSON document in UTF-8.") from None


async def read_body(request: Request, *, most: int = 5_000_000) -> bytes:
    """The body. Raises Problem when it has more than `most` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(413, f"The body has more than {most:,} bytes.", hint="Send it in several requests.")
    return bytes(body)
