"""Mails as they go over the wire, and what became of each of many."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from activities.channels import mime
from activities.channels.channel import Away, Message, Outcome, TryLater
from activities.channels.email import stuffed
from activities.channels.mime import Mailbox


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail as it goes over the wire: `content` has its dots doubled and ends a line."""

    key: str
    address: bytes
    content: bytes
    subject: str | None
    locale: str
    international: bool = False

    @classmethod
    def of(cls, message: Message, sender: Mailbox) -> Self:
        """The mail that a message makes. Raises `mime.Unsendable`."""
        recipient = Mailbox.parse(message.address, message.name)
        try:
            content = stuffed(mime.compose(message, sender, recipient))
        except UnicodeError as error:
            raise mime.Unsendable(str(error)) from None
        international = sender.needs_smtputf8 or recipient.needs_smtputf8
        return cls(message.key, recipient.address.encode(), content, message.subject, message.locale, international)


class Bundle:
    """Letters on their way: which wait, and what became of the others."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self.letters = letters
        self.waiting = deque(range(len(letters)))
        self.outcomes: list[Outcome] = [TryLater("it was not tried")] * len(letters)
        self.done = 0

    def take(self) -> int | None:
        return self.waiting.popleft() if self.waiting else None

    def end(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.done += 1

    def put_off(self, later: TryLater) -> None:
        """Nothing more can be handed over."""
        away = Away(later.reason, after=later.after, configuration=later.configuration, hint=later.hint)
        while (number := self.take()) is not None:
            self.outcomes[number] = away
