"""Writing down what is known already: it must not become a doubt because the database is away for a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

Result = TypeVar("Result")

log = logging.getLogger(__name__)


async def persistently(write: Callable[[], Awaitable[Result]], unrecorded: str) -> Result:
    """What `write` returns, which is one transaction. A lost connection is tried again for as long as the activity
    lives; `unrecorded` says in the log what is not yet written down."""
    pause = 0.5
    while True:
        try:
            return await write()
        except (OperationalError, InterfaceError, PoolTimeout):
            log.warning("%s: the database is away", unrecorded)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5)
