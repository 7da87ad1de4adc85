"""From a send step and a customer to the message that leaves: template, links, headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.channels.channel import Message
from activities.messages.calling import compose_call
from activities.messages.links import Links
from activities.messages.rendering import CustomerView, Templates, Unrenderable, render_line
from activities.turns.taken import Taken
from journeys.errors import WaymarkError
from journeys.steps.sends import Webhook
from records.messages.ledger import Recipient
from records.people.customers import Customer


@dataclass(frozen=True, slots=True)
class Workspace:
    """Who writes: what templates know as `workspace`."""

    name: str
    address: str
    url: str


class Composer:
    """Composes messages; `fields` are the custom fields that templates may name."""

    def __init__(self, templates: Templates, links: Links, workspace: Workspace, fields: frozenset[str]) -> None:
        self.templates = templates
        self.links = links
        self.fields = fields
        self._workspace = workspace

    def compose(self, taken: Taken, recipient: Recipient, key: str, at: datetime) -> Message:
        """The message of the send at which the run rests.

        Raises:
            Unrenderable: the template is missing, broken, or names what the customer does not have.
        """
        customer = Customer(**recipient.row)
        send = taken.send
        if isinstance(send, Webhook):
            return compose_call(
                send.webhook, customer, taken.standing.trigger or {}, journey=taken.journey.journey,
                version=taken.version, step=taken.slot.step, key=key, at=at, fields=self.fields,
            )  # fmt: skip
        context = {"journey": taken.journey, "event": taken.standing.trigger or {}}
        return self.message(send.send, customer, recipient.address or "", key, at, context)

    def message(
        self,
        name: str,
        customer: Customer,
        address: str,
        key: str,
        at: datetime,
        about: Mapping[str, Any],
        subject: Callable[[str], str | None] | None = None,
    ) -> Message:
        """A message to one customer; `about` is what templates know as `journey` and `event`, `subject`
        gives for a locale a template that stands in place of the message's own.

        Raises:
            Unrenderable: the template is missing, broken, or names what the customer does not have.
        """
        channel = name.partition("/")[0]
        unsubscribe = self.links.unsubscribe(customer_id=customer.id, channel=channel, touch_key=key)
        context = {
            **self.context(about),
            "customer": CustomerView.of(customer, self.fields),
            "links": {"unsubscribe": unsubscribe},
        }
        try:
            if channel == "sms":
                sms = self.templates.render_sms(name, customer.locale, context)
                return Message(key, address, None, sms.text, None, sms.locale, at)
            email = self.templates.render_email(name, customer.locale, context)
            own = subject(email.locale) if subject is not None else None
            title = render_line(own, context) if own is not None else email.subject
        except WaymarkError as error:
            raise Unrenderable(error.message) from error
        html = self.links.track(email.html, key)
        return Message(key, address, title, email.text, html, email.locale, at, unsubscribe, customer.name)

    def context(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """What templates know beside the customer and its links."""
        return {"workspace": self._workspace, **about}
