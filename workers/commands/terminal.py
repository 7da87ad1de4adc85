"""What a person or another program is shown: data goes to standard output, everything else to standard error."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from console.documents import document
from workers.settings import Settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document(value), ensure_ascii=False, indent=2) + "\n")


def print_lines(values: Iterable[object]) -> None:
    """One JSON document a line on standard output."""
    for value in values:
        sys.stdout.write(json.dumps(document(value), ensure_ascii=False) + "\n")


def notice(line: str) -> None:
    """A line for the person at the terminal, not part of the output."""
    err.print(line, markup=False, soft_wrap=True)


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A plain table that fits 80 columns; the columns in `right` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        numbers = column in set(right)
        made.add_column(column, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    return made


class Clock:
    """Writes moments in the workspace's time zone, always with the zone."""

    def __init__(self, of: Settings) -> None:
        self._zone = ZoneInfo(of.workspace_time_zone)

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself."""
        return self._zone

    def __call__(self, moment: datetime | None) -> str:
        if moment is None:
            return "—"
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M %Z}"

    def short(self, moment: datetime) -> str:
        """Without date and zone, for where both stand above."""
        return f"{moment.astimezone(self._zone):%H:%M}"

    def day(self, moment: datetime) -> str:
        """The day, for a heading."""
        return f"{moment.astimezone(self._zone):%A, %d %B %Y}"
