"""What commands share that make journeys go on: the records and the way to Temporal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.entering.audience import Audience
from workers.commands.shared import settings
from workers.composition import compose


@asynccontextmanager
async def audience(*, lazy: bool = False) -> AsyncIterator[tuple[AsyncEngine, Audience]]:
    """The database and Temporal, for commands that make journeys go on.

    Raises TemporalAwayError where no server is named, and where none answers: not to a `lazy` command, whose work is
    kept in the records until the sweep carries it to Temporal. `compose` does the same with `lazy`.
    """
    async with compose(settings(), channels={}, lazy=lazy) as parts:
        yield parts.engine, parts.audience
