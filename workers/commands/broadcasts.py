"""`broadcasts`: one message to many, from the look ahead to what came of it."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live

from activities.broadcasts import inspection
from activities.broadcasts.broadcast_report import Report, report
from activities.intake.contacts import read_email, read_phone
from activities.messages.rendering import Templates
from journeys import segments as segment_files
from journeys.broadcast_files import Folder, LoadedBroadcast, load_all
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.nearest import unknown_word
from journeys.source import InvalidFile, Problem
from journeys.timing import require_aware
from records.messages import broadcasts
from records.messages.broadcasts import OPEN, BroadcastRow
from records.people import customers
from workers.commands.broadcast_views import drawn, foreseen, worded
from workers.commands.going_on import composition, foundation
from workers.commands.shared import AsJson, person, records, run, settings
from workers.commands.terminal import Clock, notice, out, print_json, print_lines
from workers.commands.terminal import table as plain_table

if TYPE_CHECKING:
    from activities.broadcasts.proofs import Preview, Wording

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="A broadcast of definitions/broadcasts.", metavar="NAME")]
Started = Annotated[str, typer.Argument(help="A broadcast that was started.", metavar="NAME")]
As = Annotated[str | None, typer.Option("--as", help="Fill it in for this customer.", metavar="CUSTOMER")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the broadcasts that were started, the newest first, and those of the files that were not."""

    async def look() -> list[BroadcastRow]:
        async with records() as engine, engine.connect() as db:
            return await broadcasts.listing(db)

    found, folder = run(look()), _folder()
    lines: list[dict[str, Any]] = [
        {"broadcast": one.name, "title": one.broadcast.title, "status": one.status, "starts_at": one.starts_at}
        for one in found
    ]
    known = {one.name for one in found}
    lines += [
        {"broadcast": one.name, "title": one.broadcast.title, "status": "file", "starts_at": None}
        for one in folder.broadcasts.values()
        if one.name not in known
    ]
    if as_json:
        print_lines(lines)
    else:
        clock = Clock(settings())
        shown = plain_table("broadcast", "title", "status", "starts")
        for line in lines:
            status = "not started" if line["status"] == "file" else line["status"]
            shown.add_row(line["broadcast"], line["title"], status, clock(line["starts_at"]))
        out.print(shown)
    if folder.problems:
        raise _invalid(folder.problems)


@app.command("preview")
def preview(name: Name, as_: As = None, as_json: AsJson = False) -> None:
    """Show who would get a broadcast now, who is left out and why, and how it looks; nothing is sent."""
    of = _file(name).broadcast

    async def look() -> Preview:
        async with composition() as parts:
            example = None
            if as_ is not None:
                async with parts.engine.connect() as db:
                    example = await customers.find(db, as_)
            return await parts.proofs.preview(of, datetime.now(UTC), as_=example)

    seen = run(look())
    if as_json:
        waves = [{"at": at, "count": count} for at, count in seen.waves.items()]
        print_json({**asdict(seen), "waits": dict(seen.waits), "left_out": dict(seen.left_out), "waves": waves})
        return
    notice(f"{seen.broadcast} means {seen.meant:,} customers.")
    out.print(foreseen(seen, Clock(settings())))
    if seen.wordings:
        first = seen.wordings[0].message
        notice(f"To {first.name or first.address}, in {first.locale}:")
        out.print(worded(seen.wordings), soft_wrap=True)


@app.command("test")
def try_out(
    name: Name,
    to: Annotated[str, typer.Option("--to", help="The address, or the phone number for a text.", metavar="ADDRESS")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Send a broadcast's message to one address, every wording once. Its links concern nobody."""
    of = _file(name).broadcast
    try:
        address = read_email(to) if of.channel == "email" else read_phone(to)
    except ValueError as error:
        raise WaymarkError(str(error)) from None

    async def send() -> list[Wording]:
        async with composition(sending=True) as parts:
            now = datetime.now(UTC)
            example = await parts.proofs.example(of, now, as_)
            return await parts.proofs.test(of, address, example, now)

    sent = run(send())
    if as_json:
        print_lines(
            {"to": one.message.address, "arm": one.arm, "subject": one.message.subject, "text": one.message.text,
             "locale": one.message.locale, "segments": one.segments, "key": one.message.key}
            for one in sent
        )  # fmt: skip
        return
    for one in sent:
        notice(f"Sent to {one.message.address}: {one.message.subject or one.message.text}")


@app.command("start")
def start(
    name: Name,
    at: Annotated[datetime | None, typer.Option(help="When it begins, with its zone; else as its file says.",
                                                formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"])] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Start a broadcast. It goes once under its name."""
    loaded = _file(name)

    async def begin() -> BroadcastRow:
        async with foundation() as parts:
            moment = require_aware(at) if at is not None else None
            return await parts.studio.start(loaded, at=moment, by=person(), now=datetime.now(UTC))

    _said(run(begin()), as_json)


@app.command("pause")
def pause(name: Started, as_json: AsJson = False) -> None:
    """Pause a broadcast: what is leaving leaves, then nothing more until it is resumed."""
    _steer(name, "pause", as_json)


@app.command("resume")
def resume(
    name: Started,
    regardless: Annotated[
        bool, typer.Option("--regardless", help="Go on whatever is refused; who was refused gets it no more.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Resume a broadcast from exactly where it stands."""
    _steer(name, "resume", as_json, regardless=regardless)


@app.command("cancel")
def cancel(name: Started, as_json: AsJson = False) -> None:
    """End a broadcast: what is leaving leaves, nobody else gets it."""
    _steer(name, "cancel", as_json)


@app.command("winner")
def winner(
    name: Started,
    arm: Annotated[str, typer.Argument(help="The wording that the rest get.", metavar="ARM")],
    as_json: AsJson = False,
) -> None:
    """Pick the winner of a trial instead of waiting for it."""

    async def pick() -> BroadcastRow:
        async with foundation(lazy=True) as parts:
            return await parts.studio.pick(name, arm, by=person(), now=datetime.now(UTC))

    _said(run(pick()), as_json)


@app.command("show")
def show(
    name: Started,
    follow: Annotated[bool, typer.Option("--follow", help="Draw it anew every second until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a broadcast stands: sent, left out and why, rate, what is left, and its arms."""

    async def look() -> Report:
        async with records() as engine, engine.connect() as db:
            return await report(db, name, datetime.now(UTC))

    found = run(look())
    if as_json:
        print_json(found)
        return
    if not follow or not out.is_terminal:
        out.print(drawn(found, Clock(settings())))
        return
    clock = Clock(settings())
    with Live(drawn(found, clock), console=out, refresh_per_second=4) as live:
        while found.status in OPEN:
            time.sleep(1)
            found = run(look())
            live.update(drawn(found, clock))


def _steer(name: str, to: str, as_json: bool, *, regardless: bool = False) -> None:
    async def work() -> BroadcastRow:
        async with foundation(lazy=True) as parts:
            return await parts.studio.steer(name, to, datetime.now(UTC), regardless=regardless)

    _said(run(work()), as_json)


def _said(row: BroadcastRow, as_json: bool) -> None:
    if as_json:
        print_json(replace(row, progress={name: told for name, told in row.progress.items() if name == "decision"}))
        return
    starts = f", starts {Clock(settings())(row.starts_at)}" if row.status == "planned" else ""
    won = f", {row.winner} won" if row.winner is not None else ""
    notice(f"{row.name} is {row.status}{starts}{won}. `waymark broadcasts show {row.name}` says how it stands.")


def _folder() -> Folder:
    """The files of definitions/broadcasts; a message that cannot be written is a problem of the file that names it."""
    of = settings()
    fields = load_fields(of.definitions / "fields.yaml")
    named = {one.name for one in segment_files.load_all(of.definitions / "segments", fields)}
    folder = load_all(of.definitions / "broadcasts", fields, named)
    templates = Templates(of.templates, of.workspace_locale)
    wrong = {name: inspection.problems(one, templates, fields) for name, one in folder.broadcasts.items()}
    sound = {name: one for name, one in folder.broadcasts.items() if not wrong[name]}
    return Folder(sound, [*folder.problems, *(problem for found in wrong.values() for problem in found)])


def _file(name: str) -> LoadedBroadcast:
    """A broadcast of the files. What is wrong with others is nothing to it."""
    folder = _folder()
    if name in folder.broadcasts:
        return folder.broadcasts[name]
    if folder.problems:
        raise _invalid(folder.problems)
    raise WaymarkError(
        unknown_word(name, sorted(folder.broadcasts), "is no broadcast of definitions/broadcasts"),
        hint="Write definitions/broadcasts/NAME.yaml first.",
    )


def _invalid(problems: list[Problem]) -> InvalidFile:
    error = InvalidFile(problems)
    error.hint = "Correct the file; `waymark broadcasts list` checks all of them."
    return error
