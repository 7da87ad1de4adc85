"""Possible duplicates among all customers, proposed and never joined.

Only those are compared who meet in a block (the same beginnings of names at one place, the same end of a number, the
same mailbox name), so that a million customers take minutes; memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.people.likeness import Likeness, Portrait, blocks, likeness, portrait
from records.people import duplicates

PAGE = 5000
"""Customers read, or rows of blocks compared, at a time."""
CROWD = 60
"""From so many in one block on, each is compared only with those next to it by name."""
NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two customers who may be one, the older first; `score` from 0 to 1."""

    kept: int
    gone: int
    score: float
    because: tuple[str, ...]


async def propose(
    engine: AsyncEngine, *, limit: int, progress: Callable[[int], None] = lambda read: None
) -> list[Proposal]:
    """The likeliest pairs, the most alike first. `progress` hears how many customers have been read."""
    async with engine.connect() as db:
        apart = await duplicates.told_apart(db)
        await duplicates.prepare(db)
        last, read = 0, 0
        while page := await duplicates.page(db, after=last, limit=PAGE):
            await duplicates.meet(db, ((block, row["id"]) for row in page for block in set(blocks(portrait(row)))))
            last, read = page[-1]["id"], read + len(page)
            progress(read)
        found: dict[tuple[int, int], Likeness] = {}
        async with engine.connect() as reader:
            async for rows in duplicates.met(db, page=PAGE):
                people = {row["id"]: portrait(row) for row in await duplicates.these(reader, {who for _, who in rows})}
                for a, b in _pairs(rows, people):
                    pair = (a.id, b.id)
                    if pair not in found and pair not in apart and (alike := likeness(a, b)) is not None:
                        found[pair] = alike
                if len(found) > 20 * limit:
                    found = dict(_best(found, limit))
        await db.rollback()
    return [Proposal(*pair, alike.score, alike.because) for pair, alike in _best(found, limit)]


def _best(found: dict[tuple[int, int], Likeness], limit: int) -> list[tuple[tuple[int, int], Likeness]]:
    return sorted(found.items(), key=lambda one: (-one[1].score, one[0]))[:limit]


def _pairs(
    rows: Sequence[tuple[int, int]], people: dict[int, Portrait]
) -> Iterator[tuple[Portrait, Portrait]]:  # fmt: skip
    for _, block in groupby(rows, key=lambda row: row[0]):
        together = [people[who] for _, who in block if who in people]
        if len(together) <= CROWD:
            yield from combinations(together, 2)
            continue
        together.sort(key=lambda one: (one.name, one.local, one.id))
        for place, one in enumerate(together):
            for other in together[place + 1 : place + 1 + NEIGHBOURS]:
                yield (one, other) if one.id < other.id else (other, one)
