"""Everything that is looked at before a map is published: the map, its messages, and whom it would meet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.channels.segments import segments
from activities.messages.calling import body_problems
from activities.messages.guards import unguarded_in
from activities.messages.rendering import CustomerView, Templates
from activities.messages.sandbox import Sandbox
from activities.publishing import message_problems
from activities.turns.gates import load as load_rules
from journeys import sales
from journeys import segments as segment_files
from journeys.checks.definition import Finding, Surroundings, findings, in_order, sent_by
from journeys.checks.ways import surely_known
from journeys.conditions import AnyOf, Condition
from journeys.definition import Journey
from journeys.errors import WaymarkError
from journeys.fields import Fields
from journeys.loading import LoadedJourney, load
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.sales import Sales
from journeys.source import InvalidFile
from journeys.steps.effects import Task
from journeys.steps.sends import Send, Webhook
from records.people import lacking
from records.people.lacking import Lacking
from records.runs import versions

MOST_RENDERED = 300
"""So many contacts, those with the longest fields first, show how long a text message gets."""
SEND: Location = ("send",)
TITLE: Location = ("task", "title")
_ALWAYS = ("id", "stage", "score", "tags")
_CONTEXT: dict[str, Any] = {
    "links": {"unsubscribe": "https://mail.example/u/" + 32 * "x"}, "journey": {"title": "A journey"}, "event": {},
    "workspace": {"name": "Workspace", "address": "1 Street, City", "url": "https://www.example"},
}  # fmt: skip


@dataclass(frozen=True)
class Checker:
    """Looks at maps with what the workspace defines: its folder of definitions, its templates and its fields."""

    definitions: Path
    templates: Templates
    fields: Fields

    def surroundings(self, maps: Collection[LoadedJourney]) -> Surroundings:
        """What these maps are held against, the other maps of the folder among it.

        Raises:
            InvalidFile: the rules of sending or a segment cannot be read.
        """
        known = {one.journey.journey: one for one in (*self._others(maps), *maps)}
        named = {one.name for one in segment_files.load_all(self.definitions / "segments", self.fields)}
        return Surroundings(
            self.fields,
            load_rules(self.definitions),
            named,
            set(known),
            None,
            sent_by(list(known.values())),
            segment_files.known_stages(self.definitions),
        )

    def check(self, maps: Collection[LoadedJourney], published: Collection[str] | None = None) -> list[Finding]:
        """What can be found without looking at contacts; `published` are the journeys in the records (None: not
        looked up).

        Raises:
            InvalidFile: the rules of sending or of the handoff, or a segment, cannot be read.
        """
        around = replace(self.surroundings(maps), published=published)
        handoff = sales.load(self.definitions, self.fields)
        found: list[Finding] = []
        for one in maps:
            found += findings(one, around)
            found += [Finding.of(problem) for problem in message_problems(one, self.templates, frozenset(self.fields))]
            for place, message in (*self._calls(one), *self._texts(one, around), *_unkept(one, handoff)):
                found.append(Finding.of(one.problem(place, message)))
        return in_order(found)

    async def check_contacts(
        self, db: AsyncConnection, maps: Collection[LoadedJourney], now: datetime
    ) -> list[Finding]:
        """What shows only with the contacts who could enter: fields they lack, texts that get long. All are warnings.

        Raises:
            InvalidFile: the rules of sending cannot be read.
        """
        most = _most_segments(self)
        found: list[Finding] = []
        for one in maps:
            among = entrants(one.journey)
            uses = [(place, what, named) for place, what, named in self._named(one) if named]
            names = {name for _, _, named in uses for name in named}
            counts = await lacking.lacking(db, names, among, now) if names else Lacking(0, {})
            for place, what, named in uses:
                for name, where in named.items():
                    if missing := counts.fields[name]:
                        found.append(Finding.of(one.problem(place, _lack(name, missing, counts.contacts, what, where)),
                                                "warning"))  # fmt: skip
            for node, send in one.program.sends():
                if send.channel == "sms" and most is not None:
                    message = await self._too_long(db, send, among, now, most)
                    if message:
                        found.append(Finding.of(one.problem((*node.location, "send"), message), "warning"))
        return in_order(found)

    def _others(self, maps: Collection[LoadedJourney]) -> Iterator[LoadedJourney]:
        """The further maps of the folder that can be read; those that cannot have problems of their own."""
        read = {one.source.file for one in maps}
        for file in sorted([*(self.definitions / "journeys").glob("*.y*ml")]):
            if str(file) in read:
                continue
            try:
                yield load(file)
            except InvalidFile:
                continue

    def _calls(self, one: LoadedJourney) -> Iterator[tuple[Location, str]]:
        for node in one.program.nodes.values():
            if isinstance(node.step, Webhook):
                for problem in body_problems(node.step.webhook, self.fields):
                    yield (*node.location, "webhook"), problem

    def _texts(self, one: LoadedJourney, around: Surroundings) -> Iterator[tuple[Location, str]]:
        """Text messages that are too long even for somebody of whom nothing is known."""
        most = around.rules.channels["sms"].most_segments if "sms" in around.rules.channels else None
        for node, send in one.program.sends():
            if send.channel != "sms" or most is None:
                continue
            for locale in self.templates.locales(send.send):
                count = self._segments(send, locale, {})
                if count is not None and count > most:
                    yield (*node.location, "send"), f"{send.send} in {locale} runs to {count} segments; at most {most}"

    def _segments(self, send: Send, locale: str | None, values: dict[str, Any]) -> int | None:
        """How many segments a message has for somebody; None when it cannot be rendered, which is told elsewhere."""
        return self._count(send, locale, CustomerView(values, self.fields))

    def _count(self, send: Send, locale: str | None, customer: CustomerView) -> int | None:
        try:
            text = self.templates.render_sms(send.send, locale, {**_CONTEXT, "customer": customer}).text
        except WaymarkError:
            return None
        return segments(text).count

    def _named(self, one: LoadedJourney) -> Iterator[tuple[Location, str, dict[str, str]]]:
        """The fields that each message, and each title of a task, names without a default."""
        for node in one.program.nodes.values():
            match node.step:
                case Send(send=message):
                    what, named, place = message, self.templates.unguarded(message), SEND
                    sure = {*_ALWAYS, "phone" if node.step.channel == "sms" else "email"}
                case Task(task=task):
                    what, named, place = "the title", dict.fromkeys(unguarded_in(Sandbox(), task.title), ""), TITLE
                    sure = {*_ALWAYS}
                case _:
                    continue
            kept = {
                name: where for name, where in sorted(named.items())
                if name not in sure and not surely_known(one.program, node, name)
            }  # fmt: skip
            yield (*node.location, *place), what, kept

    async def _too_long(
        self, db: AsyncConnection, send: Send, among: Condition | None, now: datetime, most: int
    ) -> str | None:
        """How many of the contacts with the longest fields get more segments than are allowed."""
        used = {name.split(".")[1] for name in self.templates.variables(send.send) if name.startswith("customer.")}
        known = {"name", *CustomerView({}, self.fields).fields} - {*_ALWAYS}
        people = await lacking.longest(db, used & known, among, now, limit=MOST_RENDERED)
        counts = [self._count(send, one.locale, CustomerView.of(one, self.fields)) or 0 for one in people]
        long = [(count, one) for count, one in zip(counts, people, strict=True) if count > most]
        if not long:
            return None
        count, example = max(long, key=lambda pair: pair[0])
        several = "at least " if len(long) == len(people) == MOST_RENDERED else ""
        return (
            f"{send.send} runs to {count} segments for {several}{_contacts(len(long))}, such as "
            f"{example.external_id or example.id}; at most {most}"
        )


async def published_names(db: AsyncConnection) -> set[str]:
    """The journeys that are published."""
    return {one.journey for one in await versions.listing(db)}


def entrants(journey: Journey) -> Condition | None:
    """Whom the ways in let in at most; None when that is anybody."""
    wheres = [getattr(way, "where", None) for way in journey.enter]
    if None in wheres:
        return None
    return AnyOf(any=[where for where in wheres if where is not None])


def _unkept(one: LoadedJourney, handoff: Sales | None) -> Iterator[tuple[Location, str]]:
    """Tasks that name a rule of the handoff which is not there."""
    rules = [rule.name for rule in handoff.rules] if handoff is not None else []
    for node in one.program.nodes.values():
        if isinstance(node.step, Task) and (name := node.step.task.rule) is not None and name not in rules:
            yield (*node.location, "task", "rule"), unknown_word(name, rules, "is no rule of handoff.yaml")


def _most_segments(checker: Checker) -> int | None:
    rules = load_rules(checker.definitions)
    return rules.channels["sms"].most_segments if "sms" in rules.channels else None


def _lack(name: str, missing: int, total: int, what: str, where: str) -> str:
    place = f" ({where})" if where else ""
    return f"{name} is empty for {missing:,} of {_contacts(total)}; {what} names it without a default{place}"


def _contacts(count: int) -> str:
    return f"{count:,} contact{'' if count == 1 else 's'}"
