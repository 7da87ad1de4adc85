"""`POST /v1/events`: one event, or a list of which each is answered for, stored by one transaction."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.entering.ingesting import Batch, Ingesting
from activities.intake.incoming import InvalidEvent, read_event
from console.parts import Parts
from console.problems import Problem, read_body, read_json
from records.incoming import Told

MOST_EVENTS = 1000
"""Events in one request."""
KNOWN = frozenset({"customer", "name", "at", "key", "value", "properties"})
HINT = "Correct the event and send it again."
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

log = logging.getLogger(__name__)


class Events:
    """Takes events. They are safe once they are answered for: what a crash keeps from the journeys, the sweep finds."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @property
    def _ingesting(self) -> Ingesting:
        return Ingesting(self.parts.database, self.parts.audience.router, self.parts.identity)

    async def put(self, request: Request) -> Response:
        """Take one event, or many: those whose key is known change nothing."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() in LINES:
            return await self._many([_line(line) for line in (await read_body(request)).splitlines() if line.strip()])
        body = await read_json(request)
        return await self._many(body) if isinstance(body, list) else await self._one(body)

    async def _one(self, body: object) -> Response:
        now = datetime.now(UTC)
        told = read(body, now)
        batch = await self._ingesting.take([told], now=now, unknown=self.parts.unknown)
        [outcome] = batch.outcomes
        if outcome.status == "rejected":
            raise Problem(404, f"{(outcome.because or '')[:1].upper()}{(outcome.because or '')[1:]}.", hint=HINT)
        if outcome.status == "duplicate":
            return JSONResponse({"status": "duplicate"}, 202)
        routed = await self._ingesting.route(batch.heard, now)
        await self.parts.audience.look_after(batch.customers, now)
        answer = {
            "status": "accepted",
            "event": outcome.event,
            "enrolled": [run.journey for one in routed for run in one.enrolled],
            "woken": [run.journey for one in routed for run in one.woken],
        }
        return JSONResponse(answer, 202)

    async def _many(self, items: list[Any]) -> Response:
        if len(items) > MOST_EVENTS:
            raise Problem(413, f"The list has {len(items):,} events; at most {MOST_EVENTS:,} are taken at once.")
        now = datetime.now(UTC)
        answers: list[dict[str, Any]] = [{} for _ in items]
        told: dict[int, Told] = {}
        for place, item in enumerate(items):
            try:
                told[place] = read(item, now)
            except Problem as problem:
                answers[place] = _rejected(problem.detail, dict(problem.errors or {}))
        batch = await self._ingesting.take(list(told.values()), now=now, unknown=self.parts.unknown)
        for place, outcome in zip(told, batch.outcomes, strict=True):
            match outcome.status:
                case "stored":
                    answers[place] = {"status": "accepted", "event": outcome.event}
                case "duplicate":
                    answers[place] = {"status": "duplicate"}
                case "rejected":
                    answers[place] = _rejected(f"customer: {outcome.because}", {"customer": outcome.because or ""})
        return JSONResponse({"events": answers}, 202, background=BackgroundTask(self._follow_up, batch, now))

    async def _follow_up(self, batch: Batch, now: datetime) -> None:
        """Tell the journeys, once the sender has its answer."""
        try:
            await self._ingesting.route(batch.heard, now)
            await self.parts.audience.look_after(batch.customers, now)
        except Exception:
            log.exception("a batch of events is left to the sweep")


def read(item: object, now: datetime) -> Told:
    """One event of a request. Raises Problem 422 with everything that is wrong."""
    if not isinstance(item, dict):
        raise Problem(422, f"A JSON object is needed here, found {type(item).__name__}.")
    others = (name.encode("utf-8", "replace").decode()[:100] for name in sorted(item.keys() - KNOWN))
    errors = {name: f"is not known here; allowed: {', '.join(sorted(KNOWN))}" for name in others}
    properties = item.get("properties")
    if not isinstance(properties, dict | None):
        errors["properties"] = "must be an object"
        properties = {}
    said = {name: item.get(name) for name in ("customer", "at", "key", "value")} | {"event": item.get("name")}
    told = None
    try:
        told = read_event(said, properties or {}, now=now)
    except InvalidEvent as error:
        errors |= {"name" if name == "event" else name: problem for name, problem in error.problems.items()}
    if errors or told is None:
        detail = "; ".join(f"{name} {problem}" for name, problem in errors.items())
        raise Problem(422, detail, hint=HINT, errors=errors)
    return told


def _line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _rejected(detail: str, errors: dict[str, str]) -> dict[str, Any]:
    return {"status": "rejected", "detail": detail, "hint": HINT, "errors": errors}
