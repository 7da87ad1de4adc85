"""What many sleeping runs cost: the memory of one worker process, and the processor time while nothing happens.

    python -m benchmarks.sleeping [--runs 20000] [--minutes 1] [--cache 1000]

So many contacts enter a journey of one effect and one wait of 90 days, page by page as `journeys publish --backfill`
takes them in. One worker process serves it, apart from the Temporal server (which keeps its data in a file, as that of
`waymark up` does) and from PostgreSQL. When all are asleep, its memory is read, then the processor time over the
minutes asked for, then the memory again after its Temporal workers were closed and opened anew, which empties the
workflow cache, and after the allocator gave back what it keeps. "More than idle" is of the memory that only this
process has (USS). Waymark's own schedules (the sweep, the days of contacts, the segments) go on all the while.

Run it on a machine that does nothing else: memory, and processor time asleep, bear company; runs per second do not.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
import time
from datetime import UTC, datetime

from sqlalchemy import text
from temporalio.worker import Worker

from activities.entering.entrance import Entrance
from activities.entering.herds import PAGE, Coming, Herds
from activities.turns.programs import Programs
from benchmarks.ground import Ground, ground, run
from benchmarks.usage import MB, Memory, Stopwatch
from benchmarks.workers import Task, journey_worker
from records.runs import versions

MAP = "journey: sleepers\ntitle: Sleepers\nenter: api\nsteps:\n  - tag: sleeper\n  - wait: 90d\n"
CALM = 15.0
"""Seconds between the last turn and the first reading: acknowledgements, and the garbage of starting."""
SDK_CACHE: int = inspect.signature(Worker.__init__).parameters["max_cached_workflows"].default


class Progress:
    """How far a long work is, on standard error, every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._began = self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if done >= self._total or now - self._told >= 5:
            self._told = now
            rate = done / max(now - self._began, 1e-9)
            print(f"  {done:,} of {self._total:,} {self._what}, {rate:.0f} a second", file=sys.stderr, flush=True)


async def measure(runs: int, minutes: float, cache: int) -> None:
    """Let so many runs fall asleep, and print what they cost."""
    async with ground(temporal_file=True) as here:
        await here.publish(MAP)
        people = await here.people(runs, Progress("contacts written", runs))
        task = Task(
            here.server.address, here.database, here.folder, here.folder / "stop", quick=False, schedules=True,
            anew=here.folder / "anew", cache=cache,
        )  # fmt: skip
        assert task.anew is not None
        task.anew.touch()
        process = here.start(journey_worker, task)
        assert process.pid is not None
        await _until_gone(here, task)
        await asyncio.sleep(2)
        before = Memory.of(process.pid)
        print(f"workflow cache   {cache:,} (max_cached_workflows)", flush=True)
        print(f"worker, idle     {before}", flush=True)

        began = time.monotonic()
        await _enter(here, people)
        started = time.monotonic() - began
        await _until_asleep(here, runs)
        asleep = time.monotonic() - began
        print(f"started          {runs:,} runs in {started:.0f} s, {runs / started:.1f} a second", flush=True)
        print(f"asleep           {runs:,} runs in {asleep:.0f} s, {runs / asleep:.1f} a second", flush=True)
        await asyncio.sleep(CALM)
        full = Memory.of(process.pid)
        print(f"worker, asleep   {full}", flush=True)
        print(f"  more than idle {_difference(full, before, runs, min(runs, cache))}", flush=True)

        postmaster = int((here.postgres.data / "postmaster.pid").read_text().split()[0])
        watch = Stopwatch({"worker": process.pid, "Temporal server": here.server.pid, "PostgreSQL": postmaster})
        print(f"  watching the sleep for {minutes:g} min", file=sys.stderr, flush=True)
        await asyncio.sleep(minutes * 60)
        for line in watch.lines():
            print(line, flush=True)

        task.anew.touch()
        await _until_gone(here, task)
        await asyncio.sleep(CALM)
        emptied = Memory.of(process.pid)
        print(f"cache emptied    {emptied}", flush=True)
        print(f"  more than idle {_difference(emptied, before, runs, 0)}", flush=True)
        print(f"Temporal server  {Memory.of(here.server.pid)}", flush=True)
        active, waiting = await _standing(here)
        print(f"in the records   {active:,} of {runs:,} are active, {waiting:,} wait for their time", flush=True)
        if (active, waiting) != (runs, runs):
            sys.exit("not all of them sleep: the figures above are of something else")


async def _enter(here: Ground, people: list[int]) -> None:
    """Let everybody in, page by page, as all do who bring many in."""
    programs = Programs()
    async with here.parts.engine.connect() as db:
        live = await versions.live(db, "sleepers")
        assert live is not None
        program = await programs.get(db, "sleepers", live.version)
    herds = Herds(here.parts.engine, here.parts.audience.router, Entrance(programs, "UTC"))
    told = Progress("runs started", len(people))
    for first in range(0, len(people), PAGE):
        now = datetime.now(UTC)
        coming = [Coming(one, now, now, "bench") for one in people[first : first + PAGE]]
        await herds.enter(program, live.version, "api", coming)
        told(first + len(coming))


async def _until_asleep(here: Ground, runs: int) -> None:
    told = Progress("runs asleep", runs)
    while (asleep := (await _standing(here))[1]) < runs:
        told(asleep)
        await asyncio.sleep(0.5)


async def _standing(here: Ground) -> tuple[int, int]:
    """How many runs are active in the records, and how many of those have a time at which they wake."""
    query = "SELECT count(*), count(wakes_at) FROM enrolments WHERE status = 'active'"
    async with here.parts.engine.connect() as db:
        active, waiting = (await db.execute(text(query))).one()
    return active, waiting


async def _until_gone(here: Ground, task: Task) -> None:
    """The worker removes the file `anew` once it works with an empty cache."""
    assert task.anew is not None
    while task.anew.exists():
        if not here.processes[-1].is_alive():
            sys.exit("the worker ended")
        await asyncio.sleep(0.1)


def _difference(now: Memory, before: Memory, runs: int, cached: int) -> str:
    more = now.own - before.own
    each = f"{more / runs / 1000:.1f} kB a run" + (f", {more / cached / 1000:.1f} kB a cached run" if cached else "")
    return f"{more / MB:.1f} MB: {each}"


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, help="runs that sleep (default 20,000)")
    parser.add_argument("--minutes", type=float, default=1.0, help="minutes of sleep that are watched (default 1)")
    parser.add_argument(
        "--cache", type=int, default=SDK_CACHE, help=f"most workflows in the worker's cache (default {SDK_CACHE:,})"
    )
    given = parser.parse_args()
    run(measure(given.runs, given.minutes, given.cache))


if __name__ == "__main__":
    main()
