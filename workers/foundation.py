"""The parts that make journeys go on, of which every process has the same: commands, the console, and workers.

What only workers need, to take turns and to send, is added by `workers.composition`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.broadcasts.studio import Studio
from activities.calendar import Calendar
from activities.entering.audience import Audience, Router
from activities.entering.backfilling import Backfill
from activities.entering.entrance import Entrance
from activities.entering.herds import Herds
from activities.figures.membership import Membership
from activities.figures.rescorer import Rescorer
from activities.figures.scoring import Scoring
from activities.figures.upkeep import Upkeep
from activities.figures.valuing import Stages, Valuing
from activities.messages.links import Links
from activities.operating.holding import Holding
from activities.operating.migrating import Migrating
from activities.operating.steering import Steering
from activities.people.merging import Merging
from activities.sales.desk import Desk
from activities.sales.handoff import Handoff
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from activities.turns.programs import Programs
from journeys import sales
from journeys.fields import Fields, load_fields
from journeys.sales import Sales
from workers import temporal
from workers.databases import database
from workers.running import resolve
from workers.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The parts, ready for use; closing them is the business of `found`."""

    settings: Settings
    engine: AsyncEngine
    client: Client
    calendar: Calendar
    links: Links
    fields: Fields
    programs: Programs
    entrance: Entrance
    audience: Audience
    membership: Membership
    upkeep: Upkeep
    valuing: Valuing
    scoring: Scoring
    rescorer: Rescorer
    herds: Herds
    backfill: Backfill
    merging: Merging
    holding: Holding
    steering: Steering
    migrating: Migrating
    sales: Sales | None
    office: Office
    handoff: Handoff
    keepers: Keepers
    desk: Desk
    studio: Studio


def links(settings: Settings) -> Links:
    """The maker of links, on the console's public address: the given one, or where it runs by default."""
    return Links(settings.link_secret(), settings.console_url or f"http://{settings.host}:{settings.console_port}")


@asynccontextmanager
async def found(
    settings: Settings,
    *,
    engine: AsyncEngine | None = None,
    client: Client | None = None,
    calendar: Calendar | None = None,
    patient: bool = False,
    lazy: bool = False,
) -> AsyncIterator[Foundation]:
    """All of them, built from the settings unless given; what is built here is closed at the end.

    The settings are completed by a stack that runs over the home folder. `patient` waits for the Temporal server to
    come up instead of raising; `lazy` does without it until it is used. `calendar` is a rehearsal's.
    """
    settings = resolve(settings)
    fields = load_fields(settings.definitions / "fields.yaml")
    names, zone = frozenset(fields), settings.workspace_time_zone
    team = sales.load(settings.definitions, names)
    async with AsyncExitStack() as closing:
        if engine is None:
            engine = await closing.enter_async_context(database(settings, ping=not patient))
        if client is None:
            client = await temporal.connect(settings, patient=patient, lazy=lazy)
        calendar, programs = calendar or Calendar(), Programs()
        entrance = Entrance(programs, zone)
        router = Router(engine, client, programs, entrance, calendar)
        office, handoff = Office(engine, team, calendar, zone), Handoff(team, names, zone)
        keepers = Keepers(office, client)
        router.afterwards = keepers.launch_for
        membership, herds = Membership(engine, router), Herds(engine, router, entrance)
        valuing = Valuing(engine, router, Stages(settings.definitions / "lifecycle.yaml", fields), zone)
        scoring = Scoring(engine, router, handoff, calendar)
        upkeep = Upkeep(valuing, scoring, membership)
        yield Foundation(
            settings=settings,
            engine=engine,
            client=client,
            calendar=calendar,
            links=links(settings),
            fields=fields,
            programs=programs,
            entrance=entrance,
            audience=Audience(engine, router, upkeep.after, upkeep.figures),
            membership=membership,
            upkeep=upkeep,
            valuing=valuing,
            scoring=scoring,
            rescorer=Rescorer(client),
            herds=herds,
            backfill=Backfill(engine, herds, programs),
            merging=Merging(engine, router, upkeep.after),
            holding=Holding(engine, router),
            steering=Steering(engine, router, programs),
            migrating=Migrating(engine, router),
            sales=team,
            office=office,
            handoff=handoff,
            keepers=keepers,
            desk=Desk(office, router, keepers),
            studio=Studio(engine, client, calendar),
        )
