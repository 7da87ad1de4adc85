"""A page of an import, written in few statements: who is who is asked once, and everything goes in by COPY.

Rows whose keys nobody has, here or in the page, are new customers and go in as they are. The others are laid on the
people they name, in their order (`records.intake.folding`). The caller's transaction holds it all, or none of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.identities import KINDS, IdentityRules, Key
from records.copying import cell, copy, escaped
from records.intake.folding import Person, Said, made
from records.intake.pages import Done, Page, as_json, as_line
from records.people import identities, merging, upserts
from records.people.contacts import COLUMNS, IDENTIFIERS, Contact


class Overtaken(Exception):
    """Somebody else wrote one of these customers in between: the page has to be written anew."""


async def write(db: AsyncConnection, page: Page, rules: IdentityRules, *, now: datetime, source: str) -> Done:
    """Write the rows of a page, as if one after the other.

    Raises:
        Overtaken: somebody else wrote at the same moment; roll back and try again. The driver's errors of unique keys
            and deadlocks mean the same.
    """
    return await _Intake(db, page, rules, now, source).write()


_STATED = ", ".join(COLUMNS)
_PEOPLE = text(f"SELECT id, xmin::text AS seen, {_STATED}, tags, properties FROM customers WHERE id = ANY(:ids)")  # noqa: S608
_LOCKED = text("SELECT id, xmin::text AS seen FROM customers WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_LATEST = text(
    "SELECT DISTINCT ON (customer_id, channel) customer_id, channel, granted FROM consents "
    "WHERE customer_id = ANY(:ids) ORDER BY customer_id, channel, at DESC, id DESC"
)
_OWNERS = text("SELECT value, customer_id FROM identities WHERE kind = :kind AND value = ANY(:values)")
_NUMBERS = text(
    "SELECT min(number), max(number) FROM "
    "(SELECT nextval(pg_get_serial_sequence('customers', 'id')) AS number FROM generate_series(1, :count)) AS given"
)
_UPDATED = text(
    f"UPDATE customers SET ({_STATED}, tags, properties, updated_at) = "  # noqa: S608
    f"({', '.join(f'new.{name}' for name in COLUMNS)}, new.tags, new.properties, :now) "
    f"FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new(id bigint, "
    f"{', '.join(f'{name} text' for name in COLUMNS)}, tags text[], properties jsonb) WHERE customers.id = new.id"
)


@dataclass
class _Intake:
    db: AsyncConnection
    page: Page
    rules: IdentityRules
    now: datetime
    source: str
    done: Done = field(default_factory=Done)
    known: dict[Key, Person] = field(default_factory=dict)
    people: list[Person] = field(default_factory=list)

    async def write(self) -> Done:
        page = self.page
        stated = dict(zip(IDENTIFIERS, (page.external_ids, page.emails, page.phones), strict=True))
        names = {kind: self._joining(kind, values) for kind, values in stated.items()}
        owners = await self._owners(names)
        plain, entangled = self._sort(names, owners)
        await self._read(owners)
        for at in entangled:
            keys = [(kind, value) for kind in KINDS if (value := names[kind][at]) is not None]
            await self._lay(
                at, [*keys, *(key for key in page.further[at] if key not in keys and self.rules.joins(*key))]
            )
        for one in self.people:
            if one.into is None:
                settled = one.settle()
                self.done.updated -= settled
                self.done.unchanged += settled
        await self._store([one for one in self.people if one.into is None and one.pending], plain, names)
        self.done.created += len(plain)
        return self.done

    def _joining(self, kind: str, values: list[str | None]) -> list[str | None]:
        """What each row gives as a name of this kind, where it joins."""
        if kind != "external_id" and kind not in self.rules.join_by:
            return [None] * len(values)
        apart = self.rules.shared.get(kind)
        return [None if value in apart else value for value in values] if apart else values

    async def _owners(self, names: Mapping[str, list[str | None]]) -> dict[Key, int]:
        # The table is large and the page is small, whatever the statistics of this moment say.
        await self.db.execute(text("SET LOCAL enable_seqscan = off"))
        found: dict[Key, int] = {}
        for kind, stated in names.items():
            values = [value for value in stated if value is not None]
            values += self._further(kind)
            if values:
                rows = await self.db.execute(_OWNERS, {"kind": kind, "values": values})
                found |= {(kind, value): customer_id for value, customer_id in rows}
        await self.db.execute(text("SET LOCAL enable_seqscan = on"))
        return found

    def _further(self, kind: str) -> list[str]:
        """The further names of this kind that rows give, where they join."""
        said = [key for keys in self.page.further for key in keys if key[0] == kind]
        return [value for _, value in said if self.rules.joins(kind, value)]

    def _sort(
        self, names: Mapping[str, list[str | None]], owners: Mapping[Key, int]
    ) -> tuple[list[int], list[int]]:  # fmt: skip
        """The rows that are alone in naming somebody new, and all others."""
        count = len(self.page.lines)
        entangled = {at for at, row in enumerate(zip(*names.values(), strict=True)) if row == (None, None, None)}
        entangled |= {at for at, keys in enumerate(self.page.further) if keys}
        for kind, values in names.items():
            said = Counter(value for value in values if value is not None)
            told = {value for owned, value in owners if owned == kind}
            told.update(self._further(kind))
            if len(said) + values.count(None) < count:
                told |= {value for value, times in said.items() if times > 1}
            if told:
                entangled |= {at for at, value in enumerate(values) if value in told}
        if not entangled:
            return list(range(count)), []
        return [at for at in range(count) if at not in entangled], sorted(entangled)

    async def _read(self, owners: dict[Key, int]) -> None:
        """Those whom the page names, as they are."""
        ids = sorted(set(owners.values()))
        if not ids:
            return
        people = {row.id: _person(row) for row in await self.db.execute(_PEOPLE, {"ids": ids})}
        if len(people) < len(ids):
            raise Overtaken
        if any(self.page.consents):
            for row in await self.db.execute(_LATEST, {"ids": ids}):
                people[row.customer_id].consents[row.channel] = row.granted
        self.people += people.values()
        self.known = {key: people[customer_id] for key, customer_id in owners.items()}

    async def _lay(self, at: int, keys: list[Key]) -> None:
        said = self.page.said(at)
        if not keys:
            await self._unnamed(said)
            return
        found = {self.known[key].current() for key in keys if key in self.known}
        if not found:
            person, outcome = made(at, said, keys), "created"
            self.people.append(person)
            self.known |= dict.fromkeys(keys, person)
        else:
            person, *others = sorted(found, key=lambda one: one.order)
            for other in others:
                await self._join(person, other, keys)
            fresh = [key for key in keys if key not in self.known]
            self.known |= dict.fromkeys(fresh, person)
            changed = person.complete(at, said, fresh)
            outcome = "merged" if others else "updated" if changed else "unchanged"
        noted, stood = person.declare(said[3], self.source)
        person.updates += outcome == "updated" and not noted
        self._count("updated" if noted and outcome == "unchanged" else outcome, stood=stood)

    def _count(self, outcome: str, *, stood: bool) -> None:
        setattr(self.done, outcome, getattr(self.done, outcome) + 1)
        self.done.still_withdrawn += stood

    async def _unnamed(self, said: Said) -> None:
        """A row with nothing but shared keys."""
        stated, tags, properties, consents = said
        contact = Contact(**stated, tags=tags, properties=properties, consents=consents)
        upserted = await upserts.upsert(self.db, contact, now=self.now, source=self.source, rules=self.rules)
        self._count(upserted.outcome, stood=bool(upserted.still_withdrawn))

    async def _join(self, kept: Person, gone: Person, keys: list[Key]) -> None:
        if not gone.id:
            kept.absorb(gone)
            return
        # Two who are written are merged as anybody would merge them, with everything that hangs on them.
        await self._store([one for one in (kept, gone) if one.pending], [], {})
        because = "one contact has " + " and ".join(f"{kind} {value}" for kind, value in sorted(keys))
        try:
            await merging.merge(self.db, kept.id, gone.id, by=self.source, because=because, now=self.now)
        except (merging.NotMerged, identities.UnknownCustomer) as error:
            raise Overtaken from error
        gone.into = kept
        row = (await self.db.execute(_PEOPLE, {"ids": [kept.id]})).one()
        now = _person(row)
        kept.seen, kept.columns, kept.tags, kept.properties = now.seen, now.columns, now.tags, now.properties
        latest = await self.db.execute(_LATEST, {"ids": [kept.id]})
        kept.consents = {row.channel: row.granted for row in latest}
        kept.overwrite(*kept.newer(gone))

    async def _store(self, people: list[Person], plain: list[int], names: Mapping[str, list[str | None]]) -> None:
        """Write these people, and the rows of the page that are somebody new each."""
        await self._lock([one for one in people if one.id])
        old = [one for one in people if one.id and one.touched]
        numbers = await self._number([one for one in people if not one.id], plain)
        fresh = dict(zip(plain, (numbers[at] for at in plain), strict=True))
        new = [one for one in people if one.at in numbers and one.id == numbers[one.at]]
        page, moment = self.page, self.now.isoformat()
        lines = [f"{fresh[at]}\t{moment}\t{moment}\t{page.copies[at]}" for at in plain]
        lines += (f"{one.id}\t{moment}\t{moment}\t{_line(one)}" for one in new)
        await copy(self.db, "customers", f"id, created_at, updated_at, {_STATED}, tags, properties", lines)
        given = [
            f"{kind}\t{escaped(value)}\t{fresh[at]}\t{moment}"
            for kind, values in names.items()
            for at in plain
            if (value := values[at]) is not None
        ]
        given += [f"{kind}\t{escaped(value)}\t{one.id}\t{moment}" for one in people for kind, value in one.keys]
        # In one order, so that two who write the same names do not wait for each other.
        given.sort()
        await self._hang(people, fresh, given, moment)
        if old:
            rows = [one.columns | {"id": one.id, "tags": one.tags, "properties": one.properties} for one in old]
            stored = json.dumps(rows, ensure_ascii=False, allow_nan=False)
            await self.db.execute(_UPDATED, {"rows": stored, "now": self.now})
        for one in people:
            one.keys, one.entries, one.changes, one.touched, one.was, one.updates = [], [], [], False, None, 0

    async def _hang(self, people: list[Person], fresh: dict[int, int], names: list[str], moment: str) -> None:
        """What hangs on customers that this transaction has made or holds."""
        trusted = await _spare_checks(self.db)
        await copy(self.db, "identities", "kind, value, customer_id, since", names)
        columns = "customer_id, channel, granted, source, at"
        entries = self._entries(people, fresh)
        await copy(self.db, "consents", columns, (f"{entry}\t{moment}" for entry in entries))
        because = escaped(self.source)
        kept = (
            f"{one.id}\t{change.kind}\t{escaped(change.name)}\t{cell(change.old)}\t{cell(change.new)}\t{because}\t{moment}"
            for one in people
            for change in one.changes
        )
        await copy(self.db, "changes", "customer_id, kind, name, old, new, because, at", kept)
        if trusted:
            await self.db.execute(text("SET LOCAL session_replication_role = origin"))

    def _entries(self, people: list[Person], fresh: dict[int, int]) -> Iterator[str]:
        source = escaped(self.source)
        for at, customer_id in fresh.items():
            for channel, granted in self.page.consents[at].items():
                yield f"{customer_id}\t{channel}\t{'t' if granted else 'f'}\t{source}"
        for one in people:
            for channel, granted, said_by in one.entries:
                yield f"{one.id}\t{channel}\t{'t' if granted else 'f'}\t{escaped(said_by)}"

    async def _lock(self, people: Iterable[Person]) -> None:
        """Hold those whose rows are written, and make sure that they are as they were read."""
        seen = {one.id: one.seen for one in people}
        if seen:
            held = {row.id: row.seen for row in await self.db.execute(_LOCKED, {"ids": sorted(seen)})}
            if held != seen:
                raise Overtaken

    async def _number(self, people: list[Person], plain: list[int]) -> dict[int, int]:
        """The numbers of new customers by their places in the page: who came first has the lower one."""
        places = sorted([*plain, *(one.at for one in people)])
        if not places:
            return {}
        while True:
            first, last = (await self.db.execute(_NUMBERS, {"count": len(places)})).one()
            # Others who drew numbers at the same moment have left gaps: those are given up.
            if last - first + 1 == len(places):
                break
        numbers = dict(zip(places, range(first, last + 1), strict=True))
        for one in people:
            one.id = numbers[one.at]
        return numbers


def _person(row: Any) -> Person:
    columns = {name: getattr(row, name) for name in COLUMNS}
    return Person(row.id, -1, row.seen, columns, list(row.tags), dict(row.properties))


def _line(one: Person) -> str:
    return as_line([one.columns[name] for name in COLUMNS], one.tags, as_json(one.properties))


async def _spare_checks(db: AsyncConnection) -> bool:
    """Let the database not look up the customer of each row that is hung on one, where we may: the transaction has
    made these customers or holds them, and the look-ups are a third of the time of an import.

    No other trigger acts on new rows of these tables (tests/integration/test_import_into_records.py).
    """
    allowed = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if not (await db.execute(allowed)).scalar_one_or_none():
        return False
    await db.execute(text("SET LOCAL session_replication_role = replica"))
    return True
