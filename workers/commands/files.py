"""What commands that take in a file are asked for alike."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from journeys.errors import WaymarkError

Maps = Annotated[
    list[Path] | None, typer.Argument(help="Maps. Default: all in definitions/journeys.", metavar="[FILES]")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and report only; write nothing.")]
Rejected = Annotated[
    Path | None,
    typer.Option(
        help="Write rejected rows to this CSV file, to be corrected. Default: FILE.rejects.csv beside the file; "
        "none in a dry run.",
        metavar="FILE",
    ),
]
DayOrMonth = Annotated[
    Literal["dmy", "mdy"] | None,
    typer.Option(
        help="Whether 03/04/2026 is the third of April (dmy) or the fourth of March (mdy). Default: as the other "
        "days of the file show."
    ),
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the file. Default: detected.")]


def spare(file: Path, rejects: Path | None) -> None:
    """Raises WaymarkError where the rejected rows of a file would be written over the file itself."""
    if rejects is not None and rejects.exists() and file.exists() and rejects.samefile(file):
        raise WaymarkError(
            f"{rejects} is the file that is imported: its rejected rows would be written over it.",
            hint="Name another file with --rejects.",
        )
