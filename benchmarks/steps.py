"""Steps per second of a journey of sends and waits, over those of the barest workflow, in one run.

    python -m benchmarks.steps [--runs 300] [--steps 4] [--rounds 2]

Both run on the same Temporal server (in memory), each with one worker process of its own. The barest workflow does
one empty activity and one timer a step. The journey does one send and one wait a step, through the real engine and
PostgreSQL (synchronous commit on); its channel is empty, or, in the second line, real SMTP to a server in another
process. Waits last five seconds in both, and enough runs wait at once to keep both cores busy. Rounds alternate; the
ratio is of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.barest import PAUSE, Barest, nothing


def barest_worker(address: str, stop: str) -> None:
    """The worker process of the barest workflow."""

    async def work() -> None:
        client = await Client.connect(address)
        async with Worker(client, task_queue="barest", workflows=[Barest], activities=[nothing]):
            await _until(stop)

    asyncio.run(work())


def journey_worker(address: str, stop: str, database: str, smtp: str | None) -> None:
    """The worker process of the journey: the one that `waymark worker` runs, but for the length of a wait."""

    from activities.channels.channel import Channel, Message, Receipt
    from activities.channels.email import EmailChannel
    from journeys import interpreter
    from records.database import create_engine
    from workers import worker
    from workers.composition import compose
    from workers.settings import Settings

    class Empty:
        name = "email"

        async def send(self, message: Message) -> Receipt:
            return Receipt(None, "")

        async def check(self) -> str:
            return ""

        async def close(self) -> None:
            pass

    # The map language has no unit below the minute.
    interpreter.add = lambda now, duration, zone: now + PAUSE  # type: ignore[assignment, attr-defined, unused-ignore]

    async def work() -> None:
        settings = Settings(home=Path(stop).parent, secret="a secret of the benchmark")
        engine = create_engine(database, ping=False)
        email: Channel = EmailChannel(smtp, settings.mail_from) if smtp else Empty()
        client = await Client.connect(address)
        async with (
            compose(settings, engine=engine, client=client, channels={"email": email}) as parts,
            worker.working(parts),
        ):
            await _until(stop)
        await email.close()
        await engine.dispose()

    asyncio.run(work())


def mail_sink(port: multiprocessing.Queue[int], stop: str) -> None:
    """An SMTP server that takes everything and keeps nothing."""
    from aiosmtpd.smtp import SMTP

    class Sink:
        async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
            self, server: object, session: object, envelope: object
        ) -> str:
            return "250 OK"

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(Sink()), "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await _until(stop)
        server.close()

    asyncio.run(serve())


async def _until(stop: str) -> None:
    while not Path(stop).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.1)


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


async def measure(runs: int, steps: int, rounds: int) -> None:
    """Run all rounds and print the figures."""
    from activities.audience import Router
    from activities.programs import Programs
    from activities.publishing import publish
    from journeys import attributes
    from journeys.identity import workflow_id
    from journeys.loading import parse
    from records import customers
    from records.customers import Contact
    from records.database import create_engine
    from records.migration import migrate
    from workers.server.binary import find_binary
    from workers.server.devserver import DevServer
    from workers.server.postgres import EmbeddedPostgres

    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    context = multiprocessing.get_context("spawn")
    postgres = EmbeddedPostgres(folder / "postgres")
    database = postgres.start()
    processes = []
    try:
        migrate(database)
        engine = create_engine(database)
        body = "\n".join("  - send: email/welcome\n  - wait: 1m" for _ in range(steps))
        map_ = f"journey: bench\ntitle: Bench\nenter: api\nre_enter: always\nsteps:\n{body}\n"
        async with engine.begin() as db:
            await publish(db, [parse(map_)], now=datetime.now(UTC), by="bench")
            people = [
                (
                    await customers.upsert(
                        db, Contact(email=f"c{n}@x.example", consents={"email": True}), now=datetime.now(UTC)
                    )
                ).id
                for n in range(runs)
            ]
        async with DevServer(await find_binary(), ui=False, search_attributes=attributes.KINDS) as server:
            client = await Client.connect(server.address)
            router = Router(engine, client, Programs())

            async def journey_round(_: int) -> float:
                began = time.perf_counter()
                now = datetime.now(UTC)
                entered = await asyncio.gather(*(router.enrol(one, "bench", source="api", now=now) for one in people))
                handles = [
                    client.get_workflow_handle(workflow_id("bench", one.customer_id, one.entry)) for one in entered
                ]
                await asyncio.gather(*(handle.result() for handle in handles))
                return runs * steps / (time.perf_counter() - began)

            def barest(number: int) -> Awaitable[float]:
                return barest_round(client, number, runs, steps)

            def start(target: Callable[..., None], *arguments: object) -> None:
                process = context.Process(target=target, args=arguments, daemon=True)
                process.start()
                processes.append(process)

            start(barest_worker, server.address, str(folder / "stop"))
            sink: multiprocessing.Queue[int] = context.Queue()
            start(mail_sink, sink, str(folder / "stop"))
            smtp = f"smtp://127.0.0.1:{sink.get()}"
            for label, relay in (("empty channel", None), ("real SMTP", smtp)):
                stop = folder / f"stop-{label.split()[0]}"
                start(journey_worker, server.address, str(stop), database, relay)
                plain, ours = [], []
                for number in range(rounds + 1):
                    one, two = await barest(hash((label, number))), await journey_round(number)
                    if number:  # the first round warms up
                        plain.append(one)
                        ours.append(two)
                ratio = statistics.median(ours) / statistics.median(plain)
                print(f"{label:14} journey {_figure(ours)}   barest {_figure(plain)}   ratio {ratio:.2f}", flush=True)
                stop.touch()
            run = client.get_workflow_handle(workflow_id("bench", people[0], 1))
            marks = [
                event.event_id
                async for event in run.fetch_history_events()
                if event.HasField("activity_task_scheduled_event_attributes")
            ]
            print(f"history: {marks[1] - marks[0]} events from one send to the next, over one wait")
        await engine.dispose()
    finally:
        (folder / "stop").touch()
        for process in processes:
            process.join(5)
            process.kill()
        postgres.stop()


def _figure(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):6.1f} steps/s ({min(rounds):.1f} to {max(rounds):.1f})"


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="runs at once")
    parser.add_argument("--steps", type=int, default=4, help="steps a run")
    parser.add_argument("--rounds", type=int, default=2, help="rounds counted, after one to warm up")
    given = parser.parse_args()
    asyncio.run(measure(given.runs, given.steps, given.rounds))


if __name__ == "__main__":
    main()
