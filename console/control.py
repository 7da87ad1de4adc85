"""The part of the HTTP API that interferes: holds, and orders to runs. Everything is signed with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.operating.holding import Holding
from activities.operating.scopes import Scope, scope, way_of, window_of
from activities.operating.steering import KINDS, Steering
from console.documents import document
from console.parts import Parts
from console.problems import Problem, read_json
from records.runs import holds

ACTIONS = ("pause", "resume", "stop")
TARGETS = ("journey", "customer", "channel", "everything")
LONGEST_TEXT = 500


class Control:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def holds(self, request: Request) -> Response:
        """What is paused or stopped, the oldest first."""
        async with self.parts.database.connect() as db:
            return JSONResponse({"holds": document(await holds.listing(db))})

    async def act(self, request: Request) -> Response:
        """Pause, resume or stop a journey, a customer, a channel, or everything."""
        body = await _body(request, {"action", *TARGETS, "by", "because", "overdue", "over", "yes"})
        action, by, because, now = body.get("action"), _by(body), _text(body, "because"), datetime.now(UTC)
        if action not in ACTIONS:
            raise Problem(422, f"action {action!r} is not known.", hint=f"One of {', '.join(ACTIONS)}.")
        of = await self._scope(body)
        holding = Holding(self.parts.database, self.parts.audience.router)
        answer: dict[str, Any] = {"kind": of.kind, "name": of.name}
        if action == "pause":
            async with self.parts.database.begin() as db:
                changed = await holds.hold(db, of.kind, of.name, by=by, because=because, now=now)
            return JSONResponse({**answer, "changed": changed})
        if action == "stop":
            if of.kind == "all" and body.get("yes") is not True:
                raise Problem(422, "Stopping everything ends every run, for good.", hint='Say so with "yes": true.')
            told = await holding.stop(of, by=by, because=because, now=now)
            return JSONResponse({**answer, "ordered": told.ordered, "complete": told.away is None})
        found, told = await holding.resume(
            of,
            way_of(str(body.get("overdue", "spread"))),
            over=window_of(str(body.get("over", "1h"))),
            by=by,
            because=because,
            now=now,
        )
        figures = {"overdue": found.overdue, "still_held": found.still_held}
        return JSONResponse({**answer, **figures, "ordered": told.ordered, "complete": told.away is None})

    async def order(self, request: Request) -> Response:
        """Tell a run to skip its step, to move, to end, or to try again; 409 says why it does not."""
        body = await _body(request, {"kind", "by", "because", "to", "outcome"})
        kind, args = body.get("kind"), {}
        if kind not in KINDS:
            raise Problem(422, f"kind {kind!r} is not known.", hint=f"One of {', '.join(KINDS)}.")
        if kind == "move":
            args = {"to": _text(body, "to") or ""}
        if kind == "exit":
            args = {"outcome": _text(body, "outcome") or "removed"}
        steered = await Steering(self.parts.database, self.parts.audience.router).order(
            request.path_params["id"], kind, args, by=_by(body), because=_text(body, "because"), now=datetime.now(UTC)
        )
        answer = {
            "order": steered.order,
            "taken": steered.waiting is None,
            "run": document(replace(steered.run, cursor={}, instruction=None)),
        }
        return JSONResponse(answer, 200 if steered.waiting is None else 202)

    async def _scope(self, body: Mapping[str, Any]) -> Scope:
        named = {name: body[name] for name in TARGETS if body.get(name) not in (None, False)}
        if len(named) != 1:
            raise Problem(422, "Name one of " + ", ".join(TARGETS) + ".", hint='Such as {"journey": "welcome"}.')
        [(name, value)] = named.items()
        if name == "everything":
            if value is not True:
                raise Problem(422, "everything must be true.")
            return Scope.everything()
        if not isinstance(value, str | int):
            raise Problem(422, f"{name} must be a name.")
        async with self.parts.database.connect() as db:
            return await scope(db, **{name: str(value)})


async def _body(request: Request, known: set[str]) -> dict[str, Any]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Problem(422, f"A JSON object is needed here, found {type(body).__name__}.")
    if unknown := sorted(body.keys() - known):
        allowed = ", ".join(sorted(known))
        raise Problem(422, f"{', '.join(unknown)} is not known here.", hint=f"Allowed: {allowed}.")
    return body


def _by(body: Mapping[str, Any]) -> str:
    by = _text(body, "by")
    if not by:
        raise Problem(422, "by is missing.", hint='Say who does it: {"by": "mei"}.')
    return by


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if not isinstance(value, str | None) or len(value or "") > LONGEST_TEXT:
        raise Problem(422, f"{name} must be text of at most {LONGEST_TEXT} characters.")
    return (value or "").strip() or None
