"""Steps that send: a message on a channel, a call of another system."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

from journeys.conditions import ChannelName, MessageName, Model, Whole
from journeys.sending import Window
from journeys.steps.step import Policy, Step

AnyWindow = Annotated[
    Annotated[Window, Tag("hours")] | Annotated[Literal["any"], Tag("any")],
    Discriminator(lambda value: "any" if isinstance(value, str) else "hours"),
]
"""The hours in which a message may go, or `any` hour."""


class Send(Step):
    """Send a message.

    `if_uncertain` says what to do when a crash leaves unknown whether it went. `window`, `if_quiet` and `if_capped`
    stand before those of the journey. A `transactional` message, such as a receipt, is not held back by windows,
    quiet hours, caps, a holdout or a missing consent.
    """

    send: MessageName
    if_uncertain: Literal["hold", "resend", "go_on"] = "hold"
    transactional: bool = False
    window: AnyWindow | None = None
    if_quiet: Policy | None = None
    if_capped: Policy | None = None

    @property
    def channel(self) -> ChannelName:
        return "email" if self.send.startswith("email/") else "sms"

    @property
    def message(self) -> str:
        """The message's name in the ledger."""
        return self.send

    @property
    def summary(self) -> str:
        """What operators read on the delivery."""
        return f"send {self.send}"


class WebhookCall(Model):
    """A call of another system: a signed POST. `fields` are those of the customer that go along; the strings in
    `body` are templates; `timeout` is in seconds."""

    url: Annotated[str, Field(max_length=2000)]
    fields: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]] = Field(default_factory=list)
    body: dict[str, Any] = Field(default_factory=dict)
    timeout: Annotated[Whole, Field(ge=1, le=60)] = 10

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"{url!r} is no web address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or "{" in url:
            raise ValueError(f"{url!r} is no web address: write https://host/path, without variables")
        if parts.username or parts.password:
            raise ValueError("a web address here holds no name and no password: calls are signed")
        return url


class Webhook(Step):
    """Call another system. A repeat carries the same id, so an uncertain call is made again unless said otherwise."""

    webhook: WebhookCall
    if_uncertain: Literal["hold", "resend", "go_on"] = "resend"

    @property
    def channel(self) -> str:
        return "webhook"

    @property
    def message(self) -> str:
        """The call's name in the ledger: the host that is called."""
        return f"webhook/{urlsplit(self.webhook.url).hostname}"

    @property
    def transactional(self) -> bool:
        return True

    @property
    def summary(self) -> str:
        """What operators read on the delivery."""
        return f"call {urlsplit(self.webhook.url).hostname}"


Delivered = Send | Webhook
"""The steps that a channel delivers."""
