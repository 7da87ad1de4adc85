"""Processes that import events, or sweep, and die by SIGKILL at one point of their work.

`python -m tests.faults.mortal_import ADDRESS NAMESPACE DATABASE FILE HOME`

For each line of its input, `WHAT TIMES POINT`, it forks one that dies when it passes the point for the how-manieth
time TIMES says, or with 0 lives to the end; and prints how that one ended: -9 by death.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from temporalio.client import Client

from activities.entering import sweeping
from activities.entering.audience import Router
from activities.entering.ingesting import Ingesting
from activities.intake import event_import
from activities.intake.event_files import EventFile, Reading
from activities.intake.event_import import EventImport
from journeys.sending import SendingRules
from records import events, incoming
from records.database import create_engine
from records.intake import imports
from records.runs import enrolments
from tests.faults.mortal_worker import born
from workers.composition import compose
from workers.settings import Settings

STORING = ("before the rows", "after the rows", "before the commit", "after the commit")
ROUTING = ("before the enrolments", "after the enrolments", "after the start", "after the signal", "after the mark")


class Death:
    """Strikes when a point is passed for the how-manieth time."""

    def __init__(self, point: str, times: int) -> None:
        self.point, self.left = point, times

    def passing(self, point: str) -> None:
        if point == self.point and self.left > 0:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str, before: str | None, after: str | None) -> None:
        """Let death wait before and after a function of a module or a class."""
        work = getattr(owner, name)

        async def mortal(*given: Any, **more: Any) -> Any:
            self.passing(before or "")
            done = await work(*given, **more)
            self.passing(after or "")
            return done

        setattr(owner, name, mortal)

    def everywhere(self) -> None:
        """Let death wait at every point."""
        self.around(incoming, "store", "before the rows", "after the rows")
        self.around(imports, "reach", None, "before the commit")
        self.around(EventImport, "_store", None, "after the commit")
        self.around(Router, "_enrol_by", "before the enrolments", None)
        self.around(Router, "start", "after the enrolments", "after the start")
        self.around(Router, "wake", None, "after the signal")
        self.around(enrolments, "mark_launched", None, "after the mark")
        self.around(events, "mark_routed", None, "after the mark")


async def live(what: str, address: str, namespace: str, database: str, file: Path, home: Path) -> None:
    """One life."""
    event_import.BATCH, sweeping.SETTLED = 40, timedelta()
    engine = create_engine(database, pool_size=5)
    client = await Client.connect(address, namespace=namespace)
    settings = Settings(home=home, secret="a secret for tests only")
    async with compose(settings, engine=engine, client=client, channels={}, rules=SendingRules()) as parts:
        if what == "sweep":
            await parts.sweeping.sweep()
            return
        now = datetime.now(UTC)
        opened = EventFile(file, Reading(ZoneInfo("UTC"), {}), now)
        await EventImport(Ingesting(engine, parts.audience.router), opened, unknown="create").run(now)


def main(address: str, namespace: str, database: str, file: str, home: str) -> None:
    """Bring into the world whoever is asked for, one after another."""
    for line in sys.stdin:
        what, times, point = line.rstrip("\n").split(" ", 2)

        async def one(what: str = what, point: str = point, times: int = int(times)) -> None:
            Death(point, times).everywhere()
            await live(what, address, namespace, database, Path(file), Path(home))

        sys.stdout.write(f"{born(one)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
