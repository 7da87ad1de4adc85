"""What all commands about runs share: how one is named, and how its state is shown."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from console.documents import document
from records.runs.enrolments import Enrolment

Number = Annotated[int, typer.Argument(help="The run's number.", metavar="RUN")]
Because = Annotated[str | None, typer.Option(help="Why, for whoever looks later.", metavar="TEXT")]


def state_of(one: Enrolment) -> str:
    """What a run does now (waiting, sending, retrying, held), or how it ended: as WaymarkStatus in Temporal."""
    return str((one.instruction or {}).get("status") or one.status)


def plain_run(one: Enrolment) -> dict[str, Any]:
    """Without the interpreter's own notes, which change from release to release."""
    return {**document(replace(one, cursor={}, instruction=None)), "state": state_of(one)}
