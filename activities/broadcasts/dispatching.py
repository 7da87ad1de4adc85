"""Ways to hand over many messages: mails in bulk, and one by one over any other channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from activities.broadcasts.press import Press
from activities.channels.bulk import BulkMail
from activities.channels.channel import Channel, ChannelError, Message, Outcome
from activities.channels.email import EmailChannel
from activities.channels.letters import Letter
from activities.messages.composing import Composer
from journeys.broadcast import Broadcast
from records.people.customers import Customer

AT_ONCE = 8
"""Messages under way at once over a channel that has no way of its own for many."""


class Dispatch(Protocol):
    """A way to hand over many messages of one broadcast."""

    def write(
        self, of: Broadcast, arm: str | None, to: Customer, address: str, key: str, at: datetime
    ) -> Letter | Message:
        """The message to one customer. Raises `Unrenderable` and `Unsendable`."""
        ...

    async def send(self, written: Sequence[Any]) -> list[Outcome]:
        """Hand messages over; what became of each, in their order."""
        ...


@contextlib.asynccontextmanager
async def dispatching(channel: Channel, composer: Composer, of: Broadcast) -> AsyncIterator[Dispatch]:
    """The best way that a channel has for many messages, for the length of the block."""
    about = {"journey": {"title": of.title}, "event": {}}
    if not isinstance(channel, EmailChannel):
        yield _OneByOne(channel, composer, about)
        return
    bulk = BulkMail(channel)
    try:
        yield _Mails(bulk, Press(composer, channel.sender, about))
    finally:
        await bulk.close()


class _Mails:
    """Mails over pipelined conversations."""

    def __init__(self, bulk: BulkMail, press: Press) -> None:
        self._bulk = bulk
        self._press = press

    def write(self, of: Broadcast, arm: str | None, to: Customer, address: str, key: str, at: datetime) -> Letter:
        return self._press.letter(of.message(arm), partial(of.subject, arm), to, address, key, at)

    async def send(self, written: Sequence[Letter]) -> list[Outcome]:
        return await self._bulk.send(written)


class _OneByOne:
    """Messages over a channel as for a journey, some at once."""

    def __init__(self, channel: Channel, composer: Composer, about: Mapping[str, Any]) -> None:
        self._channel = channel
        self._composer = composer
        self._about = about
        self._gate = asyncio.Semaphore(AT_ONCE)

    def write(self, of: Broadcast, arm: str | None, to: Customer, address: str, key: str, at: datetime) -> Message:
        return self._composer.message(of.message(arm), to, address, key, at, self._about, partial(of.subject, arm))

    async def send(self, written: Sequence[Message]) -> list[Outcome]:
        return await asyncio.gather(*(self._one(message) for message in written))

    async def _one(self, message: Message) -> Outcome:
        async with self._gate:
            try:
                return await self._channel.send(message)
            except ChannelError as problem:
                return problem
