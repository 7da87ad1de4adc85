"""What every channel is: one `send`, and four ways in which it can end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message to one person.

    `key` identifies the message for ever: a second attempt carries the same one, so that a provider or a
    recipient's mailbox can tell the copy from a new message. `at` is when the message was decided on; it is
    timezone-aware and need not be the present (rehearsals run in virtual time). `address` is a mail address,
    a phone number in E.164, or the URL of a webhook. `timeout` is how many seconds a webhook may take, when it
    says so. Raises `ValueError` for a naive `at` or an empty `key`.
    """

    key: str
    address: str
    subject: str | None
    text: str
    html: str | None
    locale: str
    at: datetime
    unsubscribe_url: str | None = None
    name: str | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("Message.at must be timezone-aware")
        if not self.key:
            raise ValueError("Message.key must not be empty")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider has taken responsibility for the message.

    `provider_id` is what its later callbacks will name; `detail` is one line for the timeline.
    """

    provider_id: str | None
    detail: str


class ChannelError(Exception):
    """A message was not sent, or may not have been. `reason` is one line fit for a report."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(ChannelError):
    """Permanent: this message to this address will never do. Do not try again.

    `suppress` is true only when the address itself is dead or its owner has opted out at the provider, so
    that nothing further must be sent to it. `message` is true when what is refused is the message or who sends it,
    whoever it is for: the next one like it will be refused too, and after mending this one may pass.
    """

    def __init__(self, reason: str, *, suppress: bool = False, message: bool = False) -> None:
        super().__init__(reason)
        self.suppress = suppress
        self.message = message


class TryLater(ChannelError):
    """Temporary, and surely not sent: try the same message again.

    `after` is the least delay that the provider asked for, if it did. `configuration` means that no message
    will pass until somebody corrects a setting: pause the channel, not the contact; `hint` says what to look at.
    """

    def __init__(
        self,
        reason: str,
        *,
        after: timedelta | None = None,
        configuration: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.configuration = configuration
        self.hint = hint


class Away(TryLater):
    """The provider cannot be reached, or takes nothing now: says nothing about the message or whom it is for."""


class Unknown(ChannelError):
    """We handed the message over and heard nothing back: it may have gone.

    Trying again may send it twice, so that is for the message's policy to decide, never for a retry loop. A
    task cancelled at that same point raises `asyncio.CancelledError` and leaves the same doubt.
    """


Outcome = Receipt | ChannelError
"""How handing over one message ended."""


class Channel(Protocol):
    """A way to reach a customer. Safe for concurrent use within one event loop."""

    @property
    def name(self) -> str:
        """The channel's name in maps and consents, such as `email`."""
        ...

    async def send(self, message: Message) -> Receipt:
        """Hand one message over. Raises `Refused`, `TryLater` or `Unknown`, and nothing else of its own."""
        ...

    async def check(self) -> str:
        """Try the provider without sending; one line for `waymark doctor`. Raises `WaymarkError`."""
        ...

    async def close(self) -> None:
        """Let go of all connections. The channel may be used again afterwards."""
        ...
