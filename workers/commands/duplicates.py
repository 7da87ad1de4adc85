"""`customers duplicates`: who may be one person, for a person to decide."""

from contextlib import suppress
from typing import Annotated

import typer
from rich.markup import escape

from activities.people.duplicates import Proposal, propose
from records.people import customers
from records.people.customers import Customer
from records.people.identities import UnknownCustomer
from workers.commands.shared import AsJson, records, run
from workers.commands.terminal import notice, out, print_lines, table

app = typer.Typer()


@app.command("duplicates")
def duplicates(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many pairs, the likeliest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Propose pairs of customers who may be one person, by similar names and addresses. Nothing is joined."""

    async def work() -> list[tuple[Proposal, Customer, Customer]]:
        async with records() as engine:
            proposals = await propose(engine, limit=limit, progress=_progress)
            found = []
            async with engine.connect() as db:
                for one in proposals:
                    with suppress(UnknownCustomer):  # merged or erased in the meantime
                        found.append((one, await customers.get(db, one.kept), await customers.get(db, one.gone)))
            return found

    found = run(work())
    if as_json:
        print_lines(
            {"score": one.score, "because": one.because, "kept": _brief(kept), "gone": _brief(gone)}
            for one, kept, gone in found
        )
        return
    shown = table("alike", "id", "customer", "id", "may be the same as", "because", right=("alike", "id"))
    for one, kept, gone in found:
        shown.add_row(
            f"{one.score:.0%}", str(kept.id), escape(_who(kept)), str(gone.id), escape(_who(gone)),
            escape("; ".join(one.because)),
        )  # fmt: skip
    out.print(shown)
    notice("If two are one: `waymark customers merge id:KEPT id:OTHER`" if found else "No two customers look like one.")


def _progress(read: int) -> None:
    if read % 100_000 == 0:
        notice(f"{read:,} customers read")


def _who(one: Customer) -> str:
    return ", ".join(dict.fromkeys(part for part in (one.name, one.email, one.phone) if part))


def _brief(one: Customer) -> dict[str, object]:
    names = ("id", "external_id", "email", "phone", "first_name", "last_name")
    return {name: getattr(one, name) for name in names}
