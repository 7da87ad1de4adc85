"""Settling by hand what no machine can know: whether a message went, after a crash or a silence at the wrong moment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.errors import WaymarkError
from journeys.instruction import Event
from records.messages import ledger, touches
from records.messages.ledger import Slot
from records.runs import standings

if TYPE_CHECKING:
    from activities.entering.audience import Router

Verdict = Literal["sent", "resend"]


async def settle_by_hand(
    database: AsyncEngine, router: Router, enrolment_id: int, verdict: Verdict, *, now: datetime
) -> list[str]:
    """Settle the uncertain messages of a run and let it go on; returns their names.

    `sent`: somebody saw that it arrived. `resend`: send it again, under the same key; only a run that still holds at
    that message can do so. Raises UnknownRun, and WaymarkError when there is nothing to settle.
    """
    async with database.begin() as db:
        run = (await standings.lock(db, enrolment_id)).enrolment
        doubtful = [
            touch
            for touch in await touches.for_customer(db, run.customer_id, 1000)
            if touch.enrolment_id == enrolment_id and touch.status == "uncertain"
        ]
        if not doubtful:
            raise WaymarkError(
                f"Run {enrolment_id} has no message that is uncertain.",
                hint="`waymark runs list --uncertain` shows the runs that have one.",
            )
        for touch in doubtful:
            slot = Slot(enrolment_id, touch.step or "", touch.visit or 0)
            if verdict == "sent":
                await ledger.settle(db, slot, "sent", at=now, because="settled by hand")
            elif run.step == touch.step and (run.instruction or {}).get("status") == "held":
                await ledger.release(db, slot)
            else:
                raise WaymarkError(
                    f"Run {enrolment_id} has gone on since {touch.message}, so it cannot be sent again.",
                    hint="Settle it with --as sent.",
                )
    for touch in doubtful:
        await router.wake(run, Event(f"settled/{touch.key}/{now.timestamp()}", "touch.settled", now))
    return [touch.message for touch in doubtful]
