"""Whether a relay refuses the message of a broadcast itself: then nobody else is to be burnt with it."""

from __future__ import annotations

from collections import Counter, defaultdict

MOST = 10
"""By how many refusals of one wording may outweigh what is taken, before the broadcast stands still."""
OF_ONE = MOST // 2
"""How many of them one domain weighs at most, where others took `OTHERS` times as many as it refused: it refuses for
its own people only, as a company's filter does."""
OTHERS = 10


class _Wording:
    """What became of one arm in one language."""

    def __init__(self) -> None:
        self.excess = 0
        self.everywhere = 0
        self.took: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.weighing: Counter[str] = Counter()

    def weighs(self, domain: str) -> bool:
        """Whether one more refusal of a domain says anything that the last ones did not."""
        elsewhere = self.everywhere - self.took[domain]
        return self.weighing[domain] < OF_ONE or self.refused[domain] * OTHERS > elsewhere


class Refusals:
    """Weighs what is refused for the message or its sender against what is taken, wording by wording: one arm in one
    language. What is refused for its recipient weighs nothing."""

    def __init__(self) -> None:
        self._wordings: defaultdict[tuple[str | None, str | None], _Wording] = defaultdict(_Wording)
        self.count = 0
        self.last: str | None = None

    def taken(self, arm: str | None, locale: str | None, address: str) -> None:
        """One was taken: it makes up for one that was refused."""
        of = self._wordings[arm, locale]
        of.everywhere += 1
        of.took[_domain(address)] += 1
        if of.excess:
            of.excess -= 1
            if not of.excess:
                of.weighing.clear()

    def refused(self, arm: str | None, locale: str | None, address: str, reason: str) -> None:
        """One was refused, whoever it was for."""
        of, domain = self._wordings[arm, locale], _domain(address)
        of.refused[domain] += 1
        if of.weighs(domain):
            of.weighing[domain] += 1
            of.excess += 1
        self.count += 1
        self.last = reason

    @property
    def too_many(self) -> bool:
        """Whether the next would most likely be refused too."""
        return any(of.excess >= MOST for of in self._wordings.values())


def _domain(address: str) -> str:
    """Where a mail goes; phone numbers are all of one place."""
    return address.partition("@")[2].lower()


def why(name: str, count: int, last: str | None) -> str:
    """Why a broadcast stands still, and what is to be done."""
    return (
        f"it paused by itself: what it says or who sends it was refused {count:,} times, whoever it was for: {last}. "
        f"Mend that, then `waymark broadcasts resume {name}`: those who were refused get it too"
    )
