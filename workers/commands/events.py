"""`events send`: one thing that happened to one customer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from activities.intake.incoming import read_amount, read_cell, read_moment, read_name
from journeys.errors import WaymarkError
from records.people import customers
from workers.commands.going_on import AWAY, foundation
from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import notice, print_json

if TYPE_CHECKING:
    from activities.entering.audience import Routed

Read = TypeVar("Read")
app = typer.Typer()


@app.command("send")
def send(
    customer: Annotated[str, typer.Argument(help="Id, external id, email or phone.", metavar="CUSTOMER")],
    name: Annotated[str, typer.Argument(help="Such as order.placed.", metavar="NAME")],
    value: Annotated[str | None, typer.Option(help="What it was worth.")] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", help="A property; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When; without a zone: the workspace's. Default: now.", metavar="TIME")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The same key again changes nothing.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send an event: it is kept on the customer, begins journeys and wakes those that wait for it."""
    now = datetime.now(UTC)
    name = _read("NAME", read_name, name)
    worth = None if value is None else _read("--value", read_amount, value)
    zone = ZoneInfo(settings().workspace_time_zone)
    moment = now if at is None else _read("--at", lambda text: read_moment(text, now, zone), at)
    routed = run(_send(customer, name, moment, key, None if worth is None else float(worth), _said(properties or [])))
    if as_json:
        print_json(
            {
                "event": routed.event.id if routed else None,
                "duplicate": routed is None,
                "enrolled": [one.journey for one in routed.enrolled] if routed else [],
                "woken": [one.journey for one in routed.woken] if routed else [],
                "complete": routed is None or routed.away is None,
            }
        )
    elif routed is None:
        notice(f"An event with the key {key!r} is there already; nothing changed.")
    elif routed.away is not None:
        notice(f"Event {routed.event.id} {name} is stored. {AWAY}")
    else:
        began = ", ".join(one.journey for one in routed.enrolled) or "no journey"
        woke = ", ".join(one.journey for one in routed.woken) or "none"
        notice(f"Event {routed.event.id} {name}: began {began}; woke {woke}.")


async def _send(
    reference: str, name: str, at: datetime, key: str | None, value: float | None, properties: dict[str, Any]
) -> Routed | None:
    async with foundation(lazy=True) as parts:
        async with parts.engine.connect() as db:
            customer = await customers.find(db, reference)
        return await parts.audience.ingest(
            customer.id, name, occurred_at=at, received_at=datetime.now(UTC), key=key, value=value,
            properties=properties,
        )  # fmt: skip


def _read(what: str, read: Callable[[str], Read], text: str) -> Read:
    """A value as it is meant. Raises WaymarkError that names the option."""
    try:
        return read(text)
    except ValueError as error:
        raise WaymarkError(f"{what}: {error}") from None


def _said(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise WaymarkError(f"--property {item!r} is not NAME=VALUE.")
        found[name] = read_cell(text)
    return found
