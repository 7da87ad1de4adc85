"""`customers`: the people, and what happened to each."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from journeys.fields import Fields, load_fields
from records import consents, customers
from records.consents import Consent
from records.customers import Customer
from records.timeline import TimelineEntry, timeline
from workers.commands.shared import (
    AsJson,
    Clock,
    Limit,
    notice,
    out,
    print_json,
    print_lines,
    records,
    run,
    settings,
    table,
)

app = typer.Typer(help="The people, and what happened to each.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(help="Id, external id, email or phone.", metavar="CUSTOMER")]

MARKS = {
    "entered": ("→", "cyan"), "left": ("←", "cyan"), "event": ("•", "white"), "touch": ("✉", "blue"),
    "score": ("▲", "green"), "stage": ("◆", "magenta"), "property": ("◇", "dim"), "tag": ("#", "dim"),
    "untag": ("#", "dim"), "consent": ("§", "yellow"), "task": ("☎", "bold red"), "task_done": ("✓", "bold green"),
}  # fmt: skip
"""How each kind of entry is marked on the timeline: sign and style."""


@app.command("list")
def list_(
    search: Annotated[str | None, typer.Option(help="A part of a name, email, phone or external id.")] = None,
    limit: Limit = 50,
    after: Annotated[int, typer.Option(min=0, help="Only ids after this one.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List customers."""

    async def page() -> list[Customer]:
        async with records() as engine, engine.connect() as db:
            return await customers.list_page(db, after=after, limit=limit, search=search)

    found = run(page())
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
def show(customer: Reference, limit: Limit = 200, as_json: AsJson = False) -> None:
    """Show one customer and everything that happened, the newest last."""

    async def load() -> tuple[Customer, list[Consent], list[TimelineEntry]]:
        async with records(of) as engine, engine.connect() as db:
            found = await customers.find(db, customer)
            said = await consents.history(db, found.id)
            return found, said, await timeline(db, found.id, limit=limit)

    of = settings()
    person, said, entries = run(load())
    if as_json:
        print_json({"customer": person, "consents": said, "timeline": entries})
        return
    clock = Clock(of)
    out.print(portrait(person, said, load_fields(of.definitions / "fields.yaml"), clock))
    print_timeline(entries, clock)


def portrait(person: Customer, said: list[Consent], fields: Fields, clock: Clock) -> Table:
    """Who somebody is, in a few lines."""
    latest = {consent.channel: consent.granted for consent in said}
    facts = {
        "email": f"{person.email} {_consent(latest.get('email'))}" if person.email else None,
        "phone": f"{person.phone} {_consent(latest.get('sms'))}" if person.phone else None,
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
        case "entered":
            said = [f"version {detail.get('version')}, by {detail.get('source')}"]
        case _:
            said = [detail.get("because") or ""]
    return "; ".join(part for part in said if part)


def _consent(granted: bool | None) -> str:
    return {True: "(consent given)", False: "(consent withdrawn)", None: "(no consent)"}[granted]
