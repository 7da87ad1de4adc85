"""`report`: figures that take more than a line."""

from decimal import Decimal

import typer
from rich.markup import escape

from records import reports
from records.reports import Credit, JourneySummary
from records.runs import versions
from workers.commands.journeys import Name
from workers.commands.shared import AsJson, records, run
from workers.commands.terminal import notice, out, print_json, table

app = typer.Typer()


@app.command("goals")
def goals(journey: Name, as_json: AsJson = False) -> None:
    """Show what each message of a journey did for its goal, and how those fared who were sent none.

    "last" gives a goal in full to the last message before it; "shared" in equal parts to all messages before it.
    """

    async def load() -> tuple[JourneySummary, list[Credit]]:
        async with records() as engine, engine.connect() as db:
            found = {one.journey: one for one in await reports.journey_summary(db)}
            if journey not in found:
                raise await versions.unknown(db, journey)
            return found[journey], await reports.attribution(db, journey)

    summary, messages = run(load())
    if as_json:
        print_json(
            {
                "journey": summary.journey, "enrolled": summary.enrolled, "goals": summary.goals,
                "goal_value": summary.goal_value, "held_out": summary.held_out,
                "held_out_goals": summary.held_out_goals, "messages": messages,
            }
        )  # fmt: skip
        return
    numbers = ("sent", "last", "last value", "shared", "shared value")
    shown = table("message", *numbers, right=numbers)
    for one in messages:
        shown.add_row(
            escape(one.message or "(no message before it)"), f"{one.touches:,}" if one.message else "",
            f"{one.last_goals:,}", _value(one.last_value), f"{one.shared_goals:,.1f}", _value(one.shared_value),
        )  # fmt: skip
    if messages:
        out.print(shown)
    entered = summary.enrolled - summary.held_out
    notice(
        f"{summary.goals:,} of {entered:,} runs reached the goal{_share(summary.goals, entered)}"
        f", worth {_value(summary.goal_value)} in all."
    )
    if summary.held_out:
        share = _share(summary.held_out_goals, summary.held_out)
        notice(f"Of those who were held out, {summary.held_out_goals:,} of {summary.held_out:,}{share}.")


def _value(value: Decimal) -> str:
    return f"{value:,.2f}"


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.1%})" if whole else ""
