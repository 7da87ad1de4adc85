"""From a send step and a customer to the message that leaves: template, links, headers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from activities.calling import compose_call
from activities.channels.channel import Message
from activities.links import Links
from activities.rendering import CustomerView, Templates, Unrenderable
from activities.taken import Taken
from journeys.errors import WaymarkError
from journeys.steps import Webhook
from records.customers import Customer
from records.ledger import Recipient


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
        send, channel = taken.send, taken.send.channel
        if isinstance(send, Webhook):
            return compose_call(
                send.webhook, customer, taken.standing.trigger or {}, journey=taken.journey.journey,
                version=taken.version, step=taken.slot.step, key=key, at=at, fields=self._fields,
            )  # fmt: skip
        name = send.send
        unsubscribe = self._links.unsubscribe(customer_id=customer.id, channel=channel, touch_key=key)
        context = {
            "customer": CustomerView.of(customer, self._fields),
            "links": {"unsubscribe": unsubscribe},
            "workspace": self._workspace,
            "journey": taken.journey,
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
