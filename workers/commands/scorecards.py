"""How a score and a change of rules look at the terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from rich.markup import escape

from records.audience.rescoring import Preview
from records.audience.rulebooks import Rulebook
from records.audience.scorecards import Scorecard
from records.people.customers import Customer
from workers.commands.terminal import Clock, notice, out, table

LETTERS, FIGURES = "ABCD", "1234"
BAR = 8
"""Characters of the longest bar."""


def _points(value: Decimal | int) -> str:
    shown = f"{value:+,.2f}".rstrip("0").rstrip(".")
    return "0" if shown in ("+0", "-0") else shown


def show_card(who: Customer, card: Scorecard, clock: Clock, book: Rulebook | None) -> None:
    """The parts of a score, one a line, and by which rules."""
    name = who.external_id or who.email or str(who.id)
    grade = f", grade {card.grade}" if card.grade else ""
    points = "point" if abs(card.score) == 1 else "points"
    out.print(f"[bold]{escape(name)}[/]: {card.score:,} {points}{grade} at {clock(card.at)}")
    lines = _lines(card, clock)
    most = max((abs(line.counts) for line in lines), default=Decimal(0)) or Decimal(1)
    numbers = ("events", "points", "left", "counts")
    shown = table("", *numbers, " ", "", right=numbers)
    for part in ("fit", "engagement", "journeys"):
        mine = [line for line in lines if line.part == part]
        if mine:
            shown.add_row(f"[bold]{part}[/]")
        for one in mine:
            shown.add_row(
                f"  {escape(one.name)}", f"{one.events:,}" if one.events else "", _points(one.points),
                _points(one.left), _points(one.counts), _bar(one.counts, most), escape(one.terms),
            )  # fmt: skip
    if lines:
        out.print(shown)
    idle = [part.rule for part in card.fit_parts if not part.holds]
    idle += [one.rule for one in card.engagement if not one.events]
    if idle:
        notice(f"Nothing by {', '.join(idle)}.")
    if card.journey_entries > len(card.journey_parts):
        notice(f"Journeys gave points {card.journey_entries:,} times; the last {len(card.journey_parts):,} are shown.")
    notice(
        f"fit {card.fit} + activity {_points(card.activity)} (journeys {_points(card.journeys)}), rounded: {card.score}"
    )
    if book is None:
        notice("No rules of scores are in force (`waymark scores rescore`): a score is what journeys gave.")
    elif book.published_at > card.at:
        notice(f"By rules that came into force later, at {clock(book.published_at)}.")
    else:
        notice(f"By the rules of {clock(book.published_at)} ({book.published_by}).")
    if card.fit_from == "recomputed":
        notice("Of fit nothing was kept by these rules then: it is worked out from the fields as they are now.")
    if card.fit_from == "now" and card.stands != card.score:
        notice(f"The record says {card.stands}, worked out at {clock(card.scored_at)}; scores fade every night.")


class _Line(NamedTuple):
    """What one rule or entry brings."""

    part: str
    name: str
    events: int
    points: int
    left: Decimal
    counts: Decimal
    terms: str


def _lines(card: Scorecard, clock: Clock) -> list[_Line]:
    since = {"now": "", "kept": f"since {clock(card.fit_at)[:10]}", "recomputed": "by fields of now"}[card.fit_from]
    lines = [
        _Line("fit", one.rule, 0, one.points, Decimal(one.points), Decimal(one.points), since)
        for one in card.fit_parts
        if one.holds
    ]
    for part in card.engagement:
        terms = [f"½ in {part.half_life:g} d"] if part.half_life is not None else []
        terms += [f"cap {part.cap}"] if part.cap is not None else []
        if part.events:
            said = ", ".join(terms)
            lines.append(_Line("engagement", part.rule, part.events, part.points, part.left, part.counts, said))
    for given in card.journey_parts:
        where = f"{given.because} ({given.journey}: {given.step})" if given.journey else given.because
        lines.append(_Line("journeys", where, 0, given.points, given.left, given.left, clock(given.at)[:10]))
    return lines


def _bar(counts: Decimal, most: Decimal) -> str:
    """As long as what it counts; hollow for what it takes away."""
    return ("█" if counts > 0 else "░") * max(round(BAR * abs(counts) / most), 1 if counts else 0)


def show_preview(changes: Preview, threshold: int | None, *, same: bool) -> None:
    """What rules would change; `same` says that they are those in force."""
    if same:
        notice("These rules are in force already; their scores are worked out anew.")
    rest = changes.customers - changes.rise - changes.fall
    shown = table("scores", "customers", "by, on average", right=("customers", "by, on average"))
    shown.add_row("rise", f"{changes.rise:,}", f"{changes.risen / changes.rise:+,.1f}" if changes.rise else "")
    shown.add_row("fall", f"{changes.fall:,}", f"{-changes.fallen / changes.fall:+,.1f}" if changes.fall else "")
    shown.add_row("stay", f"{rest:,}", "")
    if threshold is not None:
        shown.add_row(f"come to {threshold} or more", f"{changes.up:,}", "")
        shown.add_row(f"fall below {threshold}", f"{changes.down:,}", "")
    out.print(shown)
    _show_grades(changes)
    if changes.most:
        most = table("most changed", "before", "after", right=("before", "after"))
        for one in changes.most:
            most.add_row(
                escape(one.external_id or one.email or str(one.customer_id)), f"{one.before:,}", f"{one.after:,}"
            )
        out.print(most)


def _show_grades(changes: Preview) -> None:
    """Before and after, letters down and figures across."""
    before = {one.old: 0 for one in changes.grades}
    after: dict[str, int] = {}
    for one in changes.grades:
        before[one.old] += one.customers
        after[one.new] = after.get(one.new, 0) + one.customers
    shown = table("grade", *FIGURES, right=FIGURES)
    for letter in LETTERS:
        cells = [(before.get(letter + figure, 0), after.get(letter + figure, 0)) for figure in FIGURES]
        shown.add_row(letter, *(f"{old:,} → {new:,}" if old or new else "·" for old, new in cells))
    out.print(shown)
    if before.get(None):
        notice(f"{before[None]:,} customers have no grade yet.")
