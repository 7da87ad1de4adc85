"""Files that are taken in: how far each has come, so that a crash is resumed, not repeated, and none is read twice at
once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records.tables import imports

Kind = Literal["customers", "events"]


class AlreadyImporting(WaymarkError):
    """The same content is being imported by somebody else at this moment. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Job:
    """One import of one file: how many rows are done for good, and the report as far as these go."""

    id: int
    rows_done: int
    report: dict[str, Any]

    @property
    def resumed(self) -> bool:
        """Whether an earlier try did a part of it."""
        return self.rows_done > 0


@asynccontextmanager
async def alone(db: AsyncConnection, kind: Kind, digest: str, file: str) -> AsyncIterator[None]:
    """Be the only one who imports this content, for the length of the block; a lock of the connection's session.

    Raises:
        AlreadyImporting: somebody else does.
    """
    key = func.hashtextextended(f"import/{kind}/{digest}", 0)
    taken = (await db.execute(select(func.pg_try_advisory_lock(key)))).scalar_one()
    await db.commit()
    if not taken:
        raise AlreadyImporting(
            f"{file} is being imported already, here or elsewhere; nothing was written.",
            hint="Wait until that import has ended; then the same file changes nothing.",
        )
    try:
        yield
    finally:
        # Where the connection is lost the lock is, too.
        if not db.invalidated and not db.closed:
            await db.rollback()
            await db.execute(select(func.pg_advisory_unlock(key)))
            await db.commit()


async def begin(
    db: AsyncConnection,
    kind: Kind,
    *,
    digest: str,
    file: str,
    size: int,
    options: Mapping[str, Any],
    now: datetime,
) -> Job:
    """The import to go on with: one of the same content and options that was cut off, or a new one."""
    same = (imports.c.kind == kind, imports.c.digest == digest, imports.c.finished_at.is_(None))
    query = select(imports.c.id, imports.c.rows_done, imports.c.report).where(*same, imports.c.options == dict(options))
    row = (await db.execute(query.order_by(imports.c.id.desc()).limit(1))).one_or_none()
    if row is not None:
        return Job(row.id, row.rows_done, row.report)
    fresh = insert(imports).values(
        kind=kind, digest=digest, file=file, size=size, options=dict(options), started_at=now
    )  # fmt: skip
    return Job((await db.execute(fresh.returning(imports.c.id))).scalar_one(), 0, {})


async def reach(db: AsyncConnection, job: Job, rows_done: int, report: Mapping[str, Any]) -> None:
    """Write down how far the import has come, in the transaction that wrote these rows."""
    done = update(imports).where(imports.c.id == job.id)
    await db.execute(done.values(rows_done=rows_done, report=dict(report)))


_STATE = text(
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS seen, (SELECT count(*) FROM customers) AS people, "
    "system_identifier::text AS server FROM pg_control_system()"
)
_LATER = text(
    "SELECT EXISTS (SELECT FROM customers WHERE written >= CAST(:seen AS xid8)) "
    "OR EXISTS (SELECT FROM consents WHERE written >= CAST(:seen AS xid8))"
)


async def finish(db: AsyncConnection, job: Job, now: datetime) -> None:
    """Write down that the whole file is done, and the state in which it leaves the records: the next import of it is
    one of its own."""
    left = dict((await db.execute(_STATE)).one()._mapping)
    done = update(imports).where(imports.c.id == job.id)
    await db.execute(
        done.values(finished_at=now, report=imports.c.report.concat(func.jsonb_build_object(*_pairs(left))))
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """The last import of a content: when it ended, what it came to, and whether nobody has written, merged or erased
    a customer since."""

    at: datetime
    report: Mapping[str, Any]
    untouched: bool


async def taken(db: AsyncConnection, digest: str, options: Mapping[str, Any]) -> Taken | None:
    """The last import of this content with these options, if it came to its end. Where nothing was touched since, the
    same rows say nothing new, also where they contradict each other; nor of anybody who was not written since."""
    query = select(imports.c.finished_at, imports.c.report).where(
        imports.c.kind == "customers", imports.c.digest == digest, imports.c.options == dict(options)
    )
    last = (await db.execute(query.order_by(imports.c.id.desc()).limit(1))).one_or_none()
    if last is None or last.finished_at is None:
        return None
    now = (await db.execute(_STATE)).one()
    if (last.report["people"], last.report["server"]) != (now.people, now.server):
        return Taken(last.finished_at, last.report, untouched=False)
    later: bool = (await db.execute(_LATER, {"seen": last.report["seen"]})).scalar_one()
    return Taken(last.finished_at, last.report, untouched=not later)


def _pairs(values: Mapping[str, Any]) -> list[Any]:
    return [literal(word) for pair in values.items() for word in pair]
