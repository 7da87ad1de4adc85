"""Many events at once, from the API or a file: whose they are, stored by sets, then carried to their journeys.

Storing is one transaction a batch. What journeys may hear of is routed afterwards; wherever the process dies, the
sweep finds the rest.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.entering.audience import Routed, Router
from activities.intake.contacts import read_email, read_phone
from activities.intake.incoming import Unknown
from journeys.identities import DEFAULT, IdentityRules, Key, one_spelling
from records import events, incoming
from records.incoming import Incoming, Told

ATTEMPTS = 5
_INTERNATIONAL = re.compile(r"\+.*|00[1-9][\d\s()./-]{6,}")
"""A phone number, where it says so itself. 00001 is the first of many customers."""
_CONFLICTS = ("23503", "23505", "40P01", "40001")
"""SQLSTATEs of what another transaction did meanwhile: a customer was merged or made, two waited for each other."""
Result = TypeVar("Result")


class Outcome(NamedTuple):
    """What became of one event: `stored`, `duplicate` or `rejected` (and why); `event` is its number in the records."""

    status: Literal["stored", "duplicate", "rejected"]
    event: int | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The outcomes of a batch, in its order. `heard` are the numbers of the stored events that journeys may hear of;
    `customers` those to whom something happened; `created` how many of them are new."""

    outcomes: list[Outcome]
    heard: list[int] = field(default_factory=list)
    customers: frozenset[int] = frozenset()
    created: int = 0


class Contended(Exception):
    """Somebody else made one of the customers at this moment: the batch is to be done again."""


class Ingesting:
    """Stores batches of events."""

    def __init__(self, database: AsyncEngine, router: Router, rules: IdentityRules = DEFAULT) -> None:
        self.database = database
        self._router = router
        self._rules = rules

    async def heard(self, db: AsyncConnection) -> frozenset[str]:
        """The names of events that concern any journey."""
        return await self._router.triggers.heard(db)

    async def take(self, told: Sequence[Told], *, now: datetime, unknown: Unknown) -> Batch:
        """Store a batch in one transaction. Bare numbers name customers by our own ids, too."""

        async def work() -> Batch:
            async with self.database.begin() as db:
                return await self.store(db, told, [one.key for one in told], now=now, unknown=unknown, ours=True)

        return await patiently(work)

    async def route(self, numbers: Sequence[int], now: datetime) -> list[Routed]:
        """Carry stored events to their journeys; see `Router.route_page`."""
        return await self._router.route_numbers(numbers, now) if numbers else []

    async def store(
        self,
        db: AsyncConnection,
        told: Sequence[Told],
        keys: Sequence[str | None],
        *,
        now: datetime,
        unknown: Unknown,
        ours: bool = False,
        history: bool = False,
    ) -> Batch:
        """Store events under these keys. Those of `history` are stored as routed: no journey hears of them.

        Raises:
            Contended: do it again.
        """
        await events.keep_publications_out(db)
        heard = frozenset[str]() if history else await self.heard(db)
        whose, refused, fresh = await self.whose(db, told, unknown=unknown, ours=ours)
        if fresh:
            made = await incoming.introduce(db, fresh.values(), now)
            if made is None:
                raise Contended
            whose |= {name: made[key] for name, key in fresh.items()}
        rows = [
            Incoming(whose[name], one, key)
            for one, key in zip(told, keys, strict=True)
            if (name := one.reference) in whose
        ]
        numbers = await incoming.store(db, rows, received_at=now, heard=heard)
        touched = frozenset(row.customer_id for row, number in zip(rows, numbers, strict=True) if number is not None)
        batch, stored = Batch([], created=len(set(fresh.values())), customers=touched), iter(numbers)
        for one in told:
            if (because := refused.get(one.reference)) is not None:
                batch.outcomes.append(Outcome("rejected", because=because))
            elif (number := next(stored)) is None:
                batch.outcomes.append(Outcome("duplicate"))
            else:
                batch.outcomes.append(Outcome("stored", number))
                if one.name in heard:
                    batch.heard.append(number)
        return batch

    async def whose(
        self, db: AsyncConnection, told: Iterable[Told], *, unknown: Unknown, ours: bool = False
    ) -> tuple[dict[str, int], dict[str, str], dict[str, Key]]:
        """By reference: the customers, why others are refused, and the keys of those who are to be made."""
        asked = {one.reference: one for one in told}
        means = {name: _means(one, ours) for name, one in asked.items()}
        customers: dict[str, int] = {}
        refused: dict[str, str] = {}
        fresh: dict[str, Key] = {}
        for name, found in (await incoming.whose(db, means)).items():
            who = asked[name].who
            if len(found) == 1:
                customers[name] = next(iter(found))
            elif found:
                refused[name] = f"{who!r} names two customers: write id:{who} or external_id:{who}"
            elif unknown == "refuse":
                refused[name] = f"nobody goes by {who!r}"
            else:
                try:
                    fresh[name] = self._newcomer(asked[name])
                except ValueError as error:
                    refused[name] = str(error)
        return customers, refused, fresh

    def _newcomer(self, told: Told) -> Key:
        """The one name by which somebody new is known. Raises ValueError for what names nobody."""
        kind, who = _named(told)
        if kind == "id":
            raise ValueError(f"there is no customer {who}")
        if kind == "customer":
            kind = "email" if "@" in who else "phone" if _INTERNATIONAL.fullmatch(who) else "external_id"
        value = read_email(who) if kind == "email" else read_phone(who) if kind == "phone" else who
        if not self._rules.joins(kind, value):
            raise ValueError(f"{value!r} may be of several people: name the customer in another way")
        return kind, value


async def patiently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do work of one transaction; again, when another transaction came in between."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await work()
        except (Contended, DBAPIError) as error:
            state = getattr(getattr(error, "orig", None), "sqlstate", None)
            if attempt == ATTEMPTS or not (isinstance(error, Contended) or state in _CONFLICTS):
                raise
    raise AssertionError("unreachable")


def digest_of(told: Told) -> bytes:
    """What makes an event the same as another that has no key of its own: all that is said of it."""
    value = "" if told.value is None else f"{told.value.normalize():f}"
    properties = sorted((name, repr(one)) for name, one in told.properties.items())
    said = (told.kind, told.who, told.name, told.at.isoformat(), value, properties)
    return blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _named(told: Told) -> tuple[str, str]:
    """The kind of name and the name: `external_id:42` says it itself."""
    kind, colon, rest = told.who.partition(":")
    if told.kind == "customer" and colon and kind in ("id", "external_id", "email", "phone"):
        return kind, rest.strip()
    return told.kind, told.who


def _means(told: Told, ours: bool) -> tuple[list[Key], int | None]:
    """The keys that a reference may mean, and the number of ours, where it may be one."""
    kind, who = _named(told)
    number = int(who) if who.isascii() and who.isdigit() and len(who) < 19 else None
    if kind != "customer":
        return ([], number) if kind == "id" else ([(kind, _spelled(kind, who))], None)
    keys: list[Key] = [("external_id", one_spelling("external_id", who))]
    if "@" in who:
        keys.append(("email", _spelled("email", who)))
    elif re.search(r"\d{5}", re.sub(r"\D", "", who)):
        keys.append(("phone", _spelled("phone", who)))
    return keys, number if ours else None


def _spelled(kind: str, who: str) -> str:
    value = one_spelling(kind, who)
    return "+" + value[2:] if kind == "phone" and value.startswith("00") else value
