"""`events send` and `enrol`: making journeys happen by hand."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from activities.audience import Routed
from console.api import EVENT_NAME
from journeys.errors import WaymarkError
from journeys.fields import read_datetime, read_number
from records import customers
from workers.commands.shared import AsJson, audience, notice, print_json, print_lines, run

AWAY = "Temporal does not answer now; journeys hear of it within a minute of its return."

events = typer.Typer(help="Events of customers.", no_args_is_help=True)


@events.command("send")
def send(
    customer: Annotated[str, typer.Argument(help="Id, external id, email or phone.", metavar="CUSTOMER")],
    name: Annotated[str, typer.Argument(help="Such as order.placed.", metavar="NAME")],
    value: Annotated[float | None, typer.Option(help="What it was worth.")] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", help="A property; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When, with its time zone. Default: now.", metavar="TIME")] = None,
    key: Annotated[str | None, typer.Option(help="The same key again changes nothing.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send an event: it is kept on the customer, begins journeys and wakes those that wait for it."""
    if not EVENT_NAME.match(name):
        raise WaymarkError(f"{name!r} is no event.", hint="Small letters with dots, such as order.placed.")
    moment = datetime.now(UTC)
    if at is not None:
        try:
            moment = read_datetime(at).astimezone(UTC)
        except ValueError as error:
            raise WaymarkError(f"--at {error}") from None
    routed = run(_send(customer, name, moment, key, value, _properties(properties or [])))
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
    async with audience(lazy=True) as (engine, people):
        async with engine.connect() as db:
            customer = await customers.find(db, reference)
        return await people.ingest(
            customer.id, name, occurred_at=at, received_at=datetime.now(UTC), key=key, value=value,
            properties=properties,
        )  # fmt: skip


def _properties(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise WaymarkError(f"--property {item!r} is not NAME=VALUE.")
        try:
            found[name] = text == "true" if text in ("true", "false") else read_number(text)
        except ValueError:
            found[name] = text
    return found


def enrol(
    journey: Annotated[str, typer.Argument(help="The journey's name.", metavar="JOURNEY")],
    references: Annotated[
        list[str], typer.Argument(help="Ids, external ids, emails or phones.", metavar="CUSTOMER...")
    ],
    as_json: AsJson = False,
) -> None:
    """Enter customers into a journey."""
    answers = run(_enrol(journey, references))
    failed = [answer for answer in answers if "error" in answer]
    if as_json:
        print_lines(answers)
    else:
        for answer in answers:
            notice(f"{answer['customer']}: {answer.get('error') or 'run ' + str(answer['enrolment'])}")
        if any(answer.get("started") is False for answer in answers):
            notice(AWAY)
    if failed:
        raise typer.Exit(1)


async def _enrol(journey: str, references: list[str]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    async with audience(lazy=True) as (engine, people):
        for reference in references:
            try:
                async with engine.connect() as db:
                    customer = await customers.find(db, reference)
                entered = await people.router.enrol(customer.id, journey, source="command", now=datetime.now(UTC))
                started = entered.launched_at is not None
                answers.append(
                    {"customer": reference, "enrolment": entered.id, "version": entered.version, "started": started}
                )
            except WaymarkError as error:
                if len(references) == 1:
                    raise
                answers.append({"customer": reference, "error": error.message})
    return answers
