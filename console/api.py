"""The HTTP API, version 1: customers, events, enrolments, journeys, tasks; `console.control` adds holds and orders."""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from activities.intake.contacts import InvalidContactError, read_contact
from activities.sales.deals import read_amount
from console.control import Control
from console.documents import document
from console.events import Events
from console.parts import Parts
from console.problems import Problem, read_json
from journeys.fields import read_datetime
from journeys.sales import Outcome
from records import reports
from records.people import customers, upserts
from records.people.identities import UnknownCustomer
from records.people.timeline import timeline
from records.sales import assignments, tasks
from records.sales.tasks import Status


def routes(parts: Parts) -> list[Route]:
    """The routes below /v1, each behind the API key when there is one."""
    api, control, events = _Api(parts), Control(parts), Events(parts)

    def route(path: str, handler: Callable[[Request], Awaitable[Response]], method: str) -> Route:
        async def guarded(request: Request) -> Response:
            api.authorise(request)
            return await handler(request)

        return Route(f"/v1{path}", guarded, methods=[method])

    return [
        route("/customers", api.put_customer, "POST"),
        route("/customers/{ref}", api.customer, "GET"),
        route("/customers/{ref}/timeline", api.timeline, "GET"),
        route("/events", events.put, "POST"),
        route("/journeys", api.journeys, "GET"),
        route("/journeys/{journey}/enrolments", api.enrol, "POST"),
        route("/tasks", api.tasks, "GET"),
        route("/tasks/{id:int}", api.task, "GET"),
        route("/tasks/{id:int}/claim", api.claim, "POST"),
        route("/tasks/{id:int}/snooze", api.snooze, "POST"),
        route("/tasks/{id:int}/reassign", api.reassign, "POST"),
        route("/tasks/{id:int}/update", api.update, "POST"),
        route("/tasks/{id:int}/done", api.done, "POST"),
        route("/holds", control.holds, "GET"),
        route("/holds", control.act, "POST"),
        route("/runs/{id:int}/orders", control.order, "POST"),
    ]


class _Api:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def authorise(self, request: Request) -> None:
        """Compare the key in constant time. Raises Problem 401."""
        if self.parts.api_key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), self.parts.api_key.encode()):
            raise Problem(401, "The API key is missing or wrong.", hint="Send it as `Authorization: Bearer KEY`.")

    async def put_customer(self, request: Request) -> Response:
        """Create or complete a customer; 201 when it is new."""
        body = _object(await read_json(request))
        for channel, granted in _object(body.pop("consents", None) or {}).items():
            body[f"consent_{channel}"] = granted
        contact = read_contact(body, self.parts.fields, needs_address=False)
        async with self.parts.database.begin() as db:
            if not contact.email and not contact.phone:
                await self._must_be_known(db, contact.external_id)
            done = await upserts.upsert(
                db, contact, now=datetime.now(UTC), source="API", rules=self.parts.identity,
                regrant=request.query_params.get("regrant") == "true",
                replace=request.query_params.get("replace") == "true",
            )  # fmt: skip
            customer = await customers.get(db, done.id)
        if done.outcome == "merged" and self.parts.merging is not None:
            await self.parts.merging.follow_up(done.id, f"merged/{done.id}", datetime.now(UTC))
        answer = {"outcome": done.outcome, "still_withdrawn": done.still_withdrawn, "customer": customer}
        return JSONResponse(document(answer), 201 if done.outcome == "created" else 200)

    async def _must_be_known(self, db: AsyncConnection, external_id: str | None) -> None:
        try:
            await customers.find(db, f"external_id:{external_id or ''}")
        except UnknownCustomer:
            raise InvalidContactError(
                {"email": "and phone are both missing: there is no address to reach this contact"}
            ) from None

    async def customer(self, request: Request) -> Response:
        """One customer, by id, external id, email or phone."""
        async with self.parts.database.connect() as db:
            return JSONResponse(document(await customers.find(db, request.path_params["ref"])))

    async def timeline(self, request: Request) -> Response:
        """What happened to a customer, the newest last; `before` asks for what is older."""
        async with self.parts.database.connect() as db:
            customer = await customers.find(db, request.path_params["ref"])
            entries = await timeline(db, customer.id, limit=_limit(request, 200), before=_before(request))
        return JSONResponse(document({"customer": customer.id, "timeline": entries}))

    async def journeys(self, request: Request) -> Response:
        """Every published journey with its figures."""
        async with self.parts.database.connect() as db:
            return JSONResponse({"journeys": document(await reports.journey_summary(db))})

    async def enrol(self, request: Request) -> Response:
        """Enter a customer into a journey."""
        body = _object(await read_json(request))
        if not isinstance(body.get("customer"), str | int):
            raise Problem(422, "customer is missing.", hint='Send {"customer": "id, external id, email or phone"}.')
        async with self.parts.database.connect() as db:
            customer = await customers.find(db, str(body["customer"]))
        journey = request.path_params["journey"]
        entered = await self.parts.audience.router.enrol(customer.id, journey, source="api", now=datetime.now(UTC))
        shown = replace(entered, cursor={}, instruction=None)
        return JSONResponse({"enrolment": document(shown)}, 201)

    async def tasks(self, request: Request) -> Response:
        """Tasks in the order to work on them, by queue, rep and status."""
        status = request.query_params.get("status")
        if status is not None and status not in get_args(Status):
            raise Problem(422, f"status {status!r} is not known.", hint=f"One of {', '.join(get_args(Status))}.")
        overdue = datetime.now(UTC) if request.query_params.get("overdue") == "true" else None
        async with self.parts.database.connect() as db:
            found = await tasks.listing(
                db, request.query_params.get("queue"), cast("Status | None", status), _limit(request, 100),
                rep=request.query_params.get("rep"), overdue_at=overdue,
            )  # fmt: skip
        return JSONResponse({"tasks": document(found)})

    async def task(self, request: Request) -> Response:
        """One task, with what became of it on its way."""
        async with self.parts.database.connect() as db:
            task = await tasks.get(db, request.path_params["id"])
            steps = await assignments.history(db, task.id)
        return JSONResponse(document({"task": task, "history": steps}))

    async def claim(self, request: Request) -> Response:
        """Take a task; 409 names whoever was faster."""
        rep = _rep(_object(await read_json(request)))
        task = await self.parts.desk.claim(request.path_params["id"], rep, datetime.now(UTC))
        return JSONResponse({"task": document(task)})

    async def snooze(self, request: Request) -> Response:
        """Let a task rest until a moment."""
        body = _object(await read_json(request))
        try:
            until = read_datetime(str(body.get("until")))
        except ValueError as error:
            raise Problem(422, f"until {error}", hint='Send {"rep": "mei", "until": "2026-12-01T09:00:00Z"}.') from None
        task = await self.parts.desk.snooze(request.path_params["id"], _rep(body), until, datetime.now(UTC))
        return JSONResponse({"task": document(task)})

    async def reassign(self, request: Request) -> Response:
        """Give a task to somebody else."""
        body = _object(await read_json(request))
        because = _text(body, "because")
        task = await self.parts.desk.reassign(request.path_params["id"], _rep(body), because, datetime.now(UTC))
        return JSONResponse({"task": document(task)})

    async def update(self, request: Request) -> Response:
        """Work on the deal: stage, amount, close."""
        body = _object(await read_json(request))
        given = {name: body.get(name) for name in ("stage", "amount", "close")}
        task = await self.parts.desk.update(request.path_params["id"], _rep(body), given, datetime.now(UTC))
        return JSONResponse({"task": document(task)})

    async def done(self, request: Request) -> Response:
        """Finish a task with its outcome; the journey goes on accordingly."""
        body = _object(await read_json(request))
        outcome = body.get("outcome")
        if outcome not in get_args(Outcome):
            raise Problem(422, "outcome must be one of " + ", ".join(get_args(Outcome)) + ".")
        amount = read_amount(body["amount"]) if body.get("amount") is not None else None
        task = await self.parts.desk.finish(
            request.path_params["id"], _rep(body), cast("Outcome", outcome), now=datetime.now(UTC),
            reason=_text(body, "reason"), amount=amount, note=_text(body, "note"),
        )  # fmt: skip
        return JSONResponse({"task": document(task)})


def _object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(422, f"A JSON object is needed here, found {type(body).__name__}.")
    return body


def _rep(body: Mapping[str, Any]) -> str:
    rep = body.get("rep")
    if not isinstance(rep, str) or not rep.strip() or len(rep) > 200:
        raise Problem(422, "rep is missing.", hint='Say who works on the task: {"rep": "mei"}.')
    return rep.strip()


def _text(body: Mapping[str, Any], name: str) -> str | None:
    given = body.get(name)
    if not isinstance(given, str | None) or len(given or "") > 2000:
        raise Problem(422, f"{name} is text of at most 2,000 characters, or left out.")
    return given


def _before(request: Request) -> datetime | None:
    given = request.query_params.get("before")
    if given is None:
        return None
    try:
        # What was a plus in the address is a blank by now.
        moment = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", given))
    except ValueError:
        raise Problem(422, f"before must be a moment such as 2026-03-01T09:00:00Z, found {given[:40]!r}.") from None
    if moment.tzinfo is None:
        raise Problem(422, f"before needs a time zone, such as 2026-03-01T09:00:00Z; found {given[:40]!r}.")
    return moment


def _limit(request: Request, usual: int) -> int:
    given = request.query_params.get("limit")
    if given is None:
        return usual
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= 1000:
        raise Problem(422, f"limit must be a number from 1 to 1000, found {given[:20]!r}.")
    return int(given)
