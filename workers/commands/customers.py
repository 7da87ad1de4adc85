"""`customers`: the people, and what happened to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from activities.intake.instants import read_instant
from journeys.errors import WaymarkError
from journeys.fields import Fields, load_fields
from records.people import consents, customers, identities, merging
from records.people.consents import Consent
from records.people.customers import Customer
from records.people.identities import Identity
from records.people.merging import Merge
from records.people.search import list_page
from records.people.timeline import TimelineEntry, timeline
from workers.commands.shared import AsJson, Limit, records, run, settings
from workers.commands.terminal import Clock, notice, out, print_json, print_lines, table

app = typer.Typer()
Reference = Annotated[str, typer.Argument(help="Id, external id, email or phone.", metavar="CUSTOMER")]

After = Annotated[int, typer.Option(min=0, help="Only ids after this one.")]
NEWEST = 100
"""How many entries of a timeline are shown unless asked for more."""
NAMES = 20
"""How many further ids, addresses and numbers are shown; --json has all."""

MARKS = {
    "entered": ("→", "cyan"), "left": ("←", "cyan"), "event": ("•", "white"), "touch": ("✉", "blue"),
    "score": ("▲", "green"), "stage": ("◆", "magenta"), "property": ("◇", "dim"), "tag": ("#", "dim"),
    "untag": ("#", "dim"), "consent": ("§", "yellow"), "task": ("☎", "bold red"),
    "task_step": ("☎", "dim"), "task_done": ("✓", "bold green"),
    "merged": ("⋈", "bold"), "unmerged": ("⋈", "bold"),
}  # fmt: skip
"""How each kind of entry is marked on the timeline: sign and style."""


@dataclass(frozen=True)
class Shown:
    """What there is to see of one customer."""

    customer: Customer
    consents: list[Consent]
    names: list[Identity]
    merges: list[Merge]
    timeline: list[TimelineEntry]
    more: bool
    """Whether something happened before."""


@app.command("list")
def list_(
    search: Annotated[str | None, typer.Option(help="Only whom `customers search` finds by this.")] = None,
    limit: Limit = 50,
    after: After = 0,
    as_json: AsJson = False,
) -> None:
    """List customers."""
    _print(_page(search, after, limit), limit, as_json)


@app.command("search")
def search(
    text: Annotated[str, typer.Argument(help="The beginning of names, of an email, a phone or an external id.")],
    limit: Limit = 50,
    after: After = 0,
    as_json: AsJson = False,
) -> None:
    """Find customers by what somebody remembers: beginnings of names, an email, a phone in any spelling, an id."""
    found = _page(text, after, limit) if text.strip() else []
    if not found and not as_json:
        notice(f"Nobody is called {text!r}: give the beginning of a name, an email, a phone or an external id.")
        return
    _print(found, limit, as_json)


def _page(search: str | None, after: int, limit: int) -> list[Customer]:
    async def page() -> list[Customer]:
        async with records() as engine, engine.connect() as db:
            return await list_page(db, after=after, limit=limit, search=search)

    return run(page())


def _print(found: list[Customer], limit: int, as_json: bool) -> None:
    if as_json:
        print_lines(found)
        return
    shown = table("id", "name", "email", "stage", "score", right=("id", "score"))
    for one in found:
        shown.add_row(str(one.id), escape(one.name), escape(one.email or one.phone or "—"), one.stage, str(one.score))
    out.print(shown)
    if len(found) == limit:
        notice(f"There may be more: --after {found[-1].id}")


@app.command("show")
def show(
    customer: Reference,
    limit: Limit = NEWEST,
    before: Annotated[
        str | None,
        typer.Option(help="Only what happened before this; without a zone: the workspace's.", metavar="TIME"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one customer and what happened, the newest last. What happened at the same moment stays together."""

    async def load() -> Shown:
        async with records(of) as engine, engine.connect() as db:
            found = await customers.find(db, customer)
            entries = await timeline(db, found.id, limit=limit, before=moment)
            return Shown(
                found,
                await consents.history(db, found.id),
                await identities.of(db, found.id),
                await merging.listing(db, found.id),
                entries,
                bool(entries) and bool(await timeline(db, found.id, limit=1, before=entries[0].at)),
            )

    of = settings()
    clock = Clock(of)
    moment = None if before is None else _moment(before, clock.zone)
    seen = run(load())
    if as_json:
        print_json({
            "customer": seen.customer, "consents": seen.consents, "names": seen.names, "merges": seen.merges,
            "timeline": seen.timeline,
        })  # fmt: skip
        return
    for one in seen.merges:
        if one.undone_at is None and customer.strip().removeprefix("id:") == str(one.gone_id):
            notice(f"Customer {one.gone_id} is part of customer {one.kept_id} since {clock(one.at)} (merge {one.id}).")
    out.print(portrait(seen.customer, seen.consents, load_fields(of.definitions / "fields.yaml"), clock, seen.names))
    if seen.more:
        notice(f"There is more: --before {seen.timeline[0].at.isoformat()}")
    print_timeline(seen.timeline, clock)


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        return read_instant(text, zone)
    except ValueError as error:
        raise WaymarkError(f"--before: {error}", hint="Write a day or a moment, such as 2026-03-01.") from None


def portrait(
    person: Customer, said: list[Consent], fields: Fields, clock: Clock, names: Sequence[Identity] = ()
) -> Table:
    """Who somebody is, in a few lines."""
    latest = {consent.channel: consent.granted for consent in said}
    shown = {person.external_id, person.email, person.phone}
    also = [one.value for one in names if one.value not in shown]
    more = [f"{len(also) - NAMES:,} more"] if len(also) > NAMES else []
    facts = {
        "email": f"{person.email} {_consent(latest.get('email'))}" if person.email else None,
        "phone": f"{person.phone} {_consent(latest.get('sms'))}" if person.phone else None,
        "also": ", ".join([*also[:NAMES], *more]),
        "lives": ", ".join(part for part in (person.country, person.locale, person.time_zone) if part),
        "stage": person.stage,
        "score": f"{person.score}" + (f", qualified {clock(person.qualified_at)}" if person.qualified_at else ""),
        "tags": ", ".join(person.tags),
        **{
            (fields[name].title if name in fields else name).lower(): str(value)
            for name, value in sorted(person.properties.items())
        },
        "known since": clock(person.created_at),
    }
    made = Table(box=None, pad_edge=False, show_header=False, title_justify="left", title_style="bold")
    made.title = f"{person.name}  (customer {person.id}{f', {person.external_id}' if person.external_id else ''})"
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            made.add_row(name, escape(value))
    return made


def print_timeline(entries: list[TimelineEntry], clock: Clock) -> None:
    """The entries by day, each in a line with its reason."""
    day = None
    for entry in entries:
        if (today := clock.day(entry.at)) != day:
            day = today
            out.print(f"\n[bold]{day}[/]  [dim]{entry.at.astimezone(clock.zone):%Z}[/]")
        sign, style = MARKS.get(entry.kind, ("•", "white"))
        line = Table.grid(padding=(0, 1))
        line.add_column(style="dim", no_wrap=True)
        line.add_column(style=style, no_wrap=True)
        line.add_column(overflow="fold")
        reason = _reason(entry)
        line.add_row(
            clock.short(entry.at), sign, escape(entry.title) + (f"  [dim]{escape(reason)}[/]" if reason else "")
        )
        out.print(Padding(line, (0, 0, 0, 2)))
    if not entries:
        out.print("\nNothing has happened yet.")


def _reason(entry: TimelineEntry) -> str:
    detail = entry.detail
    said: list[str] = []
    match entry.kind:
        case "touch":
            said = [f"“{detail['subject']}”" if detail.get("subject") else "", detail.get("because") or ""]
        case "event":
            properties = {**detail.get("properties", {})}
            if detail.get("value") is not None:
                properties = {"value": detail["value"], **properties}
            said = [", ".join(f"{name} {value}" for name, value in properties.items())]
        case "task_done":
            said = [f"by {detail['by']}" if detail.get("by") else "", detail.get("note") or ""]
        case "consent":
            said = [detail.get("source") or ""]
        case "merged" | "unmerged":
            said = [f"merge {detail['merge']} by {detail.get('by')}", detail.get("because") or ""]
        case "entered":
            said = [f"version {detail.get('version')}, by {detail.get('source')}"]
        case _:
            said = [detail.get("because") or ""]
    return "; ".join(part for part in said if part)


def _consent(granted: bool | None) -> str:
    return {True: "(consent given)", False: "(consent withdrawn)", None: "(no consent)"}[granted]
