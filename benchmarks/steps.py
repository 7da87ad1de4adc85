"""What a step costs: steps per second over those of the barest workflow in one run, history events, SQL.

    python -m benchmarks.steps [--runs 300] [--steps 4] [--rounds 2]

Both run on the same Temporal server (in memory), each with one worker process of its own. The barest workflow does
one empty activity and one timer a step. The journey does one send and one wait a step, through the real engine and
PostgreSQL (synchronous commit on); its channel is empty, or, in the second line, real SMTP to a server in another
process. Waits last five seconds in both, and enough runs wait at once to keep both cores busy. Rounds alternate; the
ratio is of the medians.

History events, SQL statements and transactions are then counted on one run alone, in a worker process of its own. What
a step costs is what a run of more such steps costs beyond a run of fewer; the rest is entering and ending. The
statements are the worker's: that the enrolment itself asks for some more, once a run, is not among them. Steps that
send nothing and wait for nothing share the turn, the transaction and the history events of the step before them.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from itertools import islice

from temporalio.client import Client, WorkflowHandle

from benchmarks.barest import Barest
from benchmarks.counting import Cost, Counter
from benchmarks.ground import Ground, ground, run
from benchmarks.workers import Task, barest_worker, journey_worker, mail_sink

STEPS = {
    "send + wait": "  - send: email/welcome\n  - wait: 1m\n",
    "wait": "  - wait: 1m\n",
    "tag": "  - tag: t{n}\n",
    "set": "  - set: {{first_name: Ada {n}}}\n",
    "score": "  - score: {{points: 1, because: bench}}\n",
    "branch": "  - branch:\n      - when: {{tag: t{n}}}\n        steps: [{{tag: s{n}}}]\n",
}
"""Of which steps the costs are counted, and how they are written in a map."""
FEW, MANY = 2, 6
LONGEST = 120.0
"""Seconds that a run alone may take; one that is held up would be waited for in vain."""


def journey(name: str, step: str, count: int) -> str:
    """A map of so many steps of one kind."""
    body = "".join(step.format(n=n) for n in range(count))
    return f"journey: {name}\ntitle: Bench\nenter: api\nre_enter: always\nsteps:\n{body}"


async def barest_round(client: Client, number: int, runs: int, steps: int) -> float:
    """Steps per second of one round of the barest workflow."""
    began = time.perf_counter()
    handles = await asyncio.gather(
        *(
            client.start_workflow(Barest.run, steps, id=f"barest/{number}/{run}", task_queue="barest")
            for run in range(runs)
        )
    )
    await asyncio.gather(*(handle.result() for handle in handles))
    return runs * steps / (time.perf_counter() - began)


async def journey_round(here: Ground, people: list[int], steps: int) -> float:
    """Steps per second of one round of the journey, everybody at once."""
    began = time.perf_counter()
    handles = await asyncio.gather(*(enter(here, one, "bench") for one in people))
    await asyncio.gather(*(handle.result() for handle in handles))
    return len(people) * steps / (time.perf_counter() - began)


async def enter(here: Ground, customer: int, journey: str) -> WorkflowHandle[object, object]:
    """Enter a customer, and return the workflow of the run."""
    run = await here.parts.audience.router.enrol(customer, journey, source="api", now=datetime.now(UTC))
    return here.parts.client.get_workflow_handle(run.workflow)


async def compare(here: Ground, people: list[int], steps: int, rounds: int) -> None:
    """Print the speed of both, over an empty channel and over real SMTP."""
    ports: multiprocessing.Queue[int] = multiprocessing.get_context("spawn").Queue()
    here.start(barest_worker, here.server.address, here.folder / "stop")
    here.start(mail_sink, ports, here.folder / "stop")
    for label, relay in (("empty channel", None), ("real SMTP", f"smtp://127.0.0.1:{ports.get()}")):
        stop = here.folder / f"stop-{label.split()[0]}"
        worker = here.start(
            journey_worker, Task(here.server.address, here.database, here.folder, stop=stop, smtp=relay)
        )
        plain, ours = [], []
        for number in range(rounds + 1):
            both: tuple[Awaitable[float], Awaitable[float]] = (
                barest_round(here.parts.client, hash((label, number)), len(people), steps),
                journey_round(here, people, steps),
            )
            one, two = [await each for each in both]
            if number:  # the first round warms up
                plain.append(one)
                ours.append(two)
        ratio = statistics.median(ours) / statistics.median(plain)
        print(f"{label:14} journey {_figure(ours)}   barest {_figure(plain)}   ratio {ratio:.2f}", flush=True)
        stop.touch()
        await asyncio.to_thread(worker.join, 30)


async def count(here: Ground) -> None:
    """Print what each kind of step costs."""
    # To nobody twice: a tag that is there already costs less.
    fresh = iter(await here.people(4 * len(STEPS)))
    counter = Counter()
    here.start(
        journey_worker,
        Task(here.server.address, here.database, here.folder, stop=here.folder / "stop", counter=counter),
    )
    for number, (label, step) in enumerate(STEPS.items()):
        few = await _cost(here, fresh, counter, journey(f"few_{number}", step, FEW))
        many = await _cost(here, fresh, counter, journey(f"many_{number}", step, MANY))
        each = many.per_step(few, MANY - FEW)
        print(f"{label:14} {each}", flush=True)
        if label == "send + wait":
            print(f"{'  of a run':14} {few.besides(each, FEW)} besides, to enter and to end", flush=True)


async def _cost(here: Ground, fresh: Iterator[int], counter: Counter, map_: str) -> Cost:
    """What one run costs; one before it lets the worker read the map."""
    name = map_.split()[1]
    await here.publish(map_)
    for customer in islice(fresh, 2):
        before = counter.read(0)
        begun = await enter(here, customer, name)
        async with asyncio.timeout(LONGEST):
            await begun.result()
        cost = counter.read((await begun.describe()).history_length)
    return cost.beyond(before)


async def measure(runs: int, steps: int, rounds: int) -> None:
    """Run all rounds and print the figures."""
    async with ground() as here:
        if runs:
            await here.publish(journey("bench", STEPS["send + wait"], steps))
            await compare(here, await here.people(runs), steps, rounds)
        await count(here)


def _figure(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):6.1f} steps/s ({min(rounds):.1f} to {max(rounds):.1f})"


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="runs at once; 0 only counts")
    parser.add_argument("--steps", type=int, default=4, help="steps a run")
    parser.add_argument("--rounds", type=int, default=2, help="rounds counted, after one to warm up")
    given = parser.parse_args()
    run(measure(given.runs, given.steps, given.rounds))


if __name__ == "__main__":
    main()
