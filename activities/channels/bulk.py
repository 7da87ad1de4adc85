"""Mails in bulk over SMTP: several conversations at once, each kept open for as long as it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from activities.channels.channel import Outcome, TryLater
from activities.channels.conversation import PER_CONNECTION, Conversation
from activities.channels.email import EmailChannel
from activities.channels.letters import Bundle, Letter
from activities.channels.relay import Pool

MOST_FAILURES = 3
"""Conversations that may break in a row before the rest of the mails are put off."""


class BulkMail:
    """Hands letters over to the relay of an email channel, over at most `connections` conversations at once.

    They are kept open between calls; `close` ends them.
    """

    def __init__(self, channel: EmailChannel, *, connections: int = 4) -> None:
        self._channel = channel
        self._connections = connections
        self._pool = Pool(channel.relay, channel.timeouts, size=connections)
        self._idle: list[Conversation] = []

    async def send(self, letters: Sequence[Letter]) -> list[Outcome]:
        """Hand them over; what became of each, in their order. Never raises what concerns a letter."""
        bundle = Bundle(letters)
        await asyncio.gather(*(self._work(bundle) for _ in range(min(self._connections, len(letters)))))
        return bundle.outcomes

    async def close(self) -> None:
        """Say goodbye on every conversation."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(one.quit() for one in idle))

    async def _work(self, bundle: Bundle) -> None:
        """Carry letters for as long as there are any, over one conversation after another."""
        failures = 0
        while bundle.waiting:
            try:
                talk = self._idle.pop() if self._idle else await self._open()
            except TryLater as later:
                bundle.put_off(later)
                return
            try:
                before = bundle.done
                await talk.carry(bundle)
                failures = 0 if bundle.done > before else failures + 1
            except BaseException:
                talk.abort()
                raise
            if not talk.usable:
                talk.abort()
                if failures >= MOST_FAILURES:
                    bundle.put_off(talk.lost)
            elif talk.sent >= PER_CONNECTION:
                await talk.quit()
            else:
                self._idle.append(talk)

    async def _open(self) -> Conversation:
        return Conversation(await self._pool.open(), self._channel)
