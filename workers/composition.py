"""The composition root: the one place that knows which parts make up a running Waymark.

Every part can be given instead of built, so that tests and rehearsals exchange one and keep the rest.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.advance import Advance
from activities.audience import Audience, Router
from activities.backfilling import Backfill
from activities.broadcasts.admission import Admission
from activities.broadcasts.broadcasting import Broadcasting
from activities.broadcasts.planning import Planning, Waves
from activities.broadcasts.proofs import Proofs
from activities.broadcasts.studio import Studio
from activities.calendar import Calendar
from activities.channels.channel import Channel
from activities.channels.email import EmailChannel
from activities.channels.sms import SmsChannel
from activities.channels.webhook import WebhookChannel
from activities.composing import Composer, Workspace
from activities.delivery import Delivery
from activities.effects import Effects
from activities.entering import Entering
from activities.entrance import Entrance
from activities.gates import Gates
from activities.gates import load as load_rules
from activities.herds import Herds
from activities.links import Links
from activities.membership import Membership
from activities.programs import Programs
from activities.rendering import Templates
from activities.sales.desk import Desk
from activities.sales.handoff import Handoff
from activities.sales.promises import Promises
from activities.sales.salesmail import SalesMails
from activities.sales.selling import Selling
from activities.scoring import Scoring
from activities.sweeping import Sweeping
from activities.turns import Turns
from activities.upkeep import Upkeep
from activities.valuing import Valuing
from journeys import lifecycle, sales
from journeys.broadcasting import BroadcastRun
from journeys.errors import WaymarkError
from journeys.fields import Fields, load_fields
from journeys.figures import NightlyFigures, Rescoring
from journeys.instruction import QUEUE, channel_queue
from journeys.sales import Sales
from journeys.salestask import SalesDay, SalesSweep, SalesTask
from journeys.sending import SendingRules
from journeys.timetable import DatedEntries, ScheduledEntry, SegmentRefresh
from journeys.workflow import CustomerJourney, Sweep
from records import migration
from records.database import create_engine
from workers import running, temporal
from workers.content import shipped
from workers.salesdays import SalesDays
from workers.schedules import Timetable
from workers.server.postgres import EmbeddedPostgres
from workers.settings import Settings, variable


class DatabaseAwayError(WaymarkError):
    """The database does not answer. Check WAYMARK_DATABASE_URL and the server, then try again."""


@dataclass(frozen=True)
class Composition:
    """The parts of one process, ready for use; closing them is the business of `compose`."""

    settings: Settings
    engine: AsyncEngine
    client: Client
    links: Links
    fields: Fields
    templates: Templates
    channels: Mapping[str, Channel]
    audience: Audience
    membership: Membership
    upkeep: Upkeep
    valuing: Valuing
    scoring: Scoring
    entering: Entering
    backfill: Backfill
    sweeping: Sweeping
    sales: Sales | None
    promises: Promises
    desk: Desk
    studio: Studio
    proofs: Proofs
    activities: Mapping[str, Sequence[Callable[..., Any]]]
    """The activities of each task queue."""
    workflows: Sequence[type] = (
        CustomerJourney,
        BroadcastRun,
        Sweep,
        ScheduledEntry,
        DatedEntries,
        SegmentRefresh,
        NightlyFigures,
        Rescoring,
        SalesTask,
        SalesDay,
        SalesSweep,
    )


def embedded(settings: Settings) -> EmbeddedPostgres:
    """The PostgreSQL server of the home folder, not started."""
    return EmbeddedPostgres(settings.home / "postgres")


def resolve(settings: Settings) -> Settings:
    """The settings, completed by the stack that runs over the home folder: what is given comes first, then that."""
    local = running.read(settings.home)
    if local is None or not local.ready:
        return settings
    provider_given = settings.twilio_account_sid is not None
    found = {
        name: SecretStr(value) if name == "twilio_auth_token" else value
        for name, value in local.settings.items()
        if (not provider_given if name.startswith("twilio_") else getattr(settings, name) is None)
    }
    return settings.model_copy(update=found)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The address of the database for as long as it is needed.

    Where the settings name none, the embedded server is started, brought up to date, and stopped afterwards unless
    somebody else uses it.
    """
    if settings.database_url:
        yield settings.database_url
        return
    server = embedded(settings)
    url = await anyio.to_thread.run_sync(lambda: server.start())
    try:
        await anyio.to_thread.run_sync(migration.migrate, url)
        yield url
    finally:
        await anyio.to_thread.run_sync(server.stop)


@asynccontextmanager
async def database(settings: Settings, *, migrated: bool = True, ping: bool = True) -> AsyncIterator[AsyncEngine]:
    """The engine of the database, disposed of at the end; `ping` is that of `create_engine`.

    Raises DatabaseAwayError when it does not answer, and WaymarkError when its tables are not those of this release
    (unless `migrated` is false).
    """
    async with database_url(resolve(settings)) as url:
        try:
            missing = await anyio.to_thread.run_sync(migration.pending, url) if migrated else []
        except (DBAPIError, OSError) as error:
            raise away(error) from None
        if missing:
            raise WaymarkError(
                f"The database lacks {len(missing)} of this release's migrations.", hint="Run `waymark migrate` first."
            )
        engine = create_engine(url, pool_size=settings.database_connections, ping=ping)
        try:
            yield engine
        except DBAPIError as error:
            if error.connection_invalidated:
                raise away(error) from None
            raise
        finally:
            await engine.dispose()


def away(error: Exception) -> DatabaseAwayError:
    """What to tell a person when the database does not answer."""
    reason = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
    return DatabaseAwayError(
        f"The database does not answer: {reason[0][:200]}",
        hint="Check WAYMARK_DATABASE_URL and the server; unset the variable for the embedded database.",
    )


def links(settings: Settings) -> Links:
    """The maker of links, on the console's public address: the given one, or where it runs by default."""
    return Links(settings.link_secret(), settings.console_url or f"http://{settings.host}:{settings.console_port}")


def build_channels(settings: Settings) -> dict[str, Channel]:
    """The channels of the settings; nothing is connected yet.

    Raises WaymarkError naming what is missing.
    """
    missing = [
        variable(name)
        for name in ("smtp_url", "twilio_account_sid", "twilio_auth_token", "twilio_from")
        if getattr(settings, name) is None
    ]
    if settings.smtp_url is None or settings.twilio_account_sid is None or missing:
        raise WaymarkError(
            f"Nothing can be sent without {', '.join(missing)}.",
            hint="Set them, or start `waymark up`, which brings catchers of its own.",
        )
    assert settings.twilio_auth_token is not None
    email: Channel = EmailChannel(settings.smtp_url, settings.mail_from)
    sms: Channel = SmsChannel(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_from or "",
        base_url=settings.twilio_base_url,
        status_callback=f"{links(settings).base}/callbacks/twilio/status",
    )
    webhook: Channel = WebhookChannel(settings.call_secret(), private_networks=settings.webhook_private_networks)
    return {channel.name: channel for channel in (email, sms, webhook)}


@asynccontextmanager
async def compose(
    settings: Settings,
    *,
    engine: AsyncEngine | None = None,
    client: Client | None = None,
    channels: Mapping[str, Channel] | None = None,
    templates: Templates | None = None,
    rules: SendingRules | None = None,
    calendar: Calendar | None = None,
    patient: bool = False,
    lazy: bool = False,
) -> AsyncIterator[Composition]:
    """All parts, built from the settings unless given; what is built here is closed at the end.

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
        if channels is None:
            channels = build_channels(settings)
            for channel in channels.values():
                closing.push_async_callback(channel.close)
        templates = templates or Templates(settings.templates, settings.workspace_locale)
        workspace = Workspace(settings.workspace_name, settings.workspace_address, settings.workspace_url)
        programs, maker = Programs(), links(settings)
        calendar = calendar or Calendar()
        gates = Gates(rules if rules is not None else load_rules(settings.definitions))
        entrance = Entrance(programs, zone)
        router = Router(engine, client, programs, entrance, calendar)
        promises = Promises(engine, client, router, team, calendar, zone)
        router.afterwards = promises.launch_for
        membership, herds = Membership(engine, router), Herds(engine, router, entrance)
        valuing = Valuing(engine, router, lifecycle.load(settings.definitions / "lifecycle.yaml", fields), zone)
        handoff = Handoff(team, names, zone)
        scoring = Scoring(engine, router, handoff, calendar)
        upkeep = Upkeep(valuing, scoring, membership)
        audience = Audience(engine, router, upkeep.after, upkeep.figures)
        studio = Studio(engine, client, calendar)
        sweeping = Sweeping(engine, router, calendar, studio.launch_stranded)
        entering = Entering(engine, router, entrance, herds, programs, zone)
        turns = Turns(programs, Effects(handoff, entrance), gates, zone)
        composer = Composer(templates, maker, workspace, names)
        admission = Admission(gates, zone)
        waves = Waves(admission, calendar)
        planning = Planning(engine, membership, waves, calendar)
        activities: dict[str, list[Callable[..., Any]]] = {
            QUEUE: [
                Advance(engine, turns, router, calendar).advance,
                sweeping.sweep,
                membership.refresh,
                valuing.refresh,
                scoring.publish,
                scoring.rescore,
                entering.enter_dates,
                entering.enter_scheduled,
                Timetable(engine, client, programs, zone).keep,
                promises.keep,
                promises.sweep,
                SalesDays(client, team, zone).keep,
                planning.plan,
                planning.plan_rest,
                planning.decide,
                planning.standing,
                planning.end,
            ]
        }
        rates = {"email": settings.email_per_second, "sms": settings.sms_per_second}
        for name, channel in channels.items():
            activities[channel_queue(name)] = [
                Delivery(engine, turns, {name: channel}, composer, router, calendar).deliver,
                Broadcasting(engine, channel, composer, admission, router, calendar, rates.get(name)).send,
            ]
        if (email := channels.get("email")) is not None:
            mails = SalesMails([templates.folder, shipped("templates")], workspace, settings.workspace_locale)
            selling = Selling(engine, email, mails, team, calendar, zone)
            activities[channel_queue("email")] += [selling.tell, selling.tell_day]
        yield Composition(
            settings, engine, client, maker, fields, templates, channels, audience, membership, upkeep,
            valuing, scoring, entering,
            Backfill(engine, herds, programs), sweeping, team, promises,
            Desk(engine, router, promises, team, zone),
            studio,
            Proofs(engine, composer, admission, channels), activities,
        )  # fmt: skip
