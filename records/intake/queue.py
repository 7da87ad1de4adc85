"""Pages of an import get their turn: one at a time over all imports, again where somebody else came in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from records.intake.imports import AlreadyImporting
from records.intake.writing import Overtaken
from records.people.unnamed import INTAKE

Result = TypeVar("Result")
TRIES = 10
"""How often a page is tried that others keep coming in the way of."""
_OVERTAKEN = (
    errors.UniqueViolation, errors.ForeignKeyViolation, errors.DeadlockDetected, errors.SerializationFailure,
)  # fmt: skip


# Nothing is lost that is not done again: how far the import has come is lost with it. Its end is written with
# certainty, and with it all that came before.
_OUR_TURN = text(
    "SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtextextended(:intake, 0))"
)


async def in_turn(db: AsyncConnection, write: Callable[[], Awaitable[Result]], *, alone: bool) -> Result:
    """Write a page in a transaction of its own (within the one that is open, unless `alone`), again where somebody
    else came in the way. Imports of different files take turns, page by page.

    Raises:
        AlreadyImporting: others kept coming in the way.
    """
    for _ in range(TRIES):
        try:
            async with db.begin() if alone else db.begin_nested():
                if alone:
                    await db.execute(_OUR_TURN, {"intake": INTAKE})
                return await write()
        except (Overtaken, *_OVERTAKEN):
            continue
        except DBAPIError as error:
            if not isinstance(error.orig, _OVERTAKEN):
                raise
    raise AlreadyImporting(
        "Others keep writing the same customers at this moment; the pages before are written.",
        hint="Import the same file again: it goes on where it stood.",
    )
