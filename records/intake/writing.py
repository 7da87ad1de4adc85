"""A page of an import, written in few statements: who is who is asked once, and everything goes in by COPY.

Rows whose keys nobody has, here or in the page, are new customers and go in as they are. The others are laid on the
people they name, in their order (`records.intake.folding`). The caller's transaction holds it all, or none of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.identities import KINDS, IdentityRules, Key
from records.copying import copy, moment, number, row, truth, word, words
from records.intake.drafts import CONSENTS, CUSTOMERS, IDENTITIES, Draft, Sheet, draft, properties
from records.intake.folding import Person, made
from records.intake.pages import Done, Names, Page
from records.people import identities, merging, unnamed
from records.people.contacts import COLUMNS
from records.people.unnamed import Traits


class Overtaken(Exception):
    """Somebody else wrote one of these customers in between: the page has to be written anew."""


@dataclass
class Outlook:
    """What the pages of an import let expect of its next one: the share of rows that name somebody who is known."""

    known: float = 0.0

    @property
    def news(self) -> bool:
        """Whether most rows will be somebody new."""
        return self.known < 0.5

    @property
    def hopeful(self) -> bool:
        """Whether all will be."""
        return self.known < _HARDLY

    def see(self, share: float) -> None:
        """A page had this share. Older ones count for less."""
        self.known = (self.known + share) / 2


_HARDLY = 0.0001


async def draw(db: AsyncConnection, count: int) -> int:
    """Draw so many numbers for customers, one after the other; returns the first."""
    while True:
        first, last, _ = (await db.execute(_NUMBERS, {"count": count})).one()
        # Others who drew numbers at the same moment have left gaps: those are given up.
        if last - first + 1 == count:
            return int(first)


async def write(
    db: AsyncConnection,
    sheet: Sheet,
    rules: IdentityRules,
    *,
    now: datetime,
    source: str,
    outlook: Outlook | None = None,
    taken_in: datetime | None = None,
) -> Done:
    """Write the rows of a page, as if one after the other. `taken_in`: when the whole list was written before; whoever
    was not written since is as it says.

    Where the outlook is that nobody is known, the page is written without asking; who comes with that outlook has to
    try again where a key turns out to be taken.

    Raises:
        Overtaken: somebody else wrote at the same moment; roll back and try again. The driver's errors of unique keys
            and deadlocks mean the same.
    """
    return await _Intake(db, sheet, rules, now, source, taken_in).write(outlook or Outlook(1.0))


_STATED = ", ".join(COLUMNS)
_PEOPLE = text(
    f"SELECT id, xmin::text AS seen, {_STATED}, tags, properties, updated_at FROM customers WHERE id = ANY(:ids)"  # noqa: S608
)
_LOCKED = text("SELECT id, xmin::text AS seen FROM customers WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_LATEST = text(
    "SELECT DISTINCT ON (customer_id, channel) customer_id, channel, granted FROM consents "
    "WHERE customer_id = ANY(:ids) ORDER BY customer_id, channel, at DESC, id DESC"
)
_OWNERS = text("SELECT value, customer_id FROM identities WHERE kind = :kind AND value = ANY(:values)")
# A transaction that only draws does not wait for the disk: numbers that are lost are drawn again.
_NUMBERS = text(
    "SELECT min(number), max(number), set_config('synchronous_commit', 'off', true) "
    "FROM (SELECT nextval(sequence) AS number FROM "
    "(SELECT CAST(pg_get_serial_sequence('customers', 'id') AS regclass) AS sequence OFFSET 0) AS one, "
    "generate_series(1, :count)) AS given"
)
_UPDATED = text(
    f"UPDATE customers SET ({_STATED}, tags, properties, sharing, updated_at) = "  # noqa: S608
    f"({', '.join(f'new.{name}' for name in COLUMNS)}, new.tags, new.properties, "
    "customers.sharing OR new.sharing, :now) "
    f"FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new(id bigint, "
    f"{', '.join(f'{name} text' for name in COLUMNS)}, tags text[], properties jsonb, sharing boolean) "
    "WHERE customers.id = new.id"
)


@dataclass
class _Intake:
    db: AsyncConnection
    sheet: Sheet
    rules: IdentityRules
    now: datetime
    source: str
    taken_in: datetime | None
    done: Done = field(default_factory=Done)
    known: dict[Key | Traits, Person] = field(default_factory=dict)
    people: list[Person] = field(default_factory=list)
    page: Page = field(init=False)

    async def write(self, outlook: Outlook) -> Done:
        if self.sheet.draft is not None and outlook.hopeful:
            # Until it is known that hope was right, there is none: the next try asks.
            outlook.known = 1.0
            await self._expect_nobody(self.sheet, self.sheet.draft)
            outlook.known = 0.0
        else:
            outlook.see(await self._ask(self.sheet))
        return self.done

    async def _expect_nobody(self, sheet: Sheet, plain: Draft) -> None:
        """Write the draft as it is, and look at the other rows only."""
        self.page = sheet.open_others()
        names = self.page.names(self.rules)
        await self._lay_all(range(len(self.page.lines)), names, await self._owners(names))
        await self._finish(plain, [sheet.first + place for place in sheet.places])

    async def _ask(self, sheet: Sheet) -> float:
        """Find out who is known, and write the page; returns how many are, measured by its rows."""
        self.page = sheet.open()
        names = self.page.names(self.rules)
        owners = await self._owners(names)
        plain, others = names.sort(sheet.rows, owners)
        await self._lay_all(others, names, owners)
        if sheet.draft is not None:
            known = {sheet.first + at for at in set(others).difference(sheet.places)}
            await self._finish(sheet.draft.without(known), range(sheet.first, sheet.first + sheet.rows))
        else:
            numbers = await self._number(plain)
            ids = [numbers[at] for at in plain]
            ready = draft(self.page, names, plain, ids, now=self.now, source=self.source)
            await self._finish(ready, numbers)
        return len(set(owners.values())) / max(1, sheet.rows)

    async def _number(self, plain: Sequence[int]) -> dict[int, int]:
        """The numbers of new customers by their places in the page: who came first has the lower one."""
        places = sorted([*plain, *(one.at for one in self.people if one.into is None and not one.id)])
        first = await draw(self.db, len(places)) if places else 0
        return dict(zip(places, range(first, first + len(places)), strict=True))

    async def _finish(self, plain: Draft, numbers: Sequence[int] | Mapping[int, int]) -> None:
        """Write whoever is new or has changed. `numbers` are those of the rows, by their places."""
        people = [one for one in self.people if one.into is None]
        for one in people:
            settled = one.settle()
            self.done.updated -= settled
            self.done.unchanged += settled
        await self._store([one for one in people if one.pending], plain, numbers)
        self.done.created += len(plain.customers.owners)

    async def _owners(self, names: Names) -> dict[Key, int]:
        if not names.first[KINDS[0]]:
            return {}
        # The table is large and the page is small, whatever the statistics of this moment say.
        await self.db.execute(text("SET LOCAL enable_seqscan = off"))
        found: dict[Key, int] = {}
        for kind in KINDS:
            if values := names.all(kind):
                rows = await self.db.execute(_OWNERS, {"kind": kind, "values": values})
                found |= {(kind, value): customer_id for value, customer_id in rows}
        await self.db.execute(text("SET LOCAL enable_seqscan = on"))
        return found

    async def _lay_all(self, places: Sequence[int], names: Names, owners: dict[Key, int]) -> None:
        keys = {at: names.of(at) for at in places}
        known_by = {at: unnamed.traits(self.page.said(at)[0]) for at, named in keys.items() if not named}
        await self._read(owners, await unnamed.owners(self.db, set(known_by.values())))
        for at, named in keys.items():
            await self._lay(at, named, known_by.get(at))

    async def _read(self, owners: dict[Key, int], unnamed: dict[Traits, int]) -> None:
        """Those whom the page means, as they are."""
        ids = sorted({*owners.values(), *unnamed.values()})
        if not ids:
            return
        people = {row.id: _person(row, self.taken_in) for row in await self.db.execute(_PEOPLE, {"ids": ids})}
        if len(people) < len(ids):
            raise Overtaken
        if any(self.page.consents):
            for row in await self.db.execute(_LATEST, {"ids": ids}):
                people[row.customer_id].consents[row.channel] = row.granted
        self.people += people.values()
        self.known = {key: people[customer_id] for key, customer_id in owners.items()}
        self.known.update((known_by, people[customer_id]) for known_by, customer_id in unnamed.items())

    async def _lay(self, at: int, keys: list[Key], known_by: Traits | None) -> None:
        said = self.page.said(at)
        asked: list[Key | Traits] = [*keys] if known_by is None else [known_by]
        found = {self.known[key].current() for key in asked if key in self.known}
        if not found:
            person, outcome = made(at, said, keys), "created"
            self.people.append(person)
            self.known |= dict.fromkeys(asked, person)
        else:
            person, *others = sorted(found, key=lambda one: one.order)
            for other in others:
                await self._join(person, other, keys)
            fresh = [key for key in keys if key not in self.known]
            self.known |= dict.fromkeys(fresh, person)
            # Rows that contradict each other would change it, and change it back.
            changed = not (person.settled and not others and not fresh) and person.complete(at, said, fresh)
            outcome = "merged" if others else "updated" if changed else "unchanged"
        noted, stood = person.declare(said[3], self.source)
        person.updates += outcome == "updated" and not noted
        self._count("updated" if noted and outcome == "unchanged" else outcome, stood=stood)

    def _count(self, outcome: str, *, stood: bool) -> None:
        setattr(self.done, outcome, getattr(self.done, outcome) + 1)
        self.done.still_withdrawn += stood

    async def _join(self, kept: Person, gone: Person, keys: list[Key]) -> None:
        if not gone.id:
            kept.absorb(gone)
            return
        # Two who are written are merged as anybody would merge them, with everything that hangs on them.
        await self._store([one for one in (kept, gone) if one.pending], Draft())
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

    async def _store(
        self, people: list[Person], plain: Draft, numbers: Sequence[int] | Mapping[int, int] = ()
    ) -> None:  # fmt: skip
        """Write these people, and the customers of the draft. `numbers` are those of people who are new."""
        await self._lock([one for one in people if one.id])
        old = [one for one in people if one.id and one.touched]
        new = [one for one in people if not one.id]
        for one in new:
            one.id = numbers[one.at]
        await copy(
            self.db, "customers", CUSTOMERS, plain.customers.data + b"".join([self._customer(one) for one in new])
        )
        await self._hang(people, plain)
        if old:
            rows = [
                one.columns
                | {"id": one.id, "tags": one.tags, "properties": one.properties}
                | {"sharing": self.rules.sharing(one.columns)}
                for one in old
            ]
            stored = json.dumps(rows, ensure_ascii=False, allow_nan=False)
            await self.db.execute(_UPDATED, {"rows": stored, "now": self.now})
        for one in people:
            one.keys, one.entries, one.changes, one.touched, one.was, one.updates = [], [], [], False, None, 0

    async def _hang(self, people: list[Person], plain: Draft) -> None:
        """What hangs on customers that this transaction has made or holds."""
        trusted = await _spare_checks(self.db)
        since, source = moment(self.now), word(self.source)
        # In one order, so that two who write the same names do not wait for each other.
        keys = sorted((kind, value, one.id) for one in people for kind, value in one.keys)
        names = [row(word(kind), word(value), number(customer_id), since) for kind, value, customer_id in keys]
        await copy(self.db, "identities", IDENTITIES, plain.identities.among(names))
        entries = [
            row(number(one.id), word(channel), truth(granted), word(said_by), since)
            for one in people
            for channel, granted, said_by in one.entries
        ]
        await copy(self.db, "consents", CONSENTS, plain.consents.data + b"".join(entries))
        kept = [
            row(number(one.id), *map(word, (change.kind, change.name, change.old, change.new)), source, since)
            for one in people
            for change in one.changes
        ]
        await copy(self.db, "changes", "customer_id, kind, name, old, new, because, at", b"".join(kept))
        if trusted:
            await self.db.execute(text("SET LOCAL session_replication_role = origin"))

    def _customer(self, one: Person) -> bytes:
        columns = [word(one.columns[name]) for name in COLUMNS]
        since = moment(self.now)
        sharing = truth(self.rules.sharing(one.columns))
        return row(number(one.id), since, since, sharing, *columns, words(one.tags), properties(one.properties))

    async def _lock(self, people: Iterable[Person]) -> None:
        """Hold those whose rows are written, and make sure that they are as they were read."""
        seen = {one.id: one.seen for one in people}
        if seen:
            held = {row.id: row.seen for row in await self.db.execute(_LOCKED, {"ids": sorted(seen)})}
            if held != seen:
                raise Overtaken


def _person(row: Any, taken_in: datetime | None = None) -> Person:
    columns = {name: getattr(row, name) for name in COLUMNS}
    settled = taken_in is not None and row.updated_at <= taken_in
    return Person(row.id, -1, row.seen, columns, list(row.tags), dict(row.properties), settled=settled)


async def _spare_checks(db: AsyncConnection) -> bool:
    """Let the database not look up the customer of each row that is hung on one, where we may: the transaction has
    made these customers or holds them, and the look-ups are a third of the time of an import.

    No other trigger acts on new rows of these tables (tests/integration/test_import_into_records.py).
    """
    spare = text(
        "SELECT set_config('session_replication_role', 'replica', true) FROM pg_roles "
        "WHERE rolname = current_user AND rolsuper"
    )
    return (await db.execute(spare)).one_or_none() is not None
