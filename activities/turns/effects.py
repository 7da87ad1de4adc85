"""What the immediate steps do to the customer's record: score, set, tag, untag, consent, task; and starting another
journey. Each once per (step, visit)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entering.entrance import Entrance
from activities.sales.handoff import Handoff
from journeys.interpreter import Do
from journeys.steps.effects import AddTag, RemoveTag, Score, SetConsent, SetFields, Start, Task
from records.audience import scores
from records.events import StoredEvent
from records.people import consents, tags, upserts
from records.runs.enrolments import Enrolment
from records.runs.entries import NotEnrolled
from records.runs.standings import Standing


@dataclass(frozen=True, slots=True)
class Caused:
    """What an effect gave rise to: events and enrolments, for the caller to carry on after its commit; and what came
    of it, where that is not plain."""

    events: list[StoredEvent] = field(default_factory=list)
    entered: list[Enrolment] = field(default_factory=list)
    result: str = ""


class Effects:
    """Carries out effects inside the turn's transaction, so that a repeated turn repeats none of them."""

    def __init__(self, handoff: Handoff, entrance: Entrance) -> None:
        self._handoff = handoff
        self._entrance = entrance

    async def apply(self, db: AsyncConnection, standing: Standing, do: Do, now: datetime) -> Caused:
        """Do it, and return what this gave rise to.

        `now` (UTC) is the turn's time and stands in every row that is written.
        """
        enrolment = standing.enrolment
        customer, slot = enrolment.customer_id, (enrolment.id, do.node.id, do.visit)
        because = f"{enrolment.journey}: {do.node.id}"
        match do.step:
            case Score(score=points):
                change = await scores.add(
                    db, customer, points=points.points, because=points.because, at=now,
                    enrolment_id=slot[0], step=slot[1], visit=slot[2],
                )  # fmt: skip
                if change is not None:
                    return Caused(await self._handoff.consider(db, customer, change, points.because, now))
            case SetFields(set=values):
                await upserts.set_fields(db, customer, dict(values), because=because, enrolment_id=slot[0], now=now)
            case AddTag(tag=words):
                for word in words:
                    await tags.tag(db, customer, word, because=because, enrolment_id=slot[0], now=now)
            case RemoveTag(untag=words):
                for word in words:
                    await tags.untag(db, customer, word, because=because, enrolment_id=slot[0], now=now)
            case SetConsent(consent=said):
                source = f"{said.because} ({because})"
                # A yes that is given again is evidence of its own; a no counts where none was asked for, too.
                if said.granted or await consents.latest(db, customer, said.channel) is not False:
                    await consents.record(db, customer, said.channel, said.granted, source, now)
            case Start(start=journey):
                entered = await self._entrance.enter(
                    db, customer, journey, source="journey", now=now, event_id=enrolment.event_id
                )
                if isinstance(entered, NotEnrolled):
                    return Caused(result=f"not started: {entered.because}")
                return Caused(entered=[entered], result=f"run {entered.id}")
            case Task(task=task):
                return Caused(await self._handoff.ask(db, customer, task, slot, because, now))
        return Caused()
