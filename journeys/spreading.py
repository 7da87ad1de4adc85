"""Choices that look like chance and are the same every time: from a hash of what they are about.

A replay, a retry and a rehearsal come to the same result, on every machine and in every release. Name every use by a
part of its own ("spread", "holdout", the step), or two choices for one contact go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from journeys.timing import Duration

_BITS = 53
"""As many as a float holds exactly."""


def _draw(parts: tuple[object, ...]) -> int:
    digest = sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - _BITS)


def fraction(*parts: object) -> float:
    """A number from 0 up to 1, without 1, evenly distributed over different parts."""
    return _draw(parts) / (1 << _BITS)


def spread(moment: datetime, over: Duration | None, *parts: object) -> datetime:
    """The moment that these parts have within `over` after `moment`; `moment` itself when nothing is stated.

    The length is elapsed time: a day has 24 hours here, a month 30.4375 days.
    """
    return moment if over is None else moment + timedelta(days=over.days) * fraction(*parts)


def pick(weights: Mapping[str, int], *parts: object) -> str:
    """One of the names, each as often as its share of all weights. The order of the names matters.

    Raises:
        ValueError: there is no name, or a weight is not positive.
    """
    if not weights or min(weights.values()) <= 0:
        raise ValueError("a choice needs names with weights of at least 1")
    point = _draw(parts) * sum(weights.values()) >> _BITS
    for name, weight in weights.items():
        point -= weight
        if point < 0:
            return name
    raise AssertionError("a point lies below the sum of all weights")


def held_out(share: float, *parts: object) -> bool:
    """Whether these parts belong to the share (0 to 1) that is kept out. A larger share keeps all of a smaller one."""
    return fraction(*parts) < share
