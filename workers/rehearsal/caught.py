"""Channels of a rehearsal: they keep every message, and nothing leaves."""

from __future__ import annotations

from activities.channels.channel import Message, Receipt

CHANNELS = ("email", "sms", "webhook")


class Caught:
    """A channel that takes everything and sends nothing; `messages` holds what it took, by the touch's key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: dict[str, Message] = {}

    async def send(self, message: Message) -> Receipt:
        """Keep the message."""
        self.messages[message.key] = message
        return Receipt(None, "caught in a rehearsal")

    async def check(self) -> str:
        """There is nothing that could fail."""
        return "rehearsal"

    async def close(self) -> None:
        """There is nothing to let go of."""


def channels() -> dict[str, Caught]:
    """One of each."""
    return {name: Caught(name) for name in CHANNELS}
