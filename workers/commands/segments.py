"""`segments`: who belongs together, from file to members."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from activities.figures.segments import PublishedSegment, bring_into_force
from journeys.conditions import Condition
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.nearest import unknown_word
from journeys.segments import LoadedSegment, arranged, known_stages, load, load_all, parse_condition
from records.audience import previews, segments
from records.audience.membership import Evaluated
from records.audience.previews import Preview
from records.audience.segments import Member, SegmentRow
from workers.commands.going_on import AWAY, foundation
from workers.commands.shared import AsJson, Limit, records, run, settings
from workers.commands.terminal import Clock, err, notice, out, print_json, print_lines, table
from workers.commands.worth import valuing

app = typer.Typer()
SAMPLE = 10
NONE = "No segment is in force yet: `waymark segments publish`."


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
        shown.add_row(one.name, one.title, f"{one.members:,}", clock(one.seen_at))
    out.print(shown)
    if not found:
        notice(NONE)


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
    segment: Annotated[
        str | None, typer.Argument(help="A segment's name, or its file.", metavar="[SEGMENT|FILE]")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="A condition instead, such as '{tag: vip}'.", metavar="CONDITION")
    ] = None,
    limit: Limit = SAMPLE,
    as_json: AsJson = False,
) -> None:
    """Show who would be in a segment as its file is now, who would come and go, and how the database finds them.

    Nothing is changed, and no journey hears of it.
    """
    if (segment is None) == (where is None):
        raise WaymarkError("Say what to preview.", hint="Name a segment, a file, or give a condition with --where.")
    condition, name = (_condition(where), None) if where is not None else _named(segment or "")
    now = datetime.now(UTC)

    async def look() -> Preview:
        async with records() as engine, engine.connect() as db:
            await valuing(engine).settle(0, now)
            return await previews.preview(db, condition, now, segment=name, limit=limit)

    found = run(look())
    if as_json:
        plan = {"lines": found.plan.lines, "tree": found.plan.tree}
        counts = {part: getattr(found, part) for part in ("count", "members", "entering", "leaving")}
        print_json({"segment": name, **counts, "sample": found.sample, "plan": plan})
        return
    notice(
        f"{found.count:,} customers meet it now; {found.members:,} are in it. "
        f"{found.entering:,} would enter, {found.leaving:,} would leave."
    )
    _show_members(found.sample, since=False)
    notice("How the database finds them:")
    for line in found.plan.lines:
        out.print(f"  {line}", markup=False, soft_wrap=True)


@app.command("evaluate")
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all in force.", metavar="[SEGMENTS]")] = None,
    full: Annotated[bool, typer.Option("--full", help="Ask everybody, not only who could have changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Work out now who belongs to segments, instead of within five minutes; journeys hear who entered and left.

    Where Temporal does not answer, or no server is named, the members are worked out all the same; journeys hear of
    it when there is one.
    """

    async def work() -> tuple[list[Evaluated], bool]:
        async with foundation(lazy=True) as of:
            now = datetime.now(UTC)
            await of.valuing.settle(0, now)
            with err.status("Asking who belongs to them ...") as status:

                def told(done: Evaluated, number: int, of_them: int) -> None:
                    if of_them > 1 and not as_json:
                        notice(f"{number} of {of_them}: {done.segment}")

                def carried(number: int) -> None:
                    status.update(f"{number:,} who entered or left looked at for journeys ...")

                done = await of.membership.evaluate(now, names or (), whole=full, told=told, carried=carried)
            async with of.engine.connect() as db:
                return done, bool(await segments.unrouted(db, limit=1))

    found, untold = run(work())
    if untold:
        notice(AWAY)
    if as_json:
        print_lines(found)
        return
    if not found:
        notice(NONE)
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
    if len(found) == limit:
        notice(f"There may be more: --after {found[-1].customer_id}")


def _loaded() -> list[LoadedSegment]:
    folder = settings().definitions
    return load_all(folder / "segments", load_fields(folder / "fields.yaml"))


def _named(segment: str) -> tuple[Condition, str]:
    """What a segment asks for, and its name: that of the folder, or of a file beside the others of the folder."""
    path = Path(segment)
    known = {one.name: one for one in _loaded()}
    if path.suffix in (".yaml", ".yml") or path.exists():
        folder = settings().definitions
        one = load(path, load_fields(folder / "fields.yaml"), known_stages(folder))
        arranged([*(other for name, other in known.items() if name != one.name), one])
    elif segment in known:
        one = known[segment]
    else:
        raise WaymarkError(
            unknown_word(segment, sorted(known), "is no segment of definitions/segments"),
            hint="Give the name of one, the path of a file, or a condition with --where.",
        )
    return one.segment.where, one.name


def _condition(text: str) -> Condition:
    """A condition that was typed in."""
    folder = settings().definitions
    known = {one.name for one in _loaded()}
    return parse_condition(text, "--where", load_fields(folder / "fields.yaml"), known, known_stages(folder))


def _show(found: list[Evaluated]) -> None:
    shown = table("segment", "entered", "left", "asked", right=("entered", "left", "asked"))
    for one in found:
        asked = "all" if one.asked is None else f"{one.asked:,}"
        shown.add_row(one.segment, f"{one.entered:,}", f"{one.left:,}", asked)
    out.print(shown)


def _show_members(found: list[Member], *, since: bool) -> None:
    clock = Clock(settings())
    shown = table("id", "external id", "email", *(["since"] if since else []), right=("id",))
    for one in found:
        last = [clock(one.since)] if since else []
        shown.add_row(str(one.customer_id), one.external_id or "—", one.email or "—", *last)
    out.print(shown)
