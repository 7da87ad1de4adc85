"""`runs explain`: one run, its way and its reasons, for a person."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import typer
from rich.markup import escape

from activities.operating.explaining import Explanation, Passage, explain
from records.messages.touches import Touch
from records.runs.holds import Hold
from records.runs.orders import Order
from workers import running
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.standing import Number, plain_run
from workers.commands.terminal import out, print_json
from workers.settings import Settings

app = typer.Typer()

SHOWN_SEEN = 12
"""Facts shown a step; --json has all."""


@app.command("explain")
def explain_run(number: Number, as_json: AsJson = False) -> None:
    """Explain one run: each step with what was seen and why it went this way, what it waits for, and who interfered.

    Times are the contact's own, with UTC beside them.
    """
    of = settings()

    async def load() -> Explanation:
        async with records(of) as engine, engine.connect() as db:
            return await explain(db, number, zone=of.workspace_time_zone)

    found = run(load())
    link = workflow_link(of, found.workflow)
    if as_json:
        print_json(as_document(found, link))
    else:
        show(found, link)


def workflow_link(of: Settings, workflow: str) -> str | None:
    """Where the Temporal UI shows a workflow; None where no UI of ours runs."""
    local = running.read(of.home)
    if local is None or local.temporal_ui is None:
        return None
    # Only where there is such a page has this to do with Temporal, whose library takes its time to import.
    from workers import temporal

    namespace = quote(temporal.namespace(), safe="")
    return f"{local.temporal_ui.rstrip('/')}/namespaces/{namespace}/workflows/{quote(workflow, safe='')}"


def as_document(found: Explanation, link: str | None) -> dict[str, Any]:
    """The explanation as one JSON document."""
    return {
        "run": plain_run(found.run),
        "title": found.title,
        "live_version": found.live_version,
        "time_zone": found.zone.key,
        "workflow": found.workflow,
        "temporal_ui": link,
        "now": found.standing,
        "steps": found.passages,
        "unsettled": found.pending_touches,
        "holds": found.holds,
        "orders": found.orders,
    }


def show(found: Explanation, link: str | None) -> None:
    """The explanation for a person."""
    one, when = found.run, _When(found)
    newer = f" (version {found.live_version} is live)" if found.live_version not in (None, one.version) else ""
    _line(f"[bold]Run {one.id}[/]: {escape(found.title)}, {escape(one.journey)} version {one.version}{newer}")
    _line(f"customer {one.customer_id}, entry {one.entry}, entered {when(one.enrolled_at)} by {escape(one.source)}", 1)
    _line(f"times are those of {found.zone.key}", 1)
    _line("")
    for passage in found.passages:
        _passage(passage, when)
    _now(found, when)
    if found.holds:
        _line("\n[bold]Held by[/]")
        for hold in found.holds:
            _line(_hold(hold, when), 1)
    if found.orders:
        _line("\n[bold]Orders[/]")
        for order in found.orders:
            _line(_order(order, when), 1)
    _line(f"\nIn Temporal: {link or found.workflow}")


def _passage(passage: Passage, when: "_When") -> None:
    visit = f", visit {passage.visit}" if passage.visit > 1 else ""
    _line(f"{when(passage.at)}  [bold]{escape(passage.step)}[/] ({passage.kind.replace('_', ' ')}{visit})")
    if passage.because:
        _line(f"because: {escape(passage.because)}", 1)
    for name, value in list(passage.seen.items())[:SHOWN_SEEN]:
        _line(f"seen: {escape(name)}: {escape(_value(value))}", 1)
    if len(passage.seen) > SHOWN_SEEN:
        _line(f"... and {len(passage.seen) - SHOWN_SEEN} more; --json has all", 1)
    if passage.touch is not None:
        _line(_touch(passage.touch, when), 1)


def _now(found: Explanation, when: "_When") -> None:
    standing = found.standing
    at = f" at {escape(standing.step)}" if standing.step else ""
    _line(f"\n[bold]Now[/]: {standing.state}{at}. {escape(standing.words)}")
    if standing.wakes_at is not None:
        _line(f"{'begins' if found.run.turn == 0 else 'goes on'} {when(standing.wakes_at)}", 1)
    for touch in found.pending_touches:
        _line(_touch(touch, when), 1)
    if standing.leaves_on:
        _line(f"leaves at once on {escape(', '.join(standing.leaves_on))}", 1)


def _touch(touch: Touch, when: "_When") -> str:
    why = f": {touch.because}" if touch.because else ""
    return escape(f"{touch.message} {touch.status} {when(touch.settled_at or touch.claimed_at)}{why}")


def _hold(hold: Hold, when: "_When") -> str:
    why = f": {hold.because}" if hold.because else ""
    name = "everything" if hold.kind == "all" else f"{hold.kind} {hold.name}"
    return escape(f"{name}, {'paused' if hold.mode == 'pause' else 'stopped'} {when(hold.since)} by {hold.by}{why}")


def _order(order: Order, when: "_When") -> str:
    about = " ".join(str(order.args[key]) for key in ("to", "outcome", "mode") if order.args.get(key))
    why = f": {order.because}" if order.because else ""
    if order.refusal is not None:
        end = f"refused: {order.refusal}"
    else:
        end = "waiting to be taken" if order.taken_at is None else f"taken {when(order.taken_at)}"
    return escape(f"{' '.join(filter(None, (order.kind, about)))}, {when(order.at)} by {order.by}{why}; {end}")


class _When:
    """Writes a moment as the contact's clock shows it, and in UTC where that is another."""

    def __init__(self, found: Explanation) -> None:
        self._zone = found.zone

    def __call__(self, moment: datetime) -> str:
        local, utc = moment.astimezone(self._zone), moment.astimezone(UTC)
        if local.utcoffset() == utc.utcoffset():
            return f"{utc:%a %Y-%m-%d %H:%M} UTC"
        other = f"{utc:%H:%M}" if utc.date() == local.date() else f"{utc:%Y-%m-%d %H:%M}"
        return f"{local:%a %Y-%m-%d %H:%M %Z} ({other} UTC)"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(text: str, indent: int = 0) -> None:
    out.print("    " * indent + text, soft_wrap=True)
