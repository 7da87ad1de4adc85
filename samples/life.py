"""What can happen to the people of the sample, and the clock by which it does."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

from people import Person

HOUR, DAY = 60, 24 * 60
"""In minutes, the unit of all times here."""
LATE = 18
"""Hours after which a message that was due at night, or outside its window, has gone for certain."""


@dataclass(frozen=True, order=True)
class Happening:
    """One row of events.csv; `at` is minutes from the start of the demo."""

    at: int
    customer: str
    event: str
    message: str = ""
    value: str = ""
    properties: str = ""

    def row(self) -> list[str]:
        """The cells in the order of the columns."""
        days, rest = divmod(self.at, DAY)
        hours, minutes = divmod(rest, HOUR)
        parts = ((days, "d"), (hours, "h"), (minutes, "m"))
        at = "+" + ("".join(f"{count}{unit}" for count, unit in parts if count) or "0m")
        return [self.customer, self.event, at, self.message, self.value, self.properties]


@dataclass
class Life:
    """A person, what happens to them, and the clock of the story in which it does."""

    person: Person
    dice: random.Random
    now: int = 0
    happenings: list[Happening] = field(default_factory=list)

    def do(
        self, event: str, *, at: int | None = None, message: str = "", value: str = "", **properties: object
    ) -> None:
        """Something happens now, or at another time, which leaves the clock alone."""
        self.happenings.append(
            Happening(
                self.now if at is None else at,
                self.person.external_id,
                event,
                message,
                value,
                json.dumps(properties, ensure_ascii=False) if properties else "",
            )
        )

    def after(self, least: float, most: float) -> int:
        """A time between so many hours from now."""
        return self.now + self.dice.randint(int(least * HOUR), int(most * HOUR))

    def opens(self, message: str, least: float = LATE, most: float = 40) -> None:
        """Opens a message that was sent now, or, when now is at night, in the morning."""
        self.do("email.opened", at=self.after(least, most), message=message)

    def clicks(self, message: str, least: float = LATE, most: float = 44) -> None:
        """Opens a message and follows its link; the story goes on from the click."""
        self.now = self.after(least, most)
        self.do("email.opened", at=self.now - self.dice.randint(1, 25), message=message)
        self.do("email.clicked", message=message)

    def may_open(self, message: str, least: float = LATE, most: float = 40) -> None:
        """Opens a message on which nothing depends, or does not."""
        if self.dice.random() < 0.55:
            self.opens(message, least, most)

    def replies(self, message: str, text: str, least: float = LATE, most: float = 44) -> None:
        """Answers a text message; the story goes on from the answer."""
        self.now = self.after(least, most)
        self.do("sms.replied", message=message, text=text)

    def browses(self, least: float, most: float) -> str:
        """Puts coffee into a basket, some hours from now; which one it is."""
        self.now = self.after(least, most)
        cart = f"C{self.person.external_id[1:]}"
        self.do("cart.updated", cart=cart, amount=self.dice.choice([24, 32, 48, 64]), items=self.dice.randint(1, 3))
        return cart

    def orders(self, value: float, least: float, most: float, cart: str = "") -> None:
        """Places an order, some hours from now."""
        self.now = self.after(least, most)
        order = f"O{self.person.external_id[1:]}"
        items, worth = self.dice.randint(1, 3), f"{value:g}"
        if cart:
            self.do("order.placed", value=worth, order=order, items=items, cart=cart)
        else:
            self.do("order.placed", value=worth, order=order, items=items)

    def days(self, count: int) -> None:
        """So many days go by."""
        self.now += count * DAY
