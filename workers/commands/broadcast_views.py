"""Broadcasts for the terminal: how one would come out, and how one stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from activities.broadcasts.broadcast_report import Report
from records.messages.broadcasts import OPEN
from records.messages.outcomes import ArmResult
from workers.commands.terminal import Clock
from workers.commands.terminal import table as plain_table

if TYPE_CHECKING:
    from activities.broadcasts.proofs import Preview, Wording

BAR = 40
LIKELY = 0.95
"""From which chance on a lead is called sure."""


def drawn(found: Report, clock: Clock) -> Group:
    """How a broadcast stands."""
    parts: list[RenderableType] = [
        Text.assemble((found.title, "bold"), f" ({found.broadcast}): ", (found.status, "bold"))
    ]
    when = f"started {clock(found.started_at)}" if found.started_at else f"starts {clock(found.starts_at)}"
    ended = f", ended {clock(found.finished_at)}" if found.finished_at else ""
    parts.append(Text(f"{when}{ended}, by {found.created_by}"))
    parts += [Text(f"stands still: {why}", style="yellow") for why in found.standing]
    if found.upcoming is not None:
        parts.append(Text(f"waits for {found.upcoming.what}: {clock(found.upcoming.at)}", style="cyan"))
    if found.meant:
        parts += [_progress(found.meant, found), _figures(found)]
    elif found.started_at is not None:
        parts.append(Text("It meant nobody."))
    if any(one is not None and one.arm is not None for one in (*found.arms, found.rest)):
        parts += [Text(), _arms(found), *_verdict(found)]
    return Group(*parts)


def _progress(meant: int, found: Report) -> Table:
    done = sum((found.sent, found.failed, found.uncertain, *found.skipped.values()))
    line = Table.grid(padding=(0, 1))
    words = f"{done:,} of {meant:,}"
    if found.rate:
        words += f", {found.rate:,.1f} a second"
    line.add_row(ProgressBar(total=meant, completed=min(done, meant), width=BAR), words)
    return line


def _figures(found: Report) -> Table:
    figures = plain_table("what", "count", right=("count",))
    figures.add_row("sent", f"{found.sent:,}")
    if found.leaving:
        figures.add_row("leaving", f"{found.leaving:,}")
    for why, count in found.skipped.items():
        figures.add_row(f"left out: {why}", f"{count:,}")
    for why, count in found.failures.items():
        figures.add_row(f"failed: {why}", f"{count:,}")
    if found.refused and found.status in OPEN:
        figures.add_row("of those that failed, get it on resume", f"{found.refused:,}")
    if found.uncertain:
        figures.add_row("uncertain: nobody knows whether they went", f"{found.uncertain:,}")
    if found.left and found.status in OPEN:
        figures.add_row("left", f"{found.left:,}")
    return figures


def _arms(found: Report) -> Table:
    columns = ["sent", "opened", "clicked"]
    if found.measure not in ("opens", "clicks"):
        columns.append("converted")
    shown = plain_table("wording", *columns, "", right=columns)
    named = [(one.arm or "—", one, "won" if one.arm == found.winner else "") for one in found.arms]
    if found.rest is not None:
        named.append((f"the rest ({found.rest.arm})", found.rest, ""))
    for name, one, won in named:
        counts = {"opened": one.opened, "clicked": one.clicked, "converted": one.converted}
        shares = [_share(counts[column], one) for column in columns[1:]]
        shown.add_row(name, f"{one.sent:,}", *shares, won)
    return shown


def _share(count: int, of: ArmResult) -> str:
    return f"{count:,} ({count / of.sent:.1%})" if of.sent else f"{count:,}"


def _verdict(found: Report) -> list[Text]:
    """Who won and by what, or who is ahead; and how sure that is."""
    if found.winner is not None:
        told = found.decision or {}
        because = f": {told['because']}" if "because" in told else ""
        return [Text(f"{found.winner} won{because}"), *_sure(told.get("chance"))]
    if found.leading is None:
        return []
    if found.leading.tie:
        return [Text("None is ahead so far.")]
    return [Text(f"{found.leading.arm} is ahead so far."), *_sure(found.leading.chance)]


def _sure(chance: Any) -> list[Text]:
    """How likely it is that the better figures are no accident."""
    if not isinstance(chance, int | float):
        return []
    share = f"{min(max(chance, 0.01), 0.99):.0%}"
    said = "" if chance >= LIKELY else ", which may well be chance"
    return [Text(f"It is really the better one with a probability of {share}{said}.")]


def foreseen(seen: Preview, clock: Clock) -> Group:
    """How a broadcast would come out."""
    parts: list[RenderableType] = []
    if not seen.meant:
        return Group(Text("Nobody would get it: no customer is meant now."))
    counts = plain_table("who", "count", right=("count",))
    counts.add_row("would get it", f"{seen.would_get:,}")
    for why, count in seen.waits.most_common():
        counts.add_row(f"would get it later: {why}", f"{count:,}")
    for why, count in seen.left_out.most_common():
        counts.add_row(f"left out: {why}", f"{count:,}")
    parts.append(counts)
    if seen.trial:
        arms = ", ".join(f"{arm} {count:,}" for arm, count in seen.trial.items())
        none = [arm for arm, count in seen.trial.items() if not count]
        warning = f" Nobody would be tried with {' and '.join(none)}: the share is too small." if none else ""
        parts.append(Text(f"Tried first on: {arms}.{warning}", style="yellow" if warning else ""))
    if len(seen.waves) > 1:
        waves = plain_table("when", "customers", right=("customers",))
        for moment, count in seen.waves.items():
            waves.add_row(clock(moment), f"{count:,}")
        parts += [Text(), waves]
    samples = plain_table("id", "name", "address", "left out", right=("id",))
    for one in seen.samples:
        samples.add_row(str(one.customer), one.name, one.address or "—", one.because or "")
    parts += [Text(), samples]
    return Group(*parts)


def worded(wordings: list[Wording]) -> Group:
    """How a broadcast reads, as the first of those who get it would have it; what is the same is said once."""
    parts: list[RenderableType] = []
    for number, one in enumerate(wordings):
        said = one.message
        arm = f"{one.arm}: " if one.arm is not None else ""
        parts.append(Text(f"{arm}{said.subject if said.subject is not None else said.text}", style="bold"))
        if one.segments is not None:
            many = f"{one.segments.count} segment{'s' * (one.segments.count != 1)}"
            parts.append(Text(f"{many} a text, {one.segments.encoding}"))
            if one.warning is not None:
                parts.append(Text(f"It {one.warning}.", style="yellow"))
        elif number == len(wordings) - 1 or wordings[number + 1].message.text != said.text:
            parts += [Text(said.text)]
    return Group(*parts)
