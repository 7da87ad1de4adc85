"""Steering one run by hand: skip, move, exit, retry. Every order is written down, refused ones too.

What plainly makes no sense is refused here, before the run is asked. The run itself has the last word: it takes the
order in a turn of its own, and what happened in between counts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.entering.audience import Router, away
from activities.turns.programs import Programs
from journeys.errors import WaymarkError
from journeys.nearest import unknown_word
from journeys.program import Program
from records.runs import enrolments, orders
from records.runs.enrolments import OPEN, Enrolment

Kind = Literal["skip", "move", "exit", "retry"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OUTCOME = re.compile(r"[a-z][a-z0-9_]{0,59}")
PATIENCE = 20.0
"""Seconds in which a worker should have taken an order; after that it is left with the run."""


class OrderRefused(WaymarkError):
    """The run does not do it; the message says why."""


@dataclass(frozen=True, slots=True)
class Steered:
    """The order's number and where the run stands now. `waiting` says why it has not been taken yet, if so."""

    order: int
    run: Enrolment
    waiting: str | None = None


class Steering:
    """Gives orders to runs and hears what they make of them."""

    def __init__(self, database: AsyncEngine, router: Router, programs: Programs | None = None) -> None:
        self._database = database
        self._router = router
        self._programs = programs or Programs()

    async def order(
        self,
        number: int,
        kind: Kind,
        args: Mapping[str, Any] | None = None,
        *,
        by: str,
        because: str | None = None,
        now: datetime,
        patience: float = PATIENCE,
    ) -> Steered:
        """Give the order and wait until the run has taken it.

        Raises UnknownRun, and OrderRefused when the order makes no sense, or the run no longer is in Temporal.
        """
        given = dict(args or {})
        if kind == "exit" and not OUTCOME.fullmatch(str(given.get("outcome", ""))):
            raise WaymarkError(
                f"{given.get('outcome')!r} is no outcome.", hint="Small letters, digits and _, such as removed."
            )
        async with self._database.begin() as db:
            run = await enrolments.get(db, number)
            order = await orders.give(db, number, kind, given, by=by, because=because, now=now)
            problem = await self._problem(db, run, kind, given)
            if problem is not None:
                await orders.refuse(db, order, now, problem.message)
        if problem is not None:
            raise problem
        waiting = await self._ask(run, order, now, patience)
        async with self._database.connect() as db:
            run, told = await enrolments.get(db, number), await orders.get(db, order)
        if told is not None and told.refusal is not None:  # by a turn that was under way when we asked
            raise OrderRefused(told.refusal, hint=_explain(run))
        return Steered(order, run, waiting)

    async def _ask(self, run: Enrolment, order: int, now: datetime, patience: float) -> str | None:
        """Have the run take the order; why it has not yet, when nobody answers: the order stays with the run."""
        try:
            async with asyncio.timeout(patience):
                await self._router.handle(run).execute_update("order", order)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            said = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise OrderRefused(said, hint=_explain(run)) from None
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return "no worker has taken it yet"
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise await self._gone(run, order, now) from None
            return f"Temporal does not answer: {away(error)}"
        except RuntimeError as error:
            return f"Temporal does not answer: {away(error)}"
        return None

    async def _gone(self, run: Enrolment, order: int, now: datetime) -> OrderRefused:
        """Why Temporal does not know the run: it has ended meanwhile, has not been started, or was done away with."""
        async with self._database.begin() as db:
            run = await enrolments.get(db, run.id)
            if run.status not in OPEN:
                refusal = _ended(run)
            elif run.launched_at is None:
                refusal = OrderRefused(
                    f"run {run.id} has not begun",
                    hint="It begins within a minute of Temporal's return; give the order again then.",
                )
            else:
                refusal = OrderRefused(
                    f"Temporal has no open workflow of run {run.id}: it was terminated or deleted there",
                    hint=f"Reset the workflow in the Temporal UI, then give the order again. {_explain(run)}",
                )
            await orders.refuse(db, order, now, refusal.message)
        return refusal

    async def _problem(
        self, db: AsyncConnection, run: Enrolment, kind: Kind, args: Mapping[str, Any]
    ) -> OrderRefused | None:
        """Why the order makes no sense where the run stands, or None."""
        if run.status not in OPEN:
            return _ended(run)
        at = run.instruction or {}
        status, message = at.get("status"), str(at.get("summary", "")).removeprefix("send ")
        if kind == "move":
            program = await self._programs.get(db, run.journey, run.version)
            if (unknown := _unknown_step(program, args.get("to"))) is not None:
                return OrderRefused(
                    unknown, hint=f"These are the steps of {run.journey} version {run.version}; the run stays on it."
                )
        if kind in ("skip", "move") and at.get("act") == "deliver":
            return OrderRefused(
                f"run {run.id} is sending {message} at this moment", hint="Try again in a minute, when it has gone."
            )
        if kind in ("skip", "move", "retry") and status == "held":
            return OrderRefused(
                f"run {run.id} is held at a message that may or may not have gone",
                hint=f"Say what you know of it: `waymark runs resolve {run.id} --as sent` or `--as resend`.",
            )
        if kind == "retry" and status != "retrying":
            return OrderRefused(f"run {run.id} has nothing that was put off: {_standing(run)}", hint=_explain(run))
        if kind == "skip" and run.turn == 0:
            return OrderRefused(f"run {run.id} has not begun, so there is no step to skip", hint=_explain(run))
        return None


def _unknown_step(program: Program, step: object) -> str | None:
    if isinstance(step, str) and step in program.nodes:
        return None
    where = f"is no step of {program.journey.journey}"
    return unknown_word(str(step), program.nodes, where)


def _ended(run: Enrolment) -> OrderRefused:
    when = f" on {run.ended_at:%Y-%m-%d %H:%M} UTC" if run.ended_at else ""
    outcome = f" with the outcome {run.outcome}" if run.outcome else ""
    return OrderRefused(
        f"run {run.id} has ended{when}{outcome}",
        hint=f"`waymark enrol {run.journey} id:{run.customer_id}` enters the customer anew, where the map allows it.",
    )


def _standing(run: Enrolment) -> str:
    at = run.instruction or {}
    return f"it is {at.get('status', 'about to begin')}" + (f" at {run.step}" if run.step else "")


def _explain(run: Enrolment) -> str:
    return f"`waymark runs explain {run.id}` says where it stands."
