"""`enrol`: entering customers into journeys by hand."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from journeys.errors import WaymarkError
from records.people import customers
from workers.commands.going_on import AWAY, foundation
from workers.commands.shared import AsJson, run
from workers.commands.terminal import notice, print_lines

app = typer.Typer()


@app.command("enrol")
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
    async with foundation(lazy=True) as parts:
        for reference in references:
            try:
                async with parts.engine.connect() as db:
                    customer = await customers.find(db, reference)
                entered = await parts.audience.router.enrol(
                    customer.id, journey, source="command", now=datetime.now(UTC)
                )
                started = entered.launched_at is not None
                answers.append(
                    {"customer": reference, "enrolment": entered.id, "version": entered.version, "started": started}
                )
            except WaymarkError as error:
                if len(references) == 1:
                    raise
                answers.append({"customer": reference, "error": error.message})
    return answers
