"""From a send step and a customer to the message that leaves: template, links, headers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from activities.channels.channel import Message
from activities.links import Links
from activities.rendering import CustomerView, Templates
from activities.turns import Taken
from journeys.errors import WaymarkError
from records.customers import Customer
from records.ledger import Recipient


class Unrenderable(Exception):
    """The template cannot be filled in as it stands; the message says file, line and why."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Who writes: what templates know as `workspace`."""

    name: str
    address: str
    url: str


class Composer:
    """Composes messages; `fields` are the custom fields that templates may name."""

    def __init__(self, templates: Templates, links: Links, workspace: Workspace, fields: frozenset[str]) -> None:
        self._templates = templates
        self._links = links
        self._workspace = workspace
        self._fields = fields

    def compose(self, taken: Taken, recipient: Recipient, key: str, at: datetime) -> Message:
        """The message of the send at which the run rests.

        Raises:
            Unrenderable: the template is missing, broken, or names what the customer does not have.
        """
        customer = Customer(**recipient.row)
        name, channel = taken.send.send, taken.send.channel
        unsubscribe = self._links.unsubscribe(customer_id=customer.id, channel=channel, touch_key=key)
        context = {
            "customer": CustomerView.of(customer, self._fields),
            "links": {"unsubscribe": unsubscribe},
            "workspace": self._workspace,
            "journey": taken.program.journey,
            "event": taken.standing.trigger or {},
        }
        address = recipient.address or ""
        try:
            if channel == "sms":
                sms = self._templates.render_sms(name, customer.locale, context)
                return Message(key, address, None, sms.text, None, sms.locale, at)
            email = self._templates.render_email(name, customer.locale, context)
        except WaymarkError as error:
            raise Unrenderable(error.message) from error
        html = self._links.track(email.html, key)
        return Message(key, address, email.subject, email.text, html, email.locale, at, unsubscribe, customer.name)
