"""What moving the runs of one version of a journey to another would do: how many go where, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.programs import Programs
from journeys.difference import Fate, check_mapping, fate, messages_ahead, moved_to
from journeys.errors import WaymarkError
from journeys.program import Program
from records.runs import moves, versions
from records.runs.moves import ENTRY


@dataclass(frozen=True, slots=True)
class Move:
    """Those who stand at one step of the old version: how many, where they go, and what becomes of them there.

    `to` is None where the step is gone and nobody said where they go, and where the new version has no step to begin
    with. `again` counts, by message, those who were sent it already and may be sent it once more, because it lies ahead
    in the new version and did not in the old one.
    """

    step: str
    runs: int
    to: str | None
    fate: Fate | Literal["begins", "gone"]
    again: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What moving from one version to another would do, step by step in the order of the old version."""

    journey: str
    old: int
    new: int
    mapping: dict[str, str]
    moves: list[Move]
    targets: list[str]
    """The steps of the new version."""

    @property
    def runs(self) -> int:
        """All that are under way on the old version."""
        return sum(move.runs for move in self.moves)

    @property
    def gone(self) -> list[Move]:
        """Those for whom there is no place in the new version."""
        return [move for move in self.moves if move.fate == "gone"]

    def refuse_gone(self) -> None:
        """Raises StepsGone when somebody stands where there is no place to go."""
        if not self.gone:
            return
        where = ", ".join(f"{move.step} ({move.runs:,} run{'s' * (move.runs != 1)})" for move in self.gone)
        raise StepsGone(
            f"Version {self.new} of {self.journey} lacks steps at which runs stand: {where}. Nothing is moved.",
            hint=f"Say where they go with --map {self.gone[0].step}=STEP; the steps there: {', '.join(self.targets)}",
        )


class StepsGone(WaymarkError):
    """Somebody stands at a step that the new version lacks, and nobody said where they go. Nothing is moved."""


async def plan(db: AsyncConnection, journey: str, old: int, new: int, mapping: Mapping[str, str]) -> Plan:
    """What moving all runs under way on one version to another would do.

    Raises:
        UnknownJourney: there is no such version.
        WaymarkError: both are the same, or the mapping names steps that there are not.
    """
    programs = Programs()
    before, after = await programs.get(db, journey, old), await programs.get(db, journey, new)
    if old == new:
        raise WaymarkError(f"Version {old} is both where the runs are and where they are to go.")
    check_mapping(before, after, mapping)
    counts = await moves.standing(db, journey, old)
    made = [_move(before, after, mapping, step, runs) for step, runs in counts.items()]
    ahead = {move.step: _only_there(before, after, move) for move in made}
    sent = await moves.received(db, journey, old, set().union(*ahead.values()))
    order = [ENTRY, *before.nodes]
    made = [
        Move(move.step, move.runs, move.to, move.fate,
             {name: runs for name, runs in sent.get(move.step, {}).items() if name in ahead[move.step]})
        for move in sorted(made, key=lambda move: order.index(move.step) if move.step in order else 0)
    ]  # fmt: skip
    return Plan(journey, old, new, dict(mapping), made, list(after.nodes))


def _move(before: Program, after: Program, mapping: Mapping[str, str], step: str, runs: int) -> Move:
    if step not in before.nodes:
        return Move(step, runs, after.first, "begins")
    target = moved_to(before, after, step, mapping)
    return Move(step, runs, target, "gone" if target is None else fate(before, after, step, target))


def _only_there(before: Program, after: Program, move: Move) -> set[str]:
    """The messages that lie ahead after the move and did not before it."""
    here = move.step if move.step in before.nodes else before.first
    return messages_ahead(after, move.to) - messages_ahead(before, here)


async def default_target(db: AsyncConnection, journey: str) -> int:
    """The live version, where runs go unless said otherwise. Raises UnknownJourney."""
    live = await versions.live(db, journey)
    return live.version if live is not None else (await versions.get(db, journey, 1)).version
