"""How long a rehearsal takes: the four journeys of the demo, so many contacts, so many days, all from nothing.

    python -m benchmarks.rehearsal [--contacts 100] [--days 60]

The starts and ends of both servers are counted. Prints the seconds, the touches and the moves a second.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from activities.publishing import load_files
from journeys import segments
from journeys.fields import load_fields
from workers.content import shipped
from workers.rehearsal.rehearsing import Plan, Report, rehearse
from workers.rehearsal.scratch import scratch
from workers.rehearsal.ways_in import needed
from workers.settings import load_settings

JOURNEYS = ("welcome", "nurture", "renewal", "win_back")
START = datetime(2026, 3, 2, tzinfo=UTC)


async def measure(contacts: int, days: int) -> tuple[float, Report]:
    """One rehearsal, with nothing kept warm; seconds and what it came to."""
    of = load_settings(definitions=shipped("definitions"), templates=shipped("templates"))
    fields = load_fields(of.definitions / "fields.yaml")
    maps = load_files([of.definitions / "journeys" / f"{name}.yaml" for name in JOURNEYS], fields)
    asked = needed(maps, segments.load_all(of.definitions / "segments", fields))
    with tempfile.TemporaryDirectory() as folder:
        people, events = _some(contacts, Path(folder))
        plan = Plan(maps, asked, people, events, START, days)
        began = time.monotonic()
        async with scratch(of.temporal_binary, of.cache) as place:
            report = await rehearse(of, plan, place)
        return time.monotonic() - began, report


def _some(contacts: int, folder: Path) -> tuple[Path, Path]:
    """The first of the sample contacts, and what they do."""
    people, events = folder / "customers.csv", folder / "events.csv"
    with (shipped("samples") / "customers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), contacts + 1))
    names = {row[0] for row in rows}
    with (shipped("samples") / "events.csv").open(encoding="utf-8", newline="") as file:
        header, *happened = csv.reader(file)
    for path, table in ((people, rows), (events, [header, *(row for row in happened if row[0] in names)])):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    return people, events


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100)
    parser.add_argument("--days", type=int, default=60)
    given = parser.parse_args()
    seconds, report = asyncio.run(measure(given.contacts, given.days))
    came = report.rehearsed
    print(
        f"{len(came.contacts)} contacts, {given.days} days: {seconds:.1f} s, "
        f"{len(came.lines)} touches and {len(came.runs)} runs, {len(came.lines) / seconds:.1f} touches/s"
    )


if __name__ == "__main__":
    main()
