"""The pages of a list in its order, parsed and ready to be written: here, or by other processes beside the writing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from activities.intake.chunks import Chunk
from activities.intake.encodings import PIECE
from activities.intake.parsing import Parser, Reading
from activities.intake.rejects import Rejection
from journeys.errors import WaymarkError
from journeys.identities import IdentityRules
from records.intake.drafts import Sheet, drafted, pack

SMALL = 2 * PIECE
"""Bytes up to which a file is parsed in this process: starting others takes a second."""
_IN_FLIGHT = 2
"""Pages a process has ready or under way."""


@dataclass(frozen=True, slots=True)
class Making:
    """How pages are made: how the list is read, who is the same person, and when and by whom its rows are said."""

    reading: Reading
    rules: IdentityRules
    now: datetime
    source: str


class Ready(NamedTuple):
    """What a chunk came to: the rows that can be taken, those that cannot, how many there were, the last line, and how
    many bytes of the file have been read."""

    sheet: Sheet
    rejected: list[Rejection]
    rows: int
    line: int
    end: int


Draw = Callable[[Chunk], Awaitable[int]]
"""The first of as many numbers of customers as a chunk has lines; 0 where its rows are to come without numbers."""


class Pages:
    """The pages of a list; those of a large one are parsed by other processes."""

    def __init__(self, making: Making, chunks: Iterator[Chunk], size: int, draw: Draw) -> None:
        self._making = making
        self._chunks = chunks
        self._size = size
        self._draw = draw
        self._pool: ProcessPoolExecutor | None = None

    async def __aenter__(self) -> AsyncIterator[Ready]:
        if self._size <= SMALL:
            return self._here()
        # The database has work for one processor.
        count = max(1, min(4, (os.cpu_count() or 1) - 1))
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), _prepare, (self._making,)
        )  # fmt: skip
        return self._elsewhere(self._pool, count * _IN_FLIGHT + 1)

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    async def _here(self) -> AsyncIterator[Ready]:
        parser = Parser(self._making.reading)
        for chunk in self._chunks:
            yield _make(parser, self._making, chunk, await self._draw(chunk))

    async def _elsewhere(self, pool: ProcessPoolExecutor, most: int) -> AsyncIterator[Ready]:
        loop = asyncio.get_running_loop()
        waiting: deque[asyncio.Future[Ready]] = deque()
        try:
            for chunk in self._chunks:
                waiting.append(loop.run_in_executor(pool, _parse, chunk, await self._draw(chunk)))
                if len(waiting) >= most:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        except BrokenProcessPool:
            raise WaymarkError(
                "The import was cut off: a process that reads the file was ended.",
                hint="Import the same file again: it goes on where it stood.",
            ) from None


def _make(parser: Parser, making: Making, chunk: Chunk, first: int) -> Ready:
    page, rejected, rows, line, end = parser.parse(chunk)
    sheet = drafted(page, making.rules, first, now=making.now, source=making.source) if first else pack(page)
    return Ready(sheet, rejected, rows, line, end)


_prepared: tuple[Parser, Making] | None = None


def _prepare(making: Making) -> None:
    """Make this process one that parses. Ctrl-C is the business of the process that started it."""
    global _prepared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prepared = Parser(making.reading), making


def _parse(chunk: Chunk, first: int) -> Ready:
    assert _prepared is not None
    return _make(*_prepared, chunk, first)
