"""Importing a file of events: batch by batch, each one transaction, in constant memory; then to the journeys.

The table `imports` says how far a file has come: cut off, it is taken up there. An event without a key of its own gets
one from all that is said of it and from the how-manieth of its like it is in the file, so that the same file again
changes nothing, and two equal orders of one second count twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entering.ingesting import Ingesting, digest_of, patiently
from activities.intake.event_files import EventFile, Rejection, Row
from activities.intake.event_report import EventReport, Progress, write_rows
from activities.intake.incoming import Unknown
from records import events, incoming
from records.intake import imports
from records.intake.imports import Job

BATCH = 5_000
"""Rows in one transaction."""
PAGE = 2_000
"""Events that are looked at together when they are carried to journeys."""
Tell = Callable[[Progress], None]


class EventImport:
    """One import of one file. `history` stores events that no journey is to hear of."""

    def __init__(
        self,
        ingesting: Ingesting,
        file: EventFile,
        *,
        unknown: Unknown,
        history: bool = False,
        rejects: Path | None = None,
        options: Mapping[str, Any] | None = None,
        afterwards: Callable[[Collection[int], datetime], Awaitable[object]] | None = None,
        in_the_end: Callable[[int, datetime], Awaitable[object]] | None = None,
    ) -> None:
        """`options` tell imports of the same file apart that read it differently. `afterwards` hears of the customers
        of each batch, once it is stored; `in_the_end` of how many they were, once all are."""
        self._ingesting = ingesting
        self._database = ingesting.database
        self._file = file
        self._survey = file.survey
        self._unknown: Unknown = unknown
        self._history = history
        self._rejects = rejects
        self._options = {"unknown": unknown, "history": history, **(options or {})}
        self._afterwards = afterwards
        self._in_the_end = in_the_end
        self.report = EventReport()

    async def run(self, now: datetime, tell: Tell = lambda progress: None) -> EventReport:
        """Store the file's events, then carry those that concern journeys to them.

        Raises:
            AlreadyImporting: somebody else imports the same file at this moment.
        """
        digest, size, lines, name = self._survey.digest, self._survey.size, self._survey.lines, self._file.path.name
        async with self._database.connect() as db, imports.alone(db, "events", digest, name):
            async with db.begin():
                job = await imports.begin(
                    db, "events", digest=digest, file=name, size=size, options=self._options, now=now
                )
                await incoming.begin_to_count(db)
            self._resume(job)
            tell(Progress("stored", self.report.rows, max(self.report.rows, lines - 1)))
            touched = 0
            async for batch in self._batches(db):
                customers = await patiently(partial(self._store, db, job, batch, now))
                touched += len(customers)
                if self._afterwards is not None:
                    await self._afterwards(customers, now)
                tell(Progress("stored", self.report.rows, max(self.report.rows, lines - 1)))
            async with db.begin():
                await imports.reach(db, job, self.report.rows, asdict(self.report))
                await imports.finish(db, job, now)
        if self._in_the_end is not None:
            tell(Progress("working out what orders come to", 0, 1))
            await self._in_the_end(touched, now)
            tell(Progress("working out what orders come to", 1, 1))
        await self._route(now, tell)
        return self.report

    async def rehearse(self, now: datetime, tell: Tell = lambda progress: None) -> EventReport:
        """Say what `run` would do, and write nothing but the file of rejects."""
        self._begin_rejects()
        lines = self._survey.lines
        async with self._database.connect() as db:
            async with db.begin():
                await incoming.begin_to_count(db)
                heard = await self._ingesting.heard(db)
            tell(Progress("checked", 0, lines))
            async for batch in self._batches(db):
                async with db.begin():
                    await self._look(db, batch, heard)
                tell(Progress("checked", self.report.rows, max(self.report.rows, lines - 1)))
        return self.report

    def _resume(self, job: Job) -> None:
        if job.resumed:
            self.report = EventReport(**job.report)
            self.report.resumed_at = job.rows_done
        self._begin_rejects()

    def _begin_rejects(self) -> None:
        path, at = self._rejects, self.report.rejects_at
        if path is not None and (not at or not path.exists() or path.stat().st_size < at):
            path.write_text("\ufeff", encoding="utf-8")
            self.report.rejects_at = write_rows(path, [["line", "error", *self._file.header]], path.stat().st_size)

    async def _batches(self, db: AsyncConnection) -> AsyncIterator[list[Row | Rejection]]:
        """The batches that are to be done; the next one is read while one is stored."""
        rows = iter(self._file)
        skipped = 0
        while skipped < self.report.resumed_at:
            batch = await asyncio.to_thread(_take, rows, min(BATCH, self.report.resumed_at - skipped))
            if not batch:
                return
            async with db.begin():
                await self._keys(db, [one for one in batch if isinstance(one, Row)])
            skipped += len(batch)
        reading = asyncio.create_task(asyncio.to_thread(_take, rows, BATCH))
        try:
            while batch := await reading:
                reading = asyncio.create_task(asyncio.to_thread(_take, rows, BATCH))
                yield batch
        finally:
            await asyncio.wait([reading])

    async def _store(
        self, db: AsyncConnection, job: Job, batch: list[Row | Rejection], now: datetime
    ) -> frozenset[int]:
        """Store one batch and note how far the import has come, in one transaction; returns its customers."""
        report = EventReport(**{**asdict(self.report), "rejected": list(self.report.rejected)})
        rows = [one for one in batch if isinstance(one, Row)]
        refused = [one for one in batch if isinstance(one, Rejection)]
        async with db.begin():
            keys = await self._keys(db, rows)
            done = await self._ingesting.store(
                db, [row.told for row in rows], keys, now=now, unknown=self._unknown, history=self._history
            )
            for row, outcome in zip(rows, done.outcomes, strict=True):
                report.stored += outcome.status == "stored"
                report.duplicates += outcome.status == "duplicate"
                if outcome.status == "rejected":
                    refused.append(Rejection(row.line, row.told.kind, outcome.because or "", row.row))
            report.reject(refused, self._rejects, self.report.rejects_at)
            report.rows += len(batch)
            report.created_customers += done.created
            report.heard += len(done.heard)
            if done.heard and report.first is None:
                report.first = min(done.heard)
            await imports.reach(db, job, report.rows, asdict(report))
        self.report = report
        return done.customers

    async def _look(self, db: AsyncConnection, batch: list[Row | Rejection], heard: frozenset[str]) -> None:
        rows = [one for one in batch if isinstance(one, Row)]
        refused = [one for one in batch if isinstance(one, Rejection)]
        keys = await self._keys(db, rows)
        told = [row.told for row in rows]
        _, because, fresh = await self._ingesting.whose(db, told, unknown=self._unknown)
        again = await incoming.count_again(db, [_number(f"customer/{key}") for key in set(fresh.values())])
        self.report.created_customers += again.count(1)
        there = await incoming.known(db, keys)
        taken = [(row, key) for row, key in zip(rows, keys, strict=True) if row.told.reference not in because]
        times = await incoming.count_again(db, [_number(f"key/{key}") for _, key in taken])
        for (row, key), time in zip(taken, times, strict=True):
            duplicate = key in there or time > 1
            self.report.duplicates += duplicate
            self.report.stored += not duplicate
            self.report.heard += not duplicate and not self._history and row.told.name in heard
        refused += [
            Rejection(row.line, row.told.kind, because[row.told.reference], row.row)
            for row in rows if row.told.reference in because
        ]  # fmt: skip
        self.report.reject(refused, self._rejects, self.report.rejects_at)
        self.report.rows += len(batch)

    async def _keys(self, db: AsyncConnection, rows: list[Row]) -> list[str]:
        """The keys under which rows are stored: their own, or what they say and the how-manieth of their like."""
        digests = [digest_of(row.told) for row in rows if row.told.key is None]
        times = iter(await incoming.count_again(db, [_number(digest) for digest in digests]))
        made = (f"file/{digest.hex()}" + (f"/{n}" if (n := next(times)) > 1 else "") for digest in digests)
        return [row.told.key if row.told.key is not None else next(made) for row in rows]

    async def _route(self, now: datetime, tell: Tell) -> None:
        """Carry what was stored to the journeys, unless somebody else does that now. The sweep does the rest."""
        report, done = self.report, 0
        if report.first is None:
            return
        after, report.routed = report.first - 1, False
        async with self._database.connect() as alone:
            if not await events.alone(alone, "routing"):
                return
            tell(Progress("carried to journeys", 0, report.heard))
            while True:
                async with self._database.connect() as db:
                    page = await events.unrouted(db, limit=PAGE, older_than=now, after=after)
                if not page:
                    report.routed = True
                    return
                routed = await self._ingesting.route([one.id for one in page], now)
                report.began += sum(len(one.enrolled) for one in routed if one.away is None)
                report.woken += sum(len(one.woken) for one in routed if one.away is None)
                if any(one.away is not None for one in routed):
                    return
                after, done = page[-1].id, done + len(page)
                tell(Progress("carried to journeys", done, max(done, report.heard)))


def _take(rows: Iterator[Row | Rejection], count: int) -> list[Row | Rejection]:
    return list(islice(rows, count))


def _number(said: bytes | str) -> int:
    """64 bits of a digest, as the database counts them."""
    digest = hashlib.blake2b(said if isinstance(said, bytes) else said.encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)
