"""Looking ahead: who would get a broadcast and who not, how it reads, and a test of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.broadcasts.admission import Admission, Admitted
from activities.broadcasts.studio import in_force
from activities.channels.channel import Channel, ChannelError, Message
from activities.channels.segments import Segments, segments
from activities.messages.composing import Composer
from activities.messages.rendering import Unrenderable
from journeys.broadcast import Broadcast, LocalStart, touch_key
from journeys.conditions import Condition
from journeys.errors import WaymarkError
from records.messages import addressees
from records.messages.addressees import Addressee
from records.people import customers
from records.people.customers import Customer

PAGE = 1000
SAMPLES = 5
LONGEST = 1600
"""Characters of a text that Twilio takes (error 21617)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One of those whom a broadcast means; `because` says why it gets nothing, or nothing yet."""

    customer: int
    name: str
    address: str | None
    because: str | None


@dataclass(frozen=True, slots=True)
class Wording:
    """One of the messages of a broadcast as somebody gets it; `segments` are what a text takes and costs, `warning`
    says why it may not go."""

    arm: str | None
    message: Message
    segments: Segments | None
    warning: str | None = None


@dataclass
class Preview:
    """What a broadcast would come to, were it started now. `waves`: the moments (UTC) at which messages would go, and
    to how many; `trial`: on how many each arm would be tried."""

    broadcast: str
    meant: int = 0
    would_get: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    trial: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    waves: dict[datetime, int] = field(default_factory=dict)
    wordings: list[Wording] = field(default_factory=list)


class Proofs:
    """Looks at broadcasts that nobody has started."""

    def __init__(
        self, database: AsyncEngine, composer: Composer, admission: Admission, channels: Mapping[str, Channel]
    ) -> None:
        self._database = database
        self._composer = composer
        self._admission = admission
        self._channels = channels

    async def preview(self, of: Broadcast, now: datetime, *, as_: Customer | None = None) -> Preview:
        """Who would get a broadcast, and who is left out and why, each at the time at which it would go. Nothing is
        written. Raises `WaymarkError` where its segment is not in force, or a message cannot be written."""
        begins = of.begins(now)
        trial = dict.fromkeys(of.ab.names, 0) if of.ab is not None else {}
        seen = Preview(of.broadcast, trial=trial)
        async with self._database.connect() as db:
            everybody = await addressees.everybody(db, await _condition(db, of), begins)
            for first in range(0, len(everybody), PAGE):
                page = await addressees.named(db, of.channel, everybody[first : first + PAGE])
                for due, these in self._waves(of, page, begins).items():
                    seen.waves[due] = seen.waves.get(due, 0) + len(these)
                    for one in await self._admission.judge(db, of, these, due):
                        _count(seen, of, one)
                        if as_ is None and one.because is None:
                            as_ = Customer(**one.to.recipient.row)
        seen.waves = dict(sorted(seen.waves.items()))
        seen.samples.sort(key=lambda one: (one.because is not None, one.customer))
        if as_ is not None:
            address = (as_.email if of.channel == "email" else as_.phone) or "nobody"
            seen.wordings = [self._wording(of, arm, as_, address, touch_key(0, as_.id), now) for arm in _arms(of)]
        return seen

    def _waves(self, of: Broadcast, page: Sequence[Addressee], begins: datetime) -> dict[datetime, list[Addressee]]:
        """Those of a page by the moment at which their message would go."""
        if not isinstance(of.start, LocalStart):
            return {begins: list(page)}
        waves = defaultdict(list)
        for one in page:
            zone = self._admission.zone(one.recipient.row["time_zone"], one.recipient.row["country"])
            waves[max(of.start.moment(begins, zone), begins)].append(one)
        return waves

    async def example(self, of: Broadcast, now: datetime, reference: str | None) -> Customer:
        """The customer as whom a test is written: the one who is named, or the first whom the broadcast means."""
        async with self._database.connect() as db:
            if reference is not None:
                return await customers.find(db, reference)
            everybody = await addressees.everybody(db, await _condition(db, of), now)
            page = await addressees.named(db, of.channel, everybody[:1])
        if not page:
            raise WaymarkError(
                f"The broadcast {of.broadcast} means nobody now.", hint="Name a customer: --as CUSTOMER."
            )
        return Customer(**page[0].recipient.row)

    async def test(self, of: Broadcast, to: str, example: Customer, now: datetime) -> list[Wording]:
        """Send every wording to one address, filled in for a customer; its links concern nobody.

        Raises:
            WaymarkError: a message cannot be written or sent.
        """
        nobody = replace(example, id=0)
        sent = []
        for arm in _arms(of):
            wording = self._wording(of, arm, nobody, to, f"wmt-{uuid4().hex}", now)
            written = wording.message
            if written.subject is not None:
                written = replace(written, subject=f"[Test{f' {arm}' if arm else ''}] {written.subject}", name=None)
            try:
                await self._channels[of.channel].send(written)
            except ChannelError as error:
                raise WaymarkError(error.reason, hint=getattr(error, "hint", None)) from error
            sent.append(replace(wording, message=written))
        return sent

    def _wording(self, of: Broadcast, arm: str | None, to: Customer, address: str, key: str, at: datetime) -> Wording:
        about = {"journey": {"title": of.title}, "event": {}}
        try:
            message = self._composer.message(of.message(arm), to, address, key, at, about, partial(of.subject, arm))
        except Unrenderable as error:
            raise WaymarkError(str(error)) from error
        if of.channel != "sms":
            return Wording(arm, message, None)
        size, parts = len(message.text), segments(message.text)
        rules = self._admission.gates.rules.channels
        most, warning = rules["sms"].most_segments if "sms" in rules else None, None
        if size > LONGEST:
            warning = f"has {size:,} characters; providers take {LONGEST:,} at most"
        elif most is not None and parts.count > most:
            warning = f"takes {parts.count} segments; definitions/sending.yaml allows {most}"
        return Wording(arm, message, parts, warning)


async def _condition(db: AsyncConnection, of: Broadcast) -> Condition:
    """What holds for all whom a broadcast means; a segment is worked out anew when it begins. Raises
    `WaymarkError`."""
    segment = await in_force(db, of)
    return segment.where if segment is not None else of.where  # type: ignore[return-value]


def _arms(of: Broadcast) -> Sequence[str | None]:
    return of.ab.names if of.ab is not None else (None,)


def _count(seen: Preview, of: Broadcast, one: Admitted) -> None:
    seen.meant += 1
    if one.until is not None:
        seen.waits[one.because or ""] += 1
    elif one.because is not None:
        seen.left_out[one.because] += 1
    else:
        seen.would_get += 1
    if of.in_trial(one.to.id) and (one.because is None or one.until is not None):
        seen.trial[of.arm(one.to.id) or ""] += 1
    alike = sum(sample.because == one.because for sample in seen.samples)
    if alike < (SAMPLES if one.because is None else 2):
        name = Customer(**one.to.recipient.row).name
        seen.samples.append(Sample(one.to.id, name, one.to.recipient.address, one.because))
