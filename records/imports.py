"""Files that are taken in: how far each has come. One that was cut off goes on; none is read twice at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records.tables import imports

Kind = Literal["customers", "events"]


class ImportUnderWay(WaymarkError):
    """Somebody else imports the same file now. Wait until that has ended."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: how many rows of the file are done, and the report so far."""

    id: int
    rows_done: int
    report: dict[str, Any]


async def alone(db: AsyncConnection, kind: Kind, digest: str, file: str) -> None:
    """Keep others from importing the same file for as long as this connection's transaction lasts.

    Raises:
        ImportUnderWay: somebody does already.
    """
    asked = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0))")
    if not (await db.execute(asked, {"key": f"import/{kind}/{digest}"})).scalar_one():
        raise ImportUnderWay(
            f"{file} is being imported at this moment by somebody else.", hint="Wait until that has ended."
        )


async def begin(
    db: AsyncConnection, kind: Kind, digest: str, file: str, size: int, options: Mapping[str, Any], now: datetime
) -> Import:
    """The import of this file that was begun with these options and did not end, else a new one."""
    unfinished = (
        select(imports.c.id, imports.c.rows_done, imports.c.report)
        .where(
            imports.c.kind == kind, imports.c.digest == digest, imports.c.options == dict(options),
            imports.c.finished_at.is_(None),
        )
        .order_by(imports.c.id.desc())
        .limit(1)
    )  # fmt: skip
    row = (await db.execute(unfinished)).one_or_none()
    if row is None:
        fresh = {"kind": kind, "digest": digest, "file": file, "size": size, "options": dict(options),
                 "started_at": now}  # fmt: skip
        returned = await db.execute(
            insert(imports).values(fresh).returning(imports.c.id, imports.c.rows_done, imports.c.report)
        )
        row = returned.one()
    return Import(row.id, row.rows_done, row.report)


async def reach(
    db: AsyncConnection, number: int, rows_done: int, report: Mapping[str, Any], finished_at: datetime | None = None
) -> None:
    """Note how far an import has come, in the transaction that stores its rows; `finished_at` when that is its end."""
    await db.execute(
        update(imports)
        .where(imports.c.id == number)
        .values(rows_done=rows_done, report=dict(report), finished_at=finished_at)
    )
