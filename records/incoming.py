"""Many events at once: whose they are is asked together, and they are stored by one statement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Text, case, cast, column, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.identities import Key
from records.people.identities import owners
from records.tables import Instant, customers, events, identities


@dataclass(frozen=True, slots=True)
class Told:
    """An event as somebody tells of it: to whom it happened (`kind` says by which of their names, `customer` by any),
    its time and all else."""

    kind: str
    who: str
    name: str
    at: datetime
    key: str | None
    value: Decimal | None
    properties: dict[str, Any]

    @property
    def reference(self) -> str:
        """What names its customer."""
        return f"{self.kind}:{self.who}"


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event that is to be stored, its customer known."""

    customer_id: int
    told: Told
    key: str | None


async def whose(db: AsyncConnection, references: Mapping[str, tuple[Sequence[Key], int | None]]) -> dict[str, set[int]]:
    """The customers whom each reference may mean: by its keys, and by a number of ours where one is given."""
    found = await owners(db, {key for keys, _ in references.values() for key in keys})
    numbers = {number for _, number in references.values() if number is not None}
    there = await _there(db, numbers) if numbers else set()
    return {
        name: {found[key] for key in keys if key in found} | ({number} & there if number is not None else set())
        for name, (keys, number) in references.items()
    }


async def _there(db: AsyncConnection, numbers: Collection[int]) -> set[int]:
    query = select(customers.c.id).where(customers.c.id == func.any(literal(list(numbers), ARRAY(BigInteger))))
    return set((await db.execute(query)).scalars())


async def introduce(db: AsyncConnection, keys: Iterable[Key], now: datetime) -> dict[Key, int] | None:
    """New customers, each known by one key only; None when somebody else has taken one of the keys meanwhile."""
    wanted = sorted(set(keys))
    ids = await _numbers(db, customers.name, len(wanted))
    rows = [
        {"id": number, "external_id": None, "email": None, "phone": None, "created_at": now, "updated_at": now}
        | {kind: v}
        for number, (kind, v) in zip(ids, wanted, strict=True)
    ]
    await db.execute(insert(customers), rows)
    names = [
        {"kind": kind, "value": value, "customer_id": number, "since": now}
        for number, (kind, value) in zip(ids, wanted, strict=True)
    ]
    await db.execute(insert_unless_there(identities).on_conflict_do_nothing(), names)
    made = dict(zip(wanted, ids, strict=True))
    return made if await owners(db, wanted) == made else None


async def store(
    db: AsyncConnection, incoming: Sequence[Incoming], *, received_at: datetime, heard: Collection[str]
) -> list[int | None]:
    """Store events by one statement; returns their numbers in the same order, None for one whose key is there already.

    Those whose names are not `heard` by any journey are stored as routed.
    """
    if not incoming:
        return []
    ids = await _numbers(db, events.name, len(incoming))
    given = (
        func.unnest(
            literal(ids, ARRAY(BigInteger)),
            literal([one.customer_id for one in incoming], ARRAY(BigInteger)),
            literal([one.told.name for one in incoming], ARRAY(Text)),
            literal([one.told.at for one in incoming], ARRAY(Instant)),
            literal([one.key for one in incoming], ARRAY(Text)),
            literal([one.told.value for one in incoming], ARRAY(events.c.value.type)),
            literal([json.dumps(one.told.properties, ensure_ascii=False) for one in incoming], ARRAY(Text)),
        )
        .table_valued(
            column("id", BigInteger), column("customer_id", BigInteger), column("name", Text),
            column("occurred_at", Instant), column("key", Text), column("value", events.c.value.type),
            column("properties", Text), name="given",
        )
        .render_derived()
    )  # fmt: skip
    c = given.c
    at = literal(received_at, Instant)
    unheard = case((c.name == func.any(literal(list(heard), ARRAY(Text))), None), else_=at)
    rows = select(
        c.id, c.customer_id, c.name, c.occurred_at, at, c.key, c.value, cast(c.properties, JSONB), unheard
    ).order_by(c.key, c.id)  # in one order, so that two who store the same keys do not wait for each other
    names = ["id", "customer_id", "name", "occurred_at", "received_at", "key", "value", "properties", "routed_at"]
    statement = insert_unless_there(events).from_select(names, rows).on_conflict_do_nothing(index_elements=["key"])
    stored = set((await db.execute(statement.returning(events.c.id))).scalars())
    return [number if number in stored else None for number in ids]


async def known(db: AsyncConnection, keys: Iterable[str]) -> set[str]:
    """Which of these keys events bear already."""
    asked = literal(sorted(set(keys)), ARRAY(Text))
    return set((await db.execute(select(events.c.key).where(events.c.key == func.any(asked)))).scalars())


async def begin_to_count(db: AsyncConnection) -> None:
    """Let `count_again` begin anew over this connection."""
    await db.execute(text("DROP TABLE IF EXISTS pg_temp.counted"))
    await db.execute(text("CREATE TEMP TABLE counted (digest BIGINT PRIMARY KEY, times INT NOT NULL)"))


async def count_again(db: AsyncConnection, digests: Sequence[int]) -> list[int]:
    """The how-manieth time each of these digests is counted over this connection: 1 at first.

    The counts stand on the server's disk, however many there are. A transaction that is rolled back has not counted.
    """
    if not digests:
        return []
    here = Counter(digests)
    counted = text(
        "INSERT INTO counted SELECT * FROM unnest(CAST(:digests AS bigint[]), CAST(:times AS int[])) "
        "ON CONFLICT (digest) DO UPDATE SET times = counted.times + excluded.times RETURNING digest, times"
    )
    rows = await db.execute(counted, {"digests": list(here), "times": list(here.values())})
    so_far = {row.digest: row.times - here[row.digest] for row in rows}
    numbers = []
    for digest in digests:
        so_far[digest] += 1
        numbers.append(so_far[digest])
    return numbers


async def _numbers(db: AsyncConnection, table: str, count: int) -> list[int]:
    """So many new ids, ascending."""
    drawn = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)")
    return sorted((await db.execute(drawn, {"table": table, "count": count})).scalars())
