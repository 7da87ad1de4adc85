"""Playing sample behaviour: people who open, click, order and answer, over days of virtual time."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from journeys.errors import WaymarkError
from records.people import search
from records.runs import enrolments
from workers.acting import Actors, Deed, Impossible
from workers.composition import Composition
from workers.rests import Lookout
from workers.virtual_time import VirtualTime

AT_ONCE = 12
"""How many customers are carried side by side: enough to keep two cores busy."""
_OFFSET = re.compile(r"\+(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something a sample customer does, so long after the start."""

    customer: str
    event: str
    after: timedelta
    message: str | None
    value: float | None
    properties: dict[str, Any]


def read_behaviour(path: Path) -> list[Behaviour]:
    """The rows of a behaviour file: customer, event, at (`+1d2h30m`), message, value, properties (JSON).

    Raises:
        WaymarkError: a row cannot be read; the message names its line.
    """
    read = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            try:
                read.append(
                    Behaviour(
                        row["customer"],
                        row["event"],
                        parse_offset(row["at"]),
                        row["message"] or None,
                        float(row["value"]) if row["value"] else None,
                        json.loads(row["properties"]) if row["properties"] else {},
                    )
                )
            except (KeyError, TypeError, ValueError) as error:
                raise WaymarkError(
                    f"{path}:{rows.line_num}: cannot be read: {error}",
                    hint="The columns are those of samples/events.csv",
                ) from error
    return sorted(read, key=lambda one: one.after)


def parse_offset(text: str) -> timedelta:
    """How long after the start: `+2d3h`, `+45m`.

    Raises:
        ValueError: it is none.
    """
    match = _OFFSET.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no time after the start: write +2d3h30m")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


@dataclass
class Played:
    """What has come to pass: events that happened, and those that could not (a click on a mail that was never sent)."""

    events: int = 0
    impossible: list[Behaviour] = field(default_factory=list)


class Player:
    """Plays behaviour on the runs of one Waymark whose Temporal server can skip time."""

    def __init__(
        self, parts: Composition, start: datetime, behaviour: Iterable[Behaviour], ids: dict[str, int]
    ) -> None:
        self._parts = parts
        self._start = start
        self._time = VirtualTime(parts.engine, parts.client, Lookout(parts.engine))
        self._actors = Actors(parts)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[int, deque[Behaviour]] = defaultdict(deque)
        self.played = Played()
        for one in behaviour:
            if one.customer not in ids:
                raise WaymarkError(
                    f"the sample behaviour names {one.customer!r}, who is not among the customers",
                    hint="write both files anew: python samples/generate.py",
                )
            self._waiting[ids[one.customer]].append(one)

    async def until(self, after: timedelta) -> None:
        """Let everything come to pass that happens until so long after the start."""
        moment = self._start + after
        async with self._parts.engine.connect() as db:
            waking = set(await enrolments.due(db, moment))
        acting = {customer for customer, rest in self._waiting.items() if rest and rest[0].after <= after}
        async with asyncio.TaskGroup() as together:
            for customer in sorted(waking | acting):
                together.create_task(self._carry(customer, after))

    async def _carry(self, customer: int, after: timedelta) -> None:
        async with self._gate:
            rest = self._waiting[customer]
            while rest and rest[0].after <= after:
                await self._happen(customer, rest.popleft())
            await self._time.carry_all(customer, self._start + after)

    async def _happen(self, customer: int, one: Behaviour) -> None:
        at = self._start + one.after
        awaiting = await self._time.meet(customer, at, one.event)
        try:
            await self._actors.act(customer, Deed(one.event, one.message, one.value, one.properties), at)
        except Impossible:
            self.played.impossible.append(one)
            return
        self.played.events += 1
        await self._time.moved(awaiting)


async def sample_ids(parts: Composition) -> dict[str, int]:
    """The customers by external id."""
    async with parts.engine.connect() as db:
        everybody = await search.list_page(db, limit=100_000)
    return {one.external_id: one.id for one in everybody if one.external_id}
