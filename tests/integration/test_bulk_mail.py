"""Mails in bulk against real conversations: pipelined or not, refused, put off, cut off; each mail has its own end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from activities.channels.bulk import BulkMail
from activities.channels.channel import Away, Receipt, Refused, TryLater, Unknown
from activities.channels.email import EmailChannel
from activities.channels.letters import Letter


@dataclass
class Relay:
    """A mail server that does as it is told, and keeps what it took: by address, how often and what."""

    pipelining: bool = True
    answer: Callable[[str, str], str | None] = lambda stage, address: None
    """What to say to an address at `rcpt` or `dot` instead of yes; `hang up` ends the conversation."""
    per_connection: int = 10_000
    taken: dict[str, list[bytes]] = field(default_factory=dict)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        address, sent = "", 0
        try:
            while line := (await reader.readline()).decode().strip():
                word = line[:4].upper()
                if word == "EHLO":
                    writer.write(
                        b"250-here\r\n" + (b"250-PIPELINING\r\n" if self.pipelining else b"") + b"250 SIZE\r\n"
                    )
                elif word == "MAIL" and sent >= self.per_connection:
                    writer.write(b"421 enough for one conversation\r\n")
                    return
                elif word == "RCPT":
                    address = line.partition("<")[2].partition(">")[0]
                    said = self.answer("rcpt", address)
                    writer.write(f"{said or '250 ok'}\r\n".encode())
                    address = "" if said else address
                elif word == "DATA":
                    if not address:
                        writer.write(b"503 no valid recipients\r\n")
                        continue
                    writer.write(b"354 go on\r\n")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    said = self.answer("dot", address)
                    if said == "hang up":
                        return
                    if said is None:
                        self.taken.setdefault(address, []).append(content[:-3].replace(b"\r\n..", b"\r\n."))
                        sent += 1
                    writer.write(f"{said or '250 taken'}\r\n".encode())
                    address = ""
                else:
                    writer.write(b"250 ok\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def at_work(relay: Relay, connections: int = 2) -> AsyncIterator[BulkMail]:
    server = await asyncio.start_server(relay.converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bulk = BulkMail(EmailChannel(f"smtp://127.0.0.1:{port}", "W <w@w.example>"), connections=connections)
    try:
        yield bulk
    finally:
        await bulk.close()
        server.close()


def letters(count: int) -> list[Letter]:
    return [
        Letter(f"k{number}", f"c{number}@x.example".encode(), f"Subject: {number}\r\n\r\n..dot\r\n".encode(), "S", "en")
        for number in range(count)
    ]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_every_letter_arrives_once_and_as_it_was(pipelining: bool) -> None:
    relay = Relay(pipelining=pipelining)
    async with at_work(relay) as bulk:
        outcomes = await bulk.send(letters(40))
        outcomes += await bulk.send(letters(50)[40:])
    assert all(isinstance(one, Receipt) for one in outcomes)
    assert [one.provider_id for one in outcomes if isinstance(one, Receipt)][7] == "<k7@w.example>"
    assert relay.taken == {f"c{n}@x.example": [f"Subject: {n}\r\n\r\n.dot\r\n".encode()] for n in range(50)}


@pytest.mark.parametrize("pipelining", [True, False])
async def test_what_the_relay_says_of_one_is_not_said_of_another(pipelining: bool) -> None:
    said = {
        ("rcpt", "c3@x.example"): "550 5.1.1 no such user",
        ("rcpt", "c4@x.example"): "450 4.2.0 greylisted",
        ("dot", "c5@x.example"): "554 5.7.1 looks like spam",
        ("dot", "c6@x.example"): "451 4.3.0 try again",
    }
    relay = Relay(pipelining=pipelining, answer=lambda stage, address: said.get((stage, address)))
    async with at_work(relay, connections=1) as bulk:
        outcomes = await bulk.send(letters(10))
    kinds = {number: type(one) for number, one in enumerate(outcomes) if not isinstance(one, Receipt)}
    assert kinds == {3: Refused, 4: TryLater, 5: Refused, 6: TryLater}
    dead, spam = outcomes[3], outcomes[5]
    assert isinstance(dead, Refused)
    assert isinstance(spam, Refused)
    assert (dead.suppress, spam.suppress) == (True, False)
    assert sorted(relay.taken) == [f"c{n}@x.example" for n in (0, 1, 2, 7, 8, 9)]


async def test_a_relay_that_hangs_up_after_the_dot_leaves_a_doubt_about_that_one_only() -> None:
    relay = Relay(answer=lambda stage, address: "hang up" if (stage, address) == ("dot", "c4@x.example") else None)
    async with at_work(relay, connections=1) as bulk:
        outcomes = await bulk.send(letters(10))
    assert [number for number, one in enumerate(outcomes) if isinstance(one, Unknown)] == [4]
    assert sum(isinstance(one, Receipt) for one in outcomes) == 9
    assert all(len(copies) == 1 for copies in relay.taken.values())


async def test_a_relay_that_wants_few_mails_in_one_conversation_gets_more_conversations() -> None:
    relay = Relay(per_connection=3)
    async with at_work(relay) as bulk:
        outcomes = await bulk.send(letters(20))
    assert all(isinstance(one, Receipt) for one in outcomes)
    assert len(relay.taken) == 20


async def test_where_no_relay_listens_everything_is_put_off() -> None:
    bulk = BulkMail(EmailChannel("smtp://127.0.0.1:1", "W <w@w.example>"))
    assert all(isinstance(one, Away) for one in await bulk.send(letters(5)))
