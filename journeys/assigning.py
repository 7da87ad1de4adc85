"""Whose lead it is: who may have it, and which of them gets it. Pure, so that its fairness can be tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journeys.sales import Assign
from journeys.team import Rep


@dataclass(frozen=True, slots=True)
class Hand:
    """What a rep has: how many tasks that are not done, and when (a number that grows) one was given to them last."""

    tasks: int = 0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets it, or nobody; and why."""

    rep: Rep | None
    because: str


def choose(
    ways: Sequence[Assign],
    reps: Sequence[Rep],
    hands: Mapping[str, Hand],
    *,
    owner: str | None,
    country: str | None,
) -> Choice:
    """Try each way in turn among the reps who are there, until one finds somebody.

    Round robin gives to whom nothing was given for the longest time: while the same reps are there, no two of them
    ever differ by more than one.
    """
    if not reps:
        return Choice(None, "nobody works on this queue today")
    found = [_by(way, reps, hands, owner, country) for way in ways]
    return next((one for one in found if one.rep is not None), Choice(None, "; ".join(one.because for one in found)))


def _by(way: Assign, reps: Sequence[Rep], hands: Mapping[str, Hand], owner: str | None, country: str | None) -> Choice:
    match way:
        case "owner":
            mine = next((rep for rep in reps if rep.name == owner), None)
            return Choice(mine, "the owner" if mine else "the owner is not there" if owner else "there is no owner")
        case "territory":
            there = [rep for rep in reps if country is not None and country in rep.territories]
            if not there:
                lacking = f"nobody has the territory {country}" if country else "no country is known of the lead"
                return Choice(None, lacking)
            return Choice(_next(there, hands), f"the territory {country}")
        case "least_loaded":
            least = min(hands.get(rep.name, Hand()).tasks for rep in reps)
            light = [rep for rep in reps if hands.get(rep.name, Hand()).tasks == least]
            return Choice(_next(light, hands), f"least loaded: {least} open")
        case "round_robin":
            return Choice(_next(reps, hands), "round robin")


def _next(reps: Sequence[Rep], hands: Mapping[str, Hand]) -> Rep:
    return min(reps, key=lambda rep: hands.get(rep.name, Hand()).turn)
