"""`customers merge`, `customers unmerge`: one person who has two records, and two who have one."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.errors import WaymarkError
from records.people import customers, merging
from records.people.customers import Customer
from workers.commands.going_on import foundation
from workers.commands.shared import AsJson, person, run
from workers.commands.standing import Because
from workers.commands.terminal import notice, out, print_json

app = typer.Typer()

_NUMBER = re.compile(r"\d{1,18}")


@app.command("merge")
def merge(
    kept: Annotated[str, typer.Argument(help="The customer who is kept: id, external id, email or phone.")],
    gone: Annotated[str, typer.Argument(help="The customer who becomes part of the first.")],
    because: Because = None,
    prefer_newer: Annotated[
        bool, typer.Option("--prefer-newer", help="Where both have a field, take that of who was changed last.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make one customer of two: both histories, names, consents (the stricter stands), runs, tasks and points."""

    async def work() -> tuple[int, Customer, int]:
        async with foundation(lazy=True) as parts:
            engine = parts.engine
            one, other = await _known(engine, kept), await _known(engine, gone)
            if one == other and kept.strip() != gone.strip():
                raise merging.NotMerged(
                    f"{kept} and {gone} are one customer already, {one}: nothing is left to do.",
                    hint=f"`waymark customers show id:{one}` shows all names of it.",
                )
            done = await parts.merging.merge(
                one, other, by=person(), because=because, now=datetime.now(UTC), prefer_newer=prefer_newer
            )
            async with engine.connect() as db:
                return done, await customers.get(db, one), other

    number, now, other = run(work())
    if as_json:
        print_json({"merge": number, "kept": now.id, "gone": other, "customer": now})
        return
    out.print(f"Customer {other} is part of customer {now.id}, {escape(now.name)}, by merge {number}.")
    notice(f"  If that was wrong: `waymark customers unmerge {number}`")


@app.command("unmerge")
def unmerge(
    which: Annotated[
        str,
        typer.Argument(
            metavar="MERGE", help="The merge's number; or a customer, written id:7, by external id, email or phone."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Undo a merge: both customers as they were. What came since stays with the one who was kept."""

    async def work() -> tuple[merging.Merge, Customer, Customer]:
        async with foundation(lazy=True) as parts:
            engine = parts.engine
            done = await parts.merging.unmerge(await _merge_of(engine, which), by=person(), now=datetime.now(UTC))
            async with engine.connect() as db:
                return done, await customers.get(db, done.kept_id), await customers.get(db, done.gone_id)

    done, kept, gone = run(work())
    if as_json:
        print_json({"merge": done.id, "kept": kept, "gone": gone})
        return
    names = [f"customer {one.id}, {escape(one.name)}" for one in (kept, gone)]
    out.print(f"Merge {done.id} is undone: there are {names[0]}, and {names[1]}, again.")


async def _known(engine: AsyncEngine, reference: str) -> int:
    """The customer of this very number, also one who was merged away: then the records say so; else whom it names."""
    async with engine.connect() as db:
        found = await customers.find(db, reference)
        number = reference.strip().removeprefix("id:")
        if _NUMBER.fullmatch(number) and int(number) != found.id:
            gone = [one for one in await merging.listing(db, found.id) if one.undone_at is None]
            if int(number) in {one.gone_id for one in gone}:
                return int(number)
        return found.id


async def _merge_of(engine: AsyncEngine, which: str) -> int:
    async with engine.connect() as db:
        if _NUMBER.fullmatch(which.strip()) and await merging.find(db, int(which)) is not None:
            return int(which)
        last = await merging.last(db, await _known(engine, which))
    if last is None:
        raise WaymarkError(
            f"Nothing was merged that {which!r} is a part of.", hint="`waymark customers show CUSTOMER` lists merges."
        )
    return last.id
