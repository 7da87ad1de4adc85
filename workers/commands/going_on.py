"""What commands share that make journeys go on: the records and the way to Temporal.

Temporal's library and the activities take twice as long to import as the rest of a short command, and those of
templates and channels as long again. So both are imported here, when a command has come to need them: its help, and
what it refuses beforehand, do without.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from workers.commands.shared import settings

if TYPE_CHECKING:
    from workers.composition import Composition
    from workers.foundation import Foundation

AWAY = "Temporal does not answer now; journeys hear of it within a minute of its return."


@asynccontextmanager
async def foundation(*, lazy: bool = False) -> AsyncIterator[Foundation]:
    """The parts that make journeys go on.

    Raises TemporalAwayError where no server is named, and where none answers: not to a `lazy` command, whose work is
    kept in the records until the sweep carries it to Temporal.
    """
    from workers.foundation import found

    async with found(settings(), lazy=lazy) as parts:
        yield parts


@asynccontextmanager
async def composition(*, sending: bool = False) -> AsyncIterator[Composition]:
    """All parts, with the channels only when something is to be sent; Temporal may be away."""
    from workers.composition import compose

    async with compose(settings(), channels=None if sending else {}, lazy=True) as parts:
        yield parts
