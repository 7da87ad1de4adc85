"""The workflows that keep figures about customers: values and stages by night, and scores.

Scores are worked out stretch by stretch, by id: the workflow knows how far it has come, each stretch beats, and
whatever is killed is taken up behind the last page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior

from journeys.timetable import FEW, HEARTBEAT, LONGEST, PATIENT, Appointment

RESCORING = "waymark-rescoring"
"""The one workflow that rescores after a change of rules: two at once would only do the same."""


@dataclass(frozen=True, slots=True)
class RescoringOrder:
    """Rules to bring into force, and who said so. `hand_over` sends to sales who crosses the threshold by them."""

    definition: dict[str, Any]
    digest: str
    by: str
    hand_over: bool = False
    customers: int = 0
    """How many there are, for saying how far the work has come."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Customers whose ids are higher than `after`. Who crosses the threshold goes to sales when everybody was looked at
    by these rules before, or with `hand_over`."""

    after: int
    hand_over: bool = False


@dataclass(frozen=True, slots=True)
class Rescored:
    """How far it has come: the last id, how many customers were looked at, how many scores changed, and whether these
    were all."""

    last: int
    seen: int = 0
    changed: int = 0
    finished: bool = False


@dataclass
class _Progress:
    done: Rescored = field(default_factory=lambda: Rescored(0))

    async def rescore(self, hand_over: bool, customers: int) -> Rescored:
        while not self.done.finished:
            part: Rescored = await workflow.execute_activity(
                "rescore_customers", Stretch(self.done.last, hand_over), result_type=Rescored, retry_policy=PATIENT,
                start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT,
                summary=f"{self.done.seen:,} of {customers:,}" if customers else f"after {self.done.seen:,}",
            )  # fmt: skip
            seen, changed = self.done.seen + part.seen, self.done.changed + part.changed
            self.done = Rescored(part.last, seen, changed, part.finished)
        return self.done


@workflow.defn(name="Rescoring", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Rescoring:
    """Brings rules of scores into force and everybody's score to what they say; `waymark scores rescore` starts it."""

    def __init__(self) -> None:
        self._progress = _Progress()

    @workflow.run
    async def run(self, order: RescoringOrder) -> Rescored:
        """How many were looked at, and how many changed."""
        await workflow.execute_activity(
            "publish_scoring", order, retry_policy=PATIENT, start_to_close_timeout=HEARTBEAT, summary="rules in force"
        )
        return await self._progress.rescore(order.hand_over, order.customers)

    @workflow.query
    def progress(self) -> Rescored:
        """How far it has come."""
        return self._progress.done


@workflow.defn(name="NightlyFigures", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class NightlyFigures:
    """Works out values, quintiles, stages and scores; started every night by the schedule `waymark-figures`."""

    @workflow.run
    async def run(self, _: Appointment | None = None) -> int:
        """How many scores changed."""
        await workflow.execute_activity(
            "refresh_values", workflow.now(), retry_policy=FEW, start_to_close_timeout=LONGEST,
            heartbeat_timeout=HEARTBEAT, summary="what orders come to, and who moved on",
        )  # fmt: skip
        return (await _Progress().rescore(False, 0)).changed
