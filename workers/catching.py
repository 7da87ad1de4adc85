"""The catchers of local work: a mail relay and an SMS provider that deliver to a page instead of to people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from workers.child import Child
from workers.settings import Settings

ACCOUNT = "ACwaymarklocal"
TOKEN = "local"  # noqa: S105
SENDER = "+15005550006"
"""What the SMS catcher takes for the account, its token and the sender; nobody else knows them."""


@dataclass(frozen=True)
class Answer:
    """Where a catcher takes messages, and where a person reads them."""

    send: str
    page: str

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        raise NotImplementedError


def mail(settings: Settings, smtp_port: int, inbox_port: int, *, log: Path) -> Child:
    """The mail catcher, not started."""
    raise NotImplementedError


def sms(settings: Settings, port: int, *, log: Path) -> Child:
    """The SMS catcher, not started."""
    raise NotImplementedError


def provider(url: str) -> dict[str, str]:
    """The settings that make the SMS catcher the provider."""
    return {
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "twilio_base_url": url,
        "twilio_from": SENDER,
    }
