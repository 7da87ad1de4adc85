"""`waymark demo`: the main job on the real engine, 45 days in a minute or two, with something to look at after it."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from activities.figures.segments import bring_into_force
from activities.intake.importing import import_customers
from activities.publishing import load_all, publish
from journeys import segments
from journeys.fields import load_fields
from journeys.identities import load_identity
from records import reports
from workers import running
from workers.commands.importing import show as show_import
from workers.commands.shared import settings
from workers.commands.terminal import err, notice, out
from workers.composition import Composition, compose
from workers.content import shipped
from workers.databases import database
from workers.display import Progress as Starting
from workers.display import Stopping, show_addresses
from workers.playing import Player, read_behaviour, sample_ids
from workers.server.postgres import EmbeddedPostgres
from workers.settings import Settings, variable
from workers.stack import running_stack
from workers.summary import summary

DAYS = 45
NOT_OURS = ("database_url", "smtp_url", "twilio_account_sid", "twilio_auth_token", "twilio_base_url", "twilio_from",
            "console_url", "secret")  # fmt: skip
"""Settings that name servers of the real workspace, or open them."""


def run(*, home: Path | None, once: bool) -> None:
    """Run the demo in a folder of its own, which every demo begins anew; your own data are not touched."""
    _leave_real_servers_alone()
    base = settings(home=home)
    of = base.model_copy(
        update={
            "home": base.home / "demo",
            "definitions": shipped("definitions"),
            "templates": shipped("templates"),
            "workspace_name": "Kettlewick Coffee",
            "workspace_address": "21 Ropewalk Lane, Singapore 059900",
            "workspace_url": "https://kettlewick.example",
            "mail_from": "Kettlewick Coffee <hello@kettlewick.example>",
        }
    )
    asyncio.run(_run(of, once=once))


async def _run(of: Settings, *, once: bool) -> None:
    began = time.monotonic()
    starting, stopping = Starting(), Stopping()
    try:
        await asyncio.to_thread(_begin_anew, of.home)
        async with running_stack(of, starting, durable=False) as stack:
            async with database(of, ping=False) as engine, compose(of, engine=engine, channels={}) as parts:
                start = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
                await _prepare(parts, of, start)
                await _play(parts, start)
                await summary(parts, of, start, DAYS)
            notice(f"{DAYS} days in {time.monotonic() - began:.0f} s, start and all.")
            assert stack.running is not None
            if not once:
                show_addresses(stack.running)
                err.print(f"Look closer in another terminal:  waymark --home {of.home} customers list", soft_wrap=True)
                await stack.watch()
    except asyncio.CancelledError:
        if not stopping.asked:
            raise
    finally:
        starting.stop()
        stopping.end()


def _leave_real_servers_alone() -> None:
    """Sample contacts must not end up in a real database or a real cluster, and nothing is sent by a real relay."""
    for name in list(os.environ):
        if name.startswith("TEMPORAL_") or name in map(variable, NOT_OURS):
            del os.environ[name]
    os.environ["TEMPORAL_CONFIG_FILE"] = os.devnull


def _begin_anew(home: Path) -> None:
    """Forget the last demo. A demo that runs is left alone.

    Raises:
        AlreadyRunningError: one does.
    """
    with running.owning(home):
        server = EmbeddedPostgres(home / "postgres")
        if server.running:
            # A demo that was killed left it; it must not lose its files under way.
            server.start()
            server.stop()
    shutil.rmtree(home, ignore_errors=True)


async def _prepare(parts: Composition, of: Settings, start: datetime) -> None:
    samples = shipped("samples")
    fields = load_fields(of.definitions / "fields.yaml")
    contacts = samples / "customers.csv"
    rules = load_identity(of.definitions / "identity.yaml")
    report = await import_customers(
        parts.engine, contacts, fields, now=start, relative_to=start.date(), rules=rules
    )  # fmt: skip
    show_import(report, contacts)
    async with parts.engine.begin() as db:
        await bring_into_force(db, segments.load_all(of.definitions / "segments", fields), start)
        published = await publish(db, load_all(of.definitions / "journeys", fields), now=start, by="demo")
    out.print("Published: " + ", ".join(f"{one.title} (version {one.version})" for one in published), soft_wrap=True)


async def _play(parts: Composition, start: datetime) -> None:
    behaviour = read_behaviour(shipped("samples") / "events.csv")
    player = Player(parts, start, behaviour, await sample_ids(parts))
    with _days() as view:
        for day in range(DAYS + 1):
            await player.until(timedelta(days=day))
            await parts.valuing.refresh_all(start + timedelta(days=day))
            # What turns have changed is seen here as by the clock: a turn may end after what its event has led to.
            await parts.membership.evaluate(start + timedelta(days=day))
            async with parts.engine.connect() as db:
                so_far = await reports.overview(db)
            view(
                day,
                f"{start + timedelta(days=day):%a %d %b}",
                f"{so_far.sent:,} sent, {so_far.clicked:,} clicked, {so_far.qualified:,} qualified, "
                f"{so_far.open_tasks:,} tasks open",
            )
    impossible = len(player.played.impossible)
    left_out = f"; {impossible} could not happen (no such message or task)" if impossible else ""
    notice(f"{player.played.events:,} things happened that contacts and sales did{left_out}.")


@contextmanager
def _days() -> Iterator[Callable[[int, str, str], None]]:
    columns = (
        TextColumn("Day {task.completed:>2} of {task.total}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[date]}  {task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        bar = progress.add_task("days", total=DAYS, date="", figures="")

        def show(day: int, date: str, figures: str) -> None:
            progress.update(bar, completed=day, date=date, figures=figures)
            if not err.is_terminal and day % 15 == 0:
                notice(f"Day {day} of {DAYS}, {date}: {figures}")

        yield show
