"""Memory for statements that go through everybody: sorts and hashes of a million rows that need not go to disk."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WORKING = "128MB"
"""For each sort and hash; PostgreSQL has 4 MB by default, chosen for many small statements at once."""


async def roomy(db: AsyncConnection) -> None:
    """Give the statements of this transaction room."""
    await db.execute(text(f"SET LOCAL work_mem = '{WORKING}'"))
