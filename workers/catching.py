"""The catchers of local work: a mail relay and an SMS provider that deliver to a page instead of to people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from workers.child import Child, program
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
        """From the line of JSON that the catcher prints when it is ready."""
        if "smtp_url" in answer:
            return cls(answer["smtp_url"], answer["inbox_url"])
        return cls(answer["sms_url"], answer["sms_url"])


def mail(settings: Settings, smtp_port: int, inbox_port: int, *, log: Path) -> Child:
    """The mail catcher, not started; its mails are in `mail` of the home folder."""
    ports = ("--smtp-port", str(smtp_port), "--http-port", str(inbox_port))
    command = program("workers.catchers.mail", "--host", settings.host, *ports, "--folder", str(settings.home / "mail"))
    return Child("mail catcher", command, log=log)


def sms(settings: Settings, port: int, *, console_url: str, log: Path) -> Child:
    """The SMS catcher, not started; its texts are in `sms` of the home folder, and answers go to the console."""
    place = ("--host", settings.host, "--port", str(port), "--folder", str(settings.home / "sms"))
    account = ("--account-sid", ACCOUNT, "--auth-token", TOKEN)
    replies = ("--reply-url", f"{console_url}/callbacks/twilio/inbound")
    return Child("SMS catcher", program("workers.catchers.sms", *place, *account, *replies), log=log)


def provider(url: str) -> dict[str, str]:
    """The settings that make the SMS catcher the provider."""
    return {
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "twilio_base_url": url,
        "twilio_from": SENDER,
    }
