"""Which wording of a trial won, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, lgamma, log

from journeys.trials import Trial
from records.messages.outcomes import ArmResult


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which arm leads, and why in words. `chance`: how likely it is that it is the better one, against each of the
    others (0 to 1); None where nobody can say, because it was tried on nobody, or on nobody else. `tie`: another did
    as well."""

    arm: str
    because: str
    chance: float | None
    tie: bool = False


def verdict(trial: Trial, found: Sequence[ArmResult]) -> Verdict:
    """The arm with the highest share of those who got it; of equal ones the first by name. An arm that nobody got
    leads only where nobody got any."""
    results = {one.arm: one for one in found}
    reached = {arm: _reached(trial, results.get(arm)) for arm in trial.names}
    tried = [arm for arm in trial.names if reached[arm][1]]
    if not tried:
        first = trial.names[0]
        return Verdict(first, f"the trial reached nobody, so {first}, the first by name", None)

    def rate(arm: str) -> float:
        count, sent = reached[arm]
        return count / sent

    winner = max(tried, key=rate)
    equal = [arm for arm in tried if rate(arm) == rate(winner)]
    figures = ", ".join(f"{arm} {reached[arm][0]} of {reached[arm][1]}" for arm in trial.names)
    tie = f"; {' and '.join(equal)} are equal, so the first by name" if len(equal) > 1 else ""
    chances = [better(reached[winner], reached[arm]) for arm in tried if arm != winner]
    return Verdict(winner, f"{trial.measure}: {figures}{tie}", round(min(chances), 3) if chances else None, bool(tie))


def better(one: tuple[int, int], other: tuple[int, int]) -> float:
    """How likely it is that one share is really higher than another, each given as a count and of how many.

    Of each true share is believed what the counts say and no more (a beta distribution, from a uniform one before);
    the sum is exact (E. Miller, Formulas for Bayesian A/B testing, 2014).
    """
    (hits, of), (others, of_others) = one, other
    misses, other_misses = of - hits + 1, of_others - others + 1
    whole = _log_beta(others + 1, other_misses)
    chances = (
        exp(_log_beta(others + 1 + hit, misses + other_misses) - log(misses + hit) - _log_beta(1 + hit, misses) - whole)
        for hit in range(hits + 1)
    )
    return min(fsum(chances), 1.0)


def _log_beta(one: int, other: int) -> float:
    return lgamma(one) + lgamma(other) - lgamma(one + other)


def _reached(trial: Trial, one: ArmResult | None) -> tuple[int, int]:
    if one is None:
        return 0, 0
    return {"clicks": one.clicked, "opens": one.opened}.get(trial.measure, one.converted), one.sent
