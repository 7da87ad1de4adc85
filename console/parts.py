"""What the console is made of; put together by whoever runs it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.deliveries.receipts import Receipts
from activities.entering.audience import Audience
from activities.intake.incoming import Unknown
from activities.messages.links import Links
from activities.people.merging import Merging
from activities.sales.desk import Desk
from journeys.fields import Fields
from journeys.identities import DEFAULT, IdentityRules


@dataclass(frozen=True)
class Parts:
    """The parts of one console. `url` is its public address, which providers sign; keys are None when not used."""

    database: AsyncEngine
    audience: Audience
    receipts: Receipts
    links: Links
    fields: Fields
    desk: Desk
    url: str
    workspace: str
    locale: str
    api_key: str | None = None
    twilio_auth_token: str | None = None
    unknown: Unknown = "refuse"
    """What becomes of events of somebody who is not known."""
    identity: IdentityRules = DEFAULT
    merging: Merging | None = None
