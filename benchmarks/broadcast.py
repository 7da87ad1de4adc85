"""Mails per second of a broadcast, over those of two bare processes that send the same bytes prebuilt, in one run.

    python -m benchmarks.broadcast [--count 10000] [--rounds 3] [--connections 8]

Both send to the same SMTP sink in a process of its own, which offers PIPELINING, SIZE and 8BITMIME and keeps nothing.
The bare processes have every mail in memory before the clock starts, and hand them over with aiosmtplib, each over a
pool of connections. The broadcast is a real one: a workflow on a Temporal server, two worker processes, PostgreSQL
(synchronous commit on), each mail personal, with tracked links, unsubscribe headers, an open pixel, and a row of the
ledger that is claimed before it leaves and settled after. Its clock runs from starting it to the end of its workflow.
Rounds alternate; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import aiosmtplib
from sqlalchemy import text
from temporalio.client import Client

from activities.broadcasts.press import Press
from activities.channels.email import EmailChannel
from activities.channels.mime import Mailbox
from activities.messages.composing import Composer, Workspace
from activities.messages.rendering import Templates
from benchmarks.ground import Ground, context, ground, run
from benchmarks.workers import settings
from journeys.broadcast import touch_key, workflow_id
from journeys.broadcast_files import parse
from journeys.sending import SendingRules
from records.database import create_engine
from records.people import upserts
from records.people.contacts import Contact
from records.people.customers import Customer
from workers import worker
from workers.composition import compose
from workers.foundation import links
from workers.leaving import leave
from workers.settings import Settings

PROCESSES = 2
HTML = 8 * 1024
"""Bytes of a mail's HTML before it is encoded."""
PARAGRAPH = (
    '<p style="margin:0 0 18px;font-size:16px;line-height:1.6">{{ customer.first_name or "Dear reader" }}, the new '
    'crop is in: brown sugar, plum, and a little smoke. <a href="https://kettlewick.example/coffee/NUMBER">Look at '
    "number NUMBER</a> before it is gone, and tell us what you think of it; we read every letter.</p>\n"
)
LINKS = 4
FOOTER = '<p><a href="{{ links.unsubscribe }}">Unsubscribe</a><br>{{ workspace.name }}</p>\n</body></html>\n'


def templates(folder: Path) -> Path:
    """A folder with one mail of the size that is measured; returns it."""
    mail = folder / "templates/email/offer/en"
    mail.mkdir(parents=True, exist_ok=True)
    (mail / "subject.txt").write_text("{{ customer.first_name or 'Hello' }}, the new crop is in\n")
    body = "".join(PARAGRAPH.replace("NUMBER", str(number)) for number in range(LINKS))
    filler = '<p style="margin:0 0 18px">Roasted on Monday, packed on Tuesday, with you by the end of the week.</p>\n'
    room = HTML - len(body) - len(FOOTER) - 40
    (mail / "body.html").write_text(f"<!doctype html><html><body>\n{body}{filler * (room // len(filler))}{FOOTER}")
    (mail / "body.txt").write_text(
        "Hello {{ customer.first_name or 'there' }},\n\nthe new crop is in.\n\n{{ links.unsubscribe }}\n"
    )
    return folder / "templates"


class _Sink(asyncio.Protocol):
    """One conversation with a relay that takes everything as fast as it can."""

    counted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._unread, self._in_data = transport, b"", False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._unread += data
        answers = []
        while True:
            if self._in_data:
                _content, dot, rest = self._unread.partition(b"\r\n.\r\n")
                if not dot:
                    break
                self._unread, self._in_data = rest, False
                _Sink.counted += 1
                answers.append(b"250 2.0.0 Ok\r\n")
                continue
            line, end, rest = self._unread.partition(b"\r\n")
            if not end:
                break
            self._unread = rest
            word = line[:4].upper()
            if word == b"EHLO":
                answers.append(b"250-sink\r\n250-PIPELINING\r\n250-SIZE 33554432\r\n250 8BITMIME\r\n")
            elif word == b"DATA":
                self._in_data = True
                answers.append(b"354 go on\r\n")
            elif word == b"QUIT":
                self._transport.write(b"".join(answers) + b"221 bye\r\n")
                self._transport.close()
                return
            else:
                answers.append(b"250 2.1.0 Ok\r\n")
        if answers:
            self._transport.write(b"".join(answers))


def sink(port: multiprocessing.Queue[int], counts: multiprocessing.Queue[int], stop: Path) -> None:
    """The process of the sink."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        while not stop.exists():  # noqa: ASYNC110 (another process says so)
            await asyncio.sleep(0.05)
        counts.put(_Sink.counted)
        server.close()

    asyncio.run(serve())


def _people(count: int, share: int) -> Iterator[Customer]:
    """Every how-manieth of the contacts, as the bare processes know them."""
    now = datetime.now(UTC)
    for number in range(share, count, PROCESSES):
        yield Customer(
            number, None, f"c{number}@x.example", None, f"Ann{number}", "Lee", None, "en", None, "new", 0, None, [],
            {}, now, now, None, 0, None, None, None,
        )  # fmt: skip


def bare(
    folder: Path, smtp: int, count: int, share: int, connections: int, rounds: int, barrier: Barrier,
    took: multiprocessing.Queue[float],
) -> None:  # fmt: skip
    """A bare process: every mail prebuilt, and a pool of aiosmtplib."""
    own = settings(folder)
    sender = Mailbox.parse_named(own.mail_from)
    composer = Composer(Templates(folder / "templates"), links(own), Workspace("W", "A", "U"), frozenset())
    press = Press(composer, sender, {"journey": {"title": "Bench"}, "event": {}})
    now = datetime.now(UTC)
    mails = [
        (str(one.email), press.letter("email/offer", None, one, str(one.email), touch_key(0, one.id), now).content)
        for one in _people(count, share)
    ]

    async def hand_over(client: aiosmtplib.SMTP, waiting: Iterator[tuple[str, bytes]]) -> None:
        for address, content in waiting:
            await client.sendmail(sender.address, [address], content)

    async def work() -> None:
        for _ in range(rounds):
            clients = [
                aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp, use_tls=False, start_tls=False)
                for _ in range(connections)
            ]
            await asyncio.gather(*(client.connect() for client in clients))
            await asyncio.to_thread(barrier.wait)
            began = time.perf_counter()
            waiting = iter(mails)
            await asyncio.gather(*(hand_over(client, waiting) for client in clients))
            took.put(time.perf_counter() - began)
            await asyncio.gather(*(client.quit() for client in clients))

    asyncio.run(work())
    leave(0)


def own_settings(folder: Path) -> Settings:
    """Settings with the templates that are measured."""
    return settings(folder).model_copy(update={"templates": folder / "templates"})


def broadcast_worker(address: str, database: str, folder: Path, smtp: int) -> None:
    """A worker process, as `waymark worker` has them."""

    async def work() -> None:
        own = own_settings(folder)
        engine = create_engine(database, ping=False)
        email = EmailChannel(f"smtp://127.0.0.1:{smtp}", own.mail_from)
        client = await Client.connect(address)
        composing = compose(own, engine=engine, client=client, channels={"email": email}, rules=SendingRules())
        async with composing as parts, worker.working(parts):
            while not (folder / "stop").exists():  # noqa: ASYNC110 (another process says so)
                await asyncio.sleep(0.1)
        await email.close()
        await engine.dispose()

    asyncio.run(work())
    leave(0)


async def audience(here: Ground, count: int) -> None:
    """So many contacts with names of their own."""
    page = 500
    for first in range(0, count, page):
        async with here.parts.engine.begin() as db:
            for number in range(first, min(first + page, count)):
                contact = Contact(
                    email=f"c{number}@x.example", first_name=f"Ann{number}", last_name="Lee", locale="en",
                    tags=("reader",), consents={"email": True},
                )  # fmt: skip
                await upserts.upsert(db, contact, now=datetime.now(UTC))
    async with here.parts.engine.connect() as db:
        await (await db.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))


async def one_broadcast(here: Ground, name: str) -> float:
    """Seconds from starting a broadcast to the end of its workflow."""
    loaded = parse(f"broadcast: {name}\ntitle: Bench\nwhere: {{tag: reader}}\nsend: email/offer\n")
    began = time.perf_counter()
    row = await here.parts.studio.start(loaded, at=None, by="bench", now=datetime.now(UTC))
    await here.parts.client.get_workflow_handle(workflow_id(row.name, row.id)).result()
    return time.perf_counter() - began


async def measure(count: int, rounds: int, connections: int) -> None:
    """Run all rounds and print the figures."""
    async with ground() as here:
        templates(here.folder)
        await audience(here, count)
        ports: multiprocessing.Queue[int] = context.Queue()
        counts: multiprocessing.Queue[int] = context.Queue()
        took: multiprocessing.Queue[float] = context.Queue()
        here.start(sink, ports, counts, here.folder / "stop-sink")
        smtp = await asyncio.to_thread(ports.get)
        barrier = context.Barrier(PROCESSES + 1)
        for share in range(PROCESSES):
            here.start(bare, here.folder, smtp, count, share, connections, rounds + 1, barrier, took)
        for _ in range(PROCESSES):
            here.start(broadcast_worker, here.server.address, here.database, here.folder, smtp)
        plain, ours = [], []
        for number in range(rounds + 1):
            await asyncio.to_thread(barrier.wait)
            bare_seconds = max([await asyncio.to_thread(took.get) for _ in range(PROCESSES)])
            seconds = await one_broadcast(here, f"bench_{number}")
            if number:  # the first round warms up
                plain.append(count / bare_seconds)
                ours.append(count / seconds)
        async with here.parts.engine.connect() as db:
            counted = await db.execute(text("SELECT count(*) FROM touches WHERE status = 'sent'"))
            assert counted.scalar_one() == count * (rounds + 1), "a mail is missing in the ledger"
        (here.folder / "stop-sink").touch()
        assert await asyncio.to_thread(counts.get) == 2 * count * (rounds + 1), "a mail is missing in the sink"
        ratio = statistics.median(ours) / statistics.median(plain)
        print(f"broadcast {_figure(ours)}   bare {_figure(plain)}   ratio {ratio:.2f}", flush=True)


def _figure(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):,.0f} mails/s ({min(rounds):,.0f} to {max(rounds):,.0f})"


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="mails of one broadcast")
    parser.add_argument("--rounds", type=int, default=3, help="rounds counted, after one to warm up")
    parser.add_argument("--connections", type=int, default=8, help="connections of each bare process")
    given = parser.parse_args()
    run(measure(given.count, given.rounds, given.connections))


if __name__ == "__main__":
    main()
