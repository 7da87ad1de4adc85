"""`customers export`: everybody, for whoever takes the people over."""

import csv
import io
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import typer

from activities.intake.cells import harmless
from console.documents import document
from journeys.fields import load_fields
from records.people.exporting import FIELDS, STANDING, exported
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import print_lines

app = typer.Typer()

LISTED = ("external_ids", "emails", "phones", "tags")
"""What may be several: in a table joined by semicolons."""


@app.command("export")
def export(as_json: AsJson = False) -> None:
    """Print every customer: all names, fields, consents, tags, stage. A table (CSV), or a JSON document a line.

    However many there are, they are read and printed one after another.
    """
    of = settings()
    custom = list(load_fields(of.definitions / "fields.yaml"))

    async def work() -> None:
        header = ["id", "external_ids", "email", "phone", "emails", "phones", *FIELDS, *custom, *STANDING]
        if not as_json:
            _write([*header, "consent_email", "consent_sms"])
        async with records(of) as engine, engine.connect() as db, aclosing(exported(db)) as rows:
            async for row in rows:
                if as_json:
                    print_lines([row])
                else:
                    said = [row["consents"].get(channel) for channel in ("email", "sms")]
                    _write([*(_cell(row, name) for name in header), *map(_text, said)])

    run(work())


def _cell(row: Mapping[str, Any], name: str) -> str:
    return harmless("; ".join(row[name])) if name in LISTED else _text(row.get(name))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else harmless(str(document(value)))


def _write(cells: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    sys.stdout.write(line.getvalue())
