"""How values and stages look at the terminal, and as a document."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.markup import escape

from journeys.lifecycle import Lifecycle
from records.audience.lifecycle import Moved
from records.audience.values import Rfm
from workers.commands.terminal import notice, out, table

SHADES = (" ", "░", "▒", "▓", "█")
BAR = 40
"""Characters of the longest bar."""
FIELDS = ("customer", "recency_days", "frequency", "monetary", "r", "f", "m")


@dataclass(frozen=True, slots=True)
class Standing:
    """How many customers are in each stage, and who moved; None for those in none."""

    worked_out: datetime
    counts: dict[str | None, int]
    moves: list[Moved]


class Picture:
    """All customers in 25 fields, recency against frequency, and the first few one by one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first: list[Rfm] = []
        self._counts: Counter[tuple[int, int]] = Counter()
        self._money: Counter[tuple[int, int]] = Counter()

    def add(self, one: Rfm) -> None:
        """Take up one customer."""
        self._counts[one.r, one.f] += 1
        self._money[one.r, one.f] += one.m
        if len(self._first) < self._limit:
            self._first.append(one)

    def show(self, event: str, before: str) -> None:
        """Print it: `event` is what counts as an order, `before` the moment."""
        total = self._counts.total()
        if not total:
            notice(f"Nobody has an event {event} before {before}.")
            return
        most = max(self._counts.values())
        right = [f"f {f}" for f in range(1, 6)]
        grid = table("", *right, right=right)
        for r in range(5, 0, -1):
            grid.add_row(f"r {r}", *(self._cell(r, f, most) for f in range(1, 6)))
        out.print(grid)
        notice("How many, by recency and frequency; after the dot their mean quintile of money. 5 is best.")
        numbers = FIELDS[1:]
        shown = table(*FIELDS, right=numbers)
        for one in self._first:
            shown.add_row(
                escape(one.customer), f"{one.recency_days:,}", f"{one.frequency:,}", f"{one.monetary:,.2f}",
                str(one.r), str(one.f), str(one.m),
            )  # fmt: skip
        if self._first:
            out.print(shown)
        more = f"; the first {len(self._first):,} are shown, --csv prints all" if total > len(self._first) else ""
        notice(f"{total:,} customers with an event {event} before {before}{more}.")

    def _cell(self, r: int, f: int, most: int) -> str:
        count = self._counts[r, f]
        if not count:
            return "· " + SHADES[0]
        shade = SHADES[1 + min(3, 4 * (count - 1) // most)]
        return f"{count:,}·{self._money[r, f] / count:.0f} {shade}"


def standing_document(rules: Lifecycle, found: Standing, days: int) -> dict[str, Any]:
    """What `report lifecycle --json` prints."""
    known = [one.stage for one in rules.stages]
    others = sorted(stage for stage in found.counts if stage is not None and stage not in known)
    return {
        "worked_out_at": found.worked_out,
        "customers": sum(found.counts.values()),
        "stages": [
            {"stage": stage, "title": rules.title_of(stage), "customers": found.counts.get(stage, 0)}
            for stage in [*known, *others]
        ],
        "in_none": found.counts.get(None, 0),
        "days": days,
        "moves": [{"from": one.old, "to": one.new or None, "customers": one.customers} for one in found.moves],
    }


def draw_stages(rules: Lifecycle, found: Standing) -> None:
    """A bar for each stage."""
    total, most = sum(found.counts.values()) or 1, max(found.counts.values(), default=0) or 1
    shown = table("stage", "customers", "share", "", right=("customers", "share"))
    stages: list[str | None] = [one.stage for one in rules.stages]
    for stage in [*stages, *sorted((stage for stage in found.counts if stage not in stages), key=str)]:
        count = found.counts.get(stage, 0)
        title = rules.title_of(stage) if stage is not None else "(in none)"
        bar = "█" * round(BAR * count / most) or ("▏" if count else "")
        shown.add_row(escape(title), f"{count:,}", f"{count / total:.1%}", bar)
    out.print(shown)


def draw_moves(rules: Lifecycle, moves: list[Moved], days: int) -> None:
    """From where, down, to where, across."""
    if not moves:
        notice(f"Nobody moved in the last {days} days.")
        return
    counts = {(one.old, one.new): one.customers for one in moves}
    order = [one.stage for one in rules.stages]
    seen = [stage for stage in order if any(stage in pair for pair in counts)]
    seen += sorted({stage for pair in counts for stage in pair} - {*seen})
    titles = [rules.title_of(stage) or "(in none)" for stage in seen]
    shown = table(
        f"moves in {days} days", *(f"→ {title}" for title in titles), right=[f"→ {title}" for title in titles]
    )
    for old, title in zip(seen, titles, strict=True):
        row = [f"{counts[old, new]:,}" if (old, new) in counts else "·" for new in seen]
        if any(cell != "·" for cell in row):
            shown.add_row(escape(title), *row)
    out.print(shown)
