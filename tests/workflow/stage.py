"""A whole Waymark for one test: its own namespace and database, a mail server, and a hand on the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle

from activities.calendar import Calendar
from activities.channels.channel import Channel
from activities.channels.email import EmailChannel
from activities.entering.audience import Routed
from activities.publishing import publish
from journeys.loading import parse
from journeys.sending import SendingRules
from records import events
from records.events import StoredEvent
from records.messages import touches
from records.messages.touches import Touch
from records.people import customers, upserts
from records.people.contacts import Contact
from records.people.customers import Customer
from records.runs import enrolments, paths
from records.runs.enrolments import Enrolment
from records.runs.paths import PathStep
from records.sales import tasks
from records.sales.tasks import Task
from tests.patience import PATIENCE
from workers import worker
from workers.composition import Composition, compose
from workers.rests import Rests
from workers.settings import Settings
from workers.virtual_time import VirtualTime

ROOT = Path(__file__).parents[2]


@dataclass
class Mailbox:
    """What a mail server took in: real SMTP, kept in memory."""

    messages: list[EmailMessage] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What happens in the world between taking a message in and saying so."""
    refuse: Callable[[str, str], str | None] = lambda stage, address: None
    """What it says to an address at `rcpt` or `dot` instead of yes."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        said = self.refuse("rcpt", address)
        if said is None:
            envelope.rcpt_tos.append(address)
        return said or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        said = self.refuse("dot", envelope.rcpt_tos[0])
        if said is not None:
            return said
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        if self.meanwhile is not None:
            await self.meanwhile()
        return "250 OK"

    def to(self, address: str) -> list[str]:
        """The subjects of what an address received, in order."""
        return [str(one["Subject"]) for one in self.messages if address in str(one["To"])]


@dataclass
class Stage:
    """Drives one test's journeys. Times are virtual: `now` is where the customer at hand has got to."""

    parts: Composition
    engine: AsyncEngine
    client: Client
    mailbox: Mailbox
    time: VirtualTime
    start: datetime

    async def publish(self, text: str) -> None:
        """Publish a map given as YAML."""
        async with self.engine.begin() as db:
            await publish(db, [parse(text)], now=self.start, by="test")

    async def customer(self, name: str = "Ann", **columns: Any) -> int:
        """A customer who may be written to."""
        address = columns.pop("email", f"{name.lower()}@customers.example")
        contact = Contact(
            first_name=name, email=address, consents=columns.pop("consents", {"email": True, "sms": True}), **columns
        )
        async with self.engine.begin() as db:
            return (await upserts.upsert(db, contact, now=self.start)).id

    async def enrol(self, customer: int, journey: str) -> Enrolment:
        """Enter the customer by hand at the start, and let the run come to rest."""
        run = await self.parts.audience.router.enrol(customer, journey, source="api", now=self.start)
        await self.time.carry_all(customer, self.start)
        await self.settled(customer)
        return await self.run(run.id)

    async def event(
        self, customer: int, name: str, after: timedelta, value: float | None = None, **properties: Any
    ) -> Routed:
        """Let an event happen so long after the start, with everything before it having come to pass."""
        at = self.start + after
        await self.time.meet(customer, at, name)
        routed = await self.parts.audience.ingest(
            customer, name, occurred_at=at, received_at=at, value=value, properties=properties
        )
        assert routed is not None
        await self.time.moved(run for run in routed.woken if run.turn)
        await self.time.carry_all(customer, at)
        await self.settled(customer)
        return routed

    async def pass_time(self, customer: int, after: timedelta) -> None:
        """Let time pass for the customer until a minute more than so long after the start: a run's first turn comes
        some milliseconds after it begins."""
        await self.time.carry_all(customer, self.start + after + timedelta(minutes=1))
        await self.settled(customer)

    async def settled(self, customer: int) -> None:
        """Return when the workflows of a customer's runs stand where the records do, which are written a moment
        before."""
        for run in await self.time.open_runs(customer):
            if not run.turn:
                # A workflow that has just been started answers nothing yet.
                continue
            async with asyncio.timeout(PATIENCE):
                while (await self.handle(run).query("state") or {}).get("turn", 0) < run.turn:
                    await asyncio.sleep(0.02)

    async def run(self, enrolment: int) -> Enrolment:
        async with self.engine.connect() as db:
            return await enrolments.get(db, enrolment)

    async def runs(self, customer: int) -> list[Enrolment]:
        """The customer's runs, in the order of their entry."""
        async with self.engine.connect() as db:
            return await enrolments.listing(db, customer_id=customer)

    async def path(self, enrolment: int) -> list[tuple[str, str]]:
        """The way a run took: kind and step."""
        async with self.engine.connect() as db:
            return [(line.kind, line.step) for line in await paths.taken(db, enrolment)]

    async def touches(self, customer: int) -> list[Touch]:
        """The ledger of a customer, oldest first."""
        async with self.engine.connect() as db:
            return list(reversed(await touches.for_customer(db, customer)))

    async def lines(self, enrolment: int) -> list[PathStep]:
        """The way a run took, with the reasons."""
        async with self.engine.connect() as db:
            return await paths.taken(db, enrolment)

    async def person(self, customer: int) -> Customer:
        async with self.engine.connect() as db:
            return await customers.get(db, customer)

    async def tasks(self) -> list[Task]:
        async with self.engine.connect() as db:
            return await tasks.listing(db)

    async def store(self, customer: int, name: str, after: timedelta, **properties: Any) -> StoredEvent:
        """Put an event into the records and tell nobody, as a crash before the routing does."""
        at = self.start + after
        async with self.engine.begin() as db:
            stored = await events.store(
                db, customer_id=customer, name=name, occurred_at=at, received_at=at, properties=properties
            )
        assert stored is not None
        return stored

    async def details(self, run: Enrolment) -> str:
        """What the Temporal UI shows as the run's present state."""
        metadata = await self.handle(run).query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return str(metadata.current_details)

    async def execution_after(self, run: Enrolment, run_id: str) -> WorkflowExecutionDescription:
        """The execution that a run continues as, once it has: the records are written a moment before."""
        async with asyncio.timeout(PATIENCE):
            while (fresh := await self.handle(run).describe()).run_id == run_id:
                await asyncio.sleep(0.02)
        return fresh

    def handle(self, run: Enrolment) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(run.workflow)


@asynccontextmanager
async def staged(
    engine: AsyncEngine,
    client: Client,
    home: Path,
    *,
    channels: dict[str, Channel] | None = None,
    templates: Path = ROOT / "templates",
    workers: int = 1,
    rules: SendingRules | None = None,
    start: datetime | None = None,
    definitions: Path = ROOT / "definitions",
) -> AsyncIterator[Stage]:
    """A stage whose workers run for the length of the block; it begins at `start`, which may lie in the past.

    The shipped rules of sending do not hold here: each test states its own.
    """
    begins = datetime.now(UTC) + timedelta(minutes=1)
    calendar = Calendar(begins - start if start is not None else timedelta())
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(
        home=home,
        definitions=definitions,
        templates=templates,
        secret="a secret for tests only",
    )
    email = EmailChannel(f"smtp://127.0.0.1:{port}", settings.mail_from)
    given: dict[str, Channel] = channels or {"email": email}
    try:
        async with (
            compose(
                settings, engine=engine, client=client, channels=given, rules=rules or SendingRules(),
                calendar=calendar,
            ) as parts,
            AsyncExitStack() as crew,
        ):  # fmt: skip
            rests = Rests()
            parts = replace(parts, activities=rests.watch(parts.activities))
            for _ in range(workers):
                own = await Client.connect(client.service_client.config.target_host, namespace=client.namespace)
                await crew.enter_async_context(worker.working(replace(parts, client=own)))
            time = VirtualTime(engine, client, rests, calendar.ahead)
            yield Stage(parts, engine, client, mailbox, time, start or begins)
    finally:
        await email.close()
        server.close()
