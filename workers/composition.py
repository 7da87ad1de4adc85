"""The composition root: the one place that knows which parts make up a running Waymark.

Every part can be given instead of built, so that tests and rehearsals exchange one and keep the rest.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.broadcasts.admission import Admission
from activities.broadcasts.broadcasting import Broadcasting
from activities.broadcasts.planning import Planning, Waves
from activities.broadcasts.proofs import Proofs
from activities.calendar import Calendar
from activities.channels.channel import Channel
from activities.channels.email import EmailChannel
from activities.channels.sms import SmsChannel
from activities.channels.webhook import WebhookChannel
from activities.deliveries.delivery import Delivery
from activities.entering.clock import Entering
from activities.entering.sweeping import Sweeping
from activities.messages.composing import Composer, Workspace
from activities.messages.rendering import Templates
from activities.sales.promises import Promises
from activities.sales.salesmail import SalesMails
from activities.sales.selling import Selling
from activities.sales.sweeping import SalesSweeping
from activities.turns.advance import Advance
from activities.turns.effects import Effects
from activities.turns.gates import Gates
from activities.turns.gates import load as load_rules
from activities.turns.turn import Turns
from journeys.broadcasting import BroadcastRun
from journeys.errors import WaymarkError
from journeys.figures import NightlyFigures, Rescoring
from journeys.instruction import QUEUE, channel_queue
from journeys.salestask import SalesDay, SalesSweep, SalesTask
from journeys.sending import SendingRules
from journeys.timetable import DatedEntries, ScheduledEntry, SegmentRefresh
from journeys.workflow import CustomerJourney, Sweep
from workers.content import shipped
from workers.foundation import Foundation, found, links
from workers.salesdays import SalesDays
from workers.schedules import Timetable
from workers.settings import Settings, variable


@dataclass(frozen=True, kw_only=True)
class Composition(Foundation):
    """The parts of one process, ready for use; closing them is the business of `compose`."""

    templates: Templates
    channels: Mapping[str, Channel]
    entering: Entering
    sweeping: Sweeping
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
    async with AsyncExitStack() as closing:
        ground = await closing.enter_async_context(
            found(settings, engine=engine, client=client, calendar=calendar, patient=patient, lazy=lazy)
        )
        settings, engine, client, calendar = ground.settings, ground.engine, ground.client, ground.calendar
        if channels is None:
            channels = build_channels(settings)
            for channel in channels.values():
                closing.push_async_callback(channel.close)
        names, zone = frozenset(ground.fields), settings.workspace_time_zone
        templates = templates or Templates(settings.templates, settings.workspace_locale)
        workspace = Workspace(settings.workspace_name, settings.workspace_address, settings.workspace_url)
        programs, router = ground.programs, ground.audience.router
        gates = Gates(rules if rules is not None else load_rules(settings.definitions))
        office, membership, scoring = ground.office, ground.membership, ground.scoring
        promises = Promises(office, router)
        sweeping = Sweeping(engine, router, calendar, ground.studio.launch_stranded)
        entering = Entering(engine, router, ground.entrance, ground.herds, programs, zone)
        turns = Turns(programs, Effects(ground.handoff, ground.entrance), gates, zone)
        composer = Composer(templates, ground.links, workspace, names)
        admission = Admission(gates, zone)
        waves = Waves(admission, calendar)
        planning = Planning(engine, membership, waves, calendar)
        activities: dict[str, list[Callable[..., Any]]] = {
            QUEUE: [
                Advance(engine, turns, router, calendar).advance,
                sweeping.sweep,
                membership.refresh,
                ground.valuing.refresh,
                scoring.publish,
                scoring.rescore,
                entering.enter_dates,
                entering.enter_scheduled,
                Timetable(engine, client, programs, zone).keep,
                promises.keep,
                SalesSweeping(office, router, ground.handoff, ground.keepers).sweep,
                SalesDays(client, ground.sales, zone).keep,
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
            mails = SalesMails(
                [templates.folder, shipped("templates")], workspace, settings.workspace_locale,
                settings.workspace_currency,
            )  # fmt: skip
            selling = Selling(office, email, mails)
            activities[channel_queue("email")] += [selling.tell, selling.tell_day]
        yield Composition(
            **vars(ground),
            templates=templates,
            channels=channels,
            entering=entering,
            sweeping=sweeping,
            proofs=Proofs(engine, composer, admission, channels),
            activities=activities,
        )
