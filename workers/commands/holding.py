"""`pause`, `resume`, `stop`, `holds`: one contact, one journey, one channel, or everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operating.scopes import Preview, Scope, Way, preview, scope, way_of, window_of
from journeys.errors import WaymarkError
from records.runs import holds as records_of_holds
from records.runs.holds import Hold
from workers.commands.going_on import foundation
from workers.commands.shared import AsJson, person, records, run, settings
from workers.commands.standing import Because
from workers.commands.terminal import Clock, err, notice, out, print_json, print_lines, table

if TYPE_CHECKING:
    from activities.operating.holding import Told

app = typer.Typer()

Journey = Annotated[str | None, typer.Option(help="This journey.", metavar="NAME")]
Customer = Annotated[str | None, typer.Option(help="This customer.", metavar="REF")]
Channel = Annotated[str | None, typer.Option(help="This channel: email, sms or webhook.", metavar="NAME")]
Everything = Annotated[bool, typer.Option("--everything", help="All journeys, customers and channels.")]


@app.command("pause")
def pause(
    journey: Journey = None,
    customer: Customer = None,
    channel: Channel = None,
    everything: Everything = False,
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """Hold a journey, a customer, a channel, or everything: nobody is ejected, nothing is sent, exits still count."""
    _one_of(journey, customer, channel, everything)

    async def lay() -> tuple[Scope, bool, int]:
        async with records() as engine:
            of = await _scope(engine, journey, customer, channel)
            now = datetime.now(UTC)
            async with engine.begin() as db:
                laid = await records_of_holds.hold(db, of.kind, of.name, by=person(), because=because, now=now)
                return of, laid, await records_of_holds.count_open(db, of.kind, of.name)

    of, laid, runs = run(lay())
    if as_json:
        print_json({"kind": of.kind, "name": of.name, "changed": laid, "runs": runs})
    elif not laid:
        notice(f"{_capital(of.title)} is paused already; nothing changed.")
    else:
        about = "" if of.kind == "channel" else f"; {_runs(runs)} under way stand still at their next move"
        notice(f"{_capital(of.title)} is paused{about}. `waymark resume` lets it go on.")


@app.command("resume")
def resume(
    journey: Journey = None,
    customer: Customer = None,
    channel: Channel = None,
    everything: Everything = False,
    overdue: Annotated[
        str,
        typer.Option(
            help="What is overdue goes on spread over a time (spread); everything moves later by the length of the "
            "pause (shift); overdue messages are not sent (skip).",
            metavar="spread|shift|skip",
        ),
    ] = "spread",
    over: Annotated[
        str, typer.Option(help="With spread: over how long, such as 30m or 2h.", metavar="DURATION")
    ] = "1h",
    because: Because = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let go on what was paused, or send again on a channel that was stopped."""
    _one_of(journey, customer, channel, everything)
    way, window = way_of(overdue), window_of(over)

    async def release() -> tuple[Scope, Preview, Told | None]:
        if dry_run:
            async with records() as engine:
                of = await _scope(engine, journey, customer, channel)
                async with engine.connect() as db:
                    return of, await preview(db, of), None
        async with foundation(lazy=True) as parts:
            of = await _scope(parts.engine, journey, customer, channel)
            with err.status("Resuming ...") as status:
                found, told = await parts.holding.resume(
                    of, way, over=window, by=person(), because=because, now=datetime.now(UTC),
                    progress=lambda done, total: status.update(f"Told {done:,} of {total:,} runs"),
                )  # fmt: skip
            return of, found, told

    of, found, told = run(release())
    if as_json:
        print_json({**_plain(of, found), "way": way, "dry_run": dry_run, "ordered": told.ordered if told else 0,
                    "complete": told is None or told.away is None})  # fmt: skip
        return
    length = datetime.now(UTC) - found.hold.since
    notice(f"{_capital(of.title)} {'would go' if dry_run else 'goes'} on. {becomes(found, way, window, length)}")
    if found.still_held:
        notice(f"{_runs(found.still_held)} stay paused: another pause holds them (`waymark holds`).")
    if told is not None:
        _tell_away(told)


@app.command("stop")
def stop(
    journey: Journey = None,
    customer: Customer = None,
    channel: Channel = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed with --everything.")] = False,
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """End what is under way. A journey takes nobody in any more; on a channel nothing is sent until it is resumed."""
    _one_of(journey, customer, channel, everything)
    if everything and not yes:
        raise WaymarkError(
            "Stopping everything ends every run of every journey, for good.",
            hint="Say so with --yes, or hold them with `waymark pause --everything`.",
        )

    async def end() -> tuple[Scope, Told]:
        async with foundation(lazy=True) as parts:
            of = await _scope(parts.engine, journey, customer, channel)
            with err.status("Stopping ...") as status:
                told = await parts.holding.stop(
                    of, by=person(), because=because, now=datetime.now(UTC),
                    progress=lambda done, total: status.update(f"Told {done:,} of {total:,} runs"),
                )  # fmt: skip
            return of, told

    of, told = run(end())
    if as_json:
        print_json({"kind": of.kind, "name": of.name, "ordered": told.ordered, "complete": told.away is None})
        return
    ending = f"{_runs(told.ordered)} end{'s' if told.ordered == 1 else ''} with the outcome stopped."
    said = {
        "journey": f"It takes nobody in any more; {ending}",
        "customer": f"{_capital(ending)} `waymark pause --customer id:{of.name}` holds new ones too.",
        "channel": "Messages on it are skipped until `waymark resume`.",
        "all": _capital(ending),
    }
    notice(f"{_capital(of.title)} is stopped. {said[of.kind]}")
    _tell_away(told)


@app.command("holds")
def holds(as_json: AsJson = False) -> None:
    """List what is paused or stopped."""

    async def load() -> list[Hold]:
        async with records() as engine, engine.connect() as db:
            return await records_of_holds.listing(db)

    found = run(load())
    if as_json:
        print_lines(found)
        return
    if not found:
        notice("Nothing is paused or stopped.")
        return
    clock = Clock(settings())
    shown = table("what", "name", "is", "since", "by", "why")
    for one in found:
        state = "paused" if one.mode == "pause" else "stopped"
        name = "everything" if one.kind == "all" else one.name
        shown.add_row(
            one.kind, escape(name), state, clock(one.since), escape(one.by), escape(one.because or ""),
        )  # fmt: skip
    out.print(shown)


def becomes(found: Preview, way: Way, over: timedelta, length: timedelta) -> str:
    """What a resumption makes of the runs that it finds, in words."""
    if found.hold.mode == "stop":
        return "Messages are sent again; those that were skipped stay skipped."
    if way == "shift":
        moved = f"Whatever the {_runs(found.open)} wait for comes {_length(length)} later"
        return f"{moved}, {found.overdue:,} overdue among them." if found.overdue else f"{moved}; nothing is overdue."
    if not found.overdue:
        return "Nothing is overdue."
    counts = {"at a message": found.messages, "at a wait": found.waits, "at the entry": found.entries}
    where = ", ".join(f"{count:,} {place}" for place, count in counts.items() if count)
    said = f"{_runs(found.overdue)} {'is' if found.overdue == 1 else 'are'} overdue ({where})"
    if way == "skip":
        return f"{said}: overdue messages are skipped, the rest goes on at once."
    return f"{said}: they go on spread over {_length(over)}."


async def _scope(engine: AsyncEngine, journey: str | None, customer: str | None, channel: str | None) -> Scope:
    async with engine.connect() as db:
        return await scope(db, journey=journey, customer=customer, channel=channel)


def _one_of(journey: str | None, customer: str | None, channel: str | None, everything: bool) -> None:
    if sum((journey is not None, customer is not None, channel is not None, everything)) != 1:
        raise WaymarkError(
            "Say what: one journey, customer or channel, or everything.",
            hint="One of --journey NAME, --customer REF, --channel NAME, --everything.",
        )


def _plain(of: Scope, found: Preview) -> dict[str, object]:
    return {
        "kind": of.kind, "name": of.name, "mode": found.hold.mode, "since": found.hold.since, "overdue": found.overdue,
        "messages": found.messages, "waits": found.waits, "entries": found.entries,
        "still_held": found.still_held, "open": found.open,
    }  # fmt: skip


def _tell_away(told: Told) -> None:
    if told.away is not None:
        notice("Temporal does not answer now; the runs hear of it within a minute of its return.")


def _length(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in
             ((days, "day"), (hours, "hour"), (minutes, "minute")) if count]  # fmt: skip
    return " ".join(parts[:2]) or "less than a minute"


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]
