"""How a score and a change of rules look at the terminal."""

from __future__ import annotations

from decimal import Decimal

from rich.markup import escape

from records.audience.rescoring import Preview
from records.audience.rulebooks import Rulebook
from records.audience.scorecards import Scorecard
from records.people.customers import Customer
from workers.commands.shared import Clock, notice, out, table

LETTERS, FIGURES = "ABCD", "1234"


def _points(value: Decimal | int) -> str:
    shown = f"{value:+,.2f}".rstrip("0").rstrip(".")
    return "0" if shown in ("+0", "-0") else shown


def show_card(who: Customer, card: Scorecard, clock: Clock, book: Rulebook | None) -> None:
    """The parts of a score, one a line, and by which rules."""
    name = who.external_id or who.email or str(who.id)
    grade = f", grade {card.grade}" if card.grade else ""
    out.print(f"[bold]{escape(name)}[/]: {card.score} points{grade} at {clock(card.at)}")
    numbers = ("events", "points", "left", "counts")
    shown = table("", "rule", *numbers, "terms", right=numbers)
    source = {"now": "", "kept": f"as of {clock(card.fit_at)}", "recomputed": "from present fields"}[card.fit_from]
    for part in card.fit_parts:
        shown.add_row(
            "fit", escape(part.rule), "", _points(part.points), "", _points(part.points) if part.holds else "·", source
        )
    for one in card.engagement:
        terms = [f"halves in {one.half_life:g} d" if one.half_life is not None else "never fades"]
        terms += [f"cap {one.cap}"] if one.cap is not None else []
        terms += [f"last {clock(one.last_at)[:10]}"] if one.last_at is not None else []
        counts = _points(one.counts) if one.events else "·"
        shown.add_row("engagement", f"{escape(one.rule)} ({escape(one.event)})", f"{one.events:,}", _points(one.points),
                      _points(one.left), counts, ", ".join(terms))  # fmt: skip
    for given in card.journey_parts:
        where = f"{given.journey}: {given.step}" if given.journey else "by hand or sales"
        left, when = _points(given.left), escape(f"{where}, {clock(given.at)}")
        shown.add_row("journey", escape(given.because), "", _points(given.points), left, left, when)
    if card.journey_entries > len(card.journey_parts):
        shown.add_row("journey", f"{card.journey_entries - len(card.journey_parts):,} older", "", "", "", "", "")
    out.print(shown)
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
    if card.stands != card.score:
        notice(f"The record says {card.stands}, worked out at {clock(card.scored_at)}; scores fade every night.")


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
