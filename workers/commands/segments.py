"""`segments`: who belongs together, from file to members."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from activities.membership import PublishedSegment, bring_into_force
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.nearest import unknown_word
from journeys.segments import LoadedSegment, load, load_all
from records import segments
from records.membership import Evaluated
from records.segments import Member, SegmentRow
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
from workers.composition import compose

app = typer.Typer(help="Segments: customers who belong together, and who they are now.", no_args_is_help=True)
SAMPLE = 10


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the segments in force, with how many members they have."""

    async def load_them() -> list[SegmentRow]:
        async with records() as engine, engine.connect() as db:
            return await segments.listing(db)

    found = run(load_them())
    if as_json:
        print_lines(found)
        return
    clock = Clock(settings())
    shown = table("segment", "title", "members", "worked out", right=("members",))
    for one in found:
        shown.add_row(one.name, one.title, f"{one.members:,}", clock(one.evaluated_at))
    out.print(shown)
    if not found:
        notice("No segment is in force yet: `waymark segments publish`.")


@app.command("publish")
def publish(as_json: AsJson = False) -> None:
    """Bring the segments of definitions/segments into force; within five minutes they have their members.

    One whose file is gone is removed; whoever was in it leaves it. One that a live journey names cannot go.
    """
    loaded = _loaded()

    async def write() -> list[PublishedSegment]:
        async with records() as engine, engine.begin() as db:
            return await bring_into_force(db, loaded, datetime.now(UTC))

    published = run(write())
    if as_json:
        print_lines(published)
        return
    for one in published:
        notice(f"{one.segment}: {one.became}")
    notice("Their members are worked out within five minutes; `waymark segments evaluate` does it now.")


@app.command("preview")
def preview(
    segment: Annotated[str, typer.Argument(help="A segment's name, or its file.", metavar="SEGMENT|FILE")],
    limit: Limit = SAMPLE,
    as_json: AsJson = False,
) -> None:
    """Show who would be in a segment as its file is now; nothing is changed, and no journey hears of it."""
    one = _file(segment)
    now = datetime.now(UTC)

    async def look() -> tuple[int, list[Member], int]:
        async with records() as engine, engine.connect() as db:
            known = {row.name: row.members for row in await segments.listing(db)}
            where = one.segment.where
            found = await segments.meeting(db, where, now, limit=limit)
            return await segments.count(db, where, now), found, known.get(one.name, 0)

    count, some, present = run(look())
    if as_json:
        print_json({"segment": one.name, "would_have": count, "members": present, "some": some})
        return
    notice(f"{one.segment.title}: {count:,} customers meet it now; {present:,} are in it.")
    _show_members(some, since=False)


@app.command("evaluate")
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all in force.", metavar="[SEGMENTS]")] = None,
    as_json: AsJson = False,
) -> None:
    """Work out now who belongs to segments, instead of within five minutes; journeys hear who entered and left."""

    async def work() -> list[Evaluated]:
        async with compose(settings(), channels={}, lazy=True) as of:
            return await of.membership.evaluate(datetime.now(UTC), names or ())

    found = run(work())
    if as_json:
        print_lines(found)
        return
    _show(found)


@app.command("members")
def members(
    segment: Annotated[str, typer.Argument(help="A segment in force.", metavar="SEGMENT")],
    limit: Limit = 100,
    after: Annotated[int, typer.Option(min=0, help="Only customers with a higher id.", metavar="ID")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the members of a segment, by id, and since when each belongs to it."""

    async def load_them() -> list[Member]:
        async with records() as engine, engine.connect() as db:
            return await segments.members(db, segment, after=after, limit=limit)

    found = run(load_them())
    if as_json:
        print_lines(found)
        return
    _show_members(found, since=True)


def _loaded() -> list[LoadedSegment]:
    folder = settings().definitions
    return load_all(folder / "segments", load_fields(folder / "fields.yaml"))


def _file(segment: str) -> LoadedSegment:
    path = Path(segment)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return load(path, load_fields(settings().definitions / "fields.yaml"))
    known = {one.name: one for one in _loaded()}
    if segment not in known:
        raise WaymarkError(
            unknown_word(segment, sorted(known), "is no segment of definitions/segments"),
            hint="Give the name of one, or the path of a file.",
        )
    return known[segment]


def _show(found: list[Evaluated]) -> None:
    shown = table("segment", "entered", "left", right=("entered", "left"))
    for one in found:
        shown.add_row(one.segment, f"{one.entered:,}", f"{one.left:,}")
    out.print(shown)


def _show_members(found: list[Member], *, since: bool) -> None:
    clock = Clock(settings())
    shown = table("id", "external id", "email", *(["since"] if since else []), right=("id",))
    for one in found:
        last = [clock(one.since)] if since else []
        shown.add_row(str(one.customer_id), one.external_id or "—", one.email or "—", *last)
    out.print(shown)
