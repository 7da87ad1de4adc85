"""Whether a relay refuses the message of a broadcast itself: then nobody else is to be burnt with it."""

from __future__ import annotations

from collections import Counter

MOST = 10
"""By how many refusals of one wording may outweigh what is taken, before the broadcast stands still."""


class Refusals:
    """Weighs what is refused for the message or its sender against what is taken, wording by wording: one arm in one
    language. What is refused for its recipient weighs nothing."""

    def __init__(self) -> None:
        self._excess: Counter[tuple[str | None, str | None]] = Counter()
        self.count = 0
        self.last: str | None = None

    def taken(self, arm: str | None, locale: str | None) -> None:
        """One was taken: it makes up for one that was refused."""
        self._excess[arm, locale] = max(self._excess[arm, locale] - 1, 0)

    def refused(self, arm: str | None, locale: str | None, reason: str) -> None:
        """One was refused, whoever it was for."""
        self._excess[arm, locale] += 1
        self.count += 1
        self.last = reason

    @property
    def too_many(self) -> bool:
        """Whether the next would most likely be refused too."""
        return max(self._excess.values(), default=0) >= MOST


def why(name: str, count: int, last: str | None) -> str:
    """Why a broadcast stands still, and what is to be done."""
    return (
        f"it paused by itself: what it says or who sends it was refused {count:,} times, whoever it was for: {last}. "
        f"Mend that, then `waymark broadcasts resume {name}`: those who were refused get it too"
    )
