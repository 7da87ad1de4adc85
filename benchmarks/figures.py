"""How long figures about customers take: `python -m benchmarks.figures [--customers 1000000] [--events 5000000]`.

On one embedded PostgreSQL: the report of recency, frequency and money as JSON lines; values, quintiles and stages of
all; what new scoring rules would change; and rescoring, page by page, as the job does it, of `--rescored` customers.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from benchmarks.segments_ground import NOW, fill
from journeys import lifecycle as rules_of_lifecycle
from journeys import scoring as rules_of_scoring
from journeys.lifecycle import Lifecycle
from journeys.scoring import Scoring
from records.audience import lifecycle, scoring, values
from records.audience.rescoring import preview
from records.database import create_engine
from records.migration import migrate
from workers.server.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
UTC_ZONE = ZoneInfo("UTC")
PAGE = 1000


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rescored", type=int, default=100_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="waymark-figures-"))
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
        migrate(url)
        with _timed("filling") as _, psycopg.connect(url) as db:
            fill(db, given.customers, given.events)
        asyncio.run(_measure(url, given.rescored))
    finally:
        server.stop()
        shutil.rmtree(folder)


async def _measure(url: str, rescored: int) -> None:
    engine = create_engine(url)
    stages = rules_of_lifecycle.load(ROOT / "definitions" / "lifecycle.yaml")
    assert stages is not None
    rules = rules_of_scoring.load(ROOT / "definitions" / "scoring.yaml").rules
    async with engine.connect() as db:
        with _timed("report rfm, all lines") as note:
            lines = 0
            async for _ in values.rfm(db, "order.placed", NOW, UTC_ZONE):
                lines += 1
            note(f"{lines:,} customers")
    for again in ("the first time", "the next night"):
        now = NOW + timedelta(days=again == "the next night")
        async with engine.begin() as db:
            with _timed(f"values of all, {again}") as note:
                note(f"{await values.refresh(db, stages.orders, now, UTC_ZONE):,} changed")
        async with engine.begin() as db:
            with _timed(f"stages of all, {again}") as note:
                note(f"{await lifecycle.evaluate(db, stages, now):,} moved")
    async with engine.connect() as db:
        with _timed("preview of new rules for all") as note:
            found = await preview(db, rules, NOW, 60, 10)
            note(f"{found.customers:,} customers, {found.rise:,} rise, {found.fall:,} fall")
    for again in ("the first time", "once more"):
        await _rescore(engine, rules, rescored, again)
    async with engine.begin() as db:
        with _timed("one customer after an event, mean of 200") as note:
            began = time.perf_counter()
            for one in range(1, 201):
                await _one(db, stages, rules, one)
            note(f"{(time.perf_counter() - began) * 5:.2f} ms each")
    await engine.dispose()


async def _rescore(engine: AsyncEngine, rules: Scoring, rescored: int, again: str) -> None:
    with _timed(f"rescoring {rescored:,}, {again}") as note:
        began, last, changed = time.perf_counter(), 0, 0
        for _ in range(rescored // PAGE):
            async with engine.begin() as db:
                ids = await scoring.page(db, last, PAGE)
                changed += len(await scoring.apply(db, rules, ids, NOW))
            last = ids[-1]
        note(f"{changed:,} changed, {rescored / (time.perf_counter() - began):,.0f} a second")


async def _one(db: AsyncConnection, stages: Lifecycle, rules: Scoring, customer: int) -> None:
    await values.refresh_some(db, stages.orders, [customer], NOW, UTC_ZONE)
    await lifecycle.evaluate(db, stages, NOW, [customer], newcomers_from="acquisition")
    await scoring.lock(db, [customer])
    await scoring.apply(db, rules, [customer], NOW)


@contextmanager
def _timed(what: str) -> Iterator[Callable[[str], None]]:
    notes: list[str] = []
    began = time.perf_counter()
    yield notes.append
    print(f"{what:<45} {time.perf_counter() - began:8.2f} s  {'; '.join(notes)}", flush=True)


if __name__ == "__main__":
    main()
