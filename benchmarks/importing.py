"""Import of a large list against COPY of the same rows into a table with the same keys, in one run:

    python -m benchmarks.importing --rows 1000000

COPY gets what the import has to find out first: values that are checked and in one spelling, rows that have their
numbers. It writes one table with the columns of `customers`, a primary key, and external id, e-mail and phone unique.
The import reads the file, checks and normalises every value, and writes customers, their names and consents, with all
indexes of the schema.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.intake.importing import ImportReport, import_customers
from benchmarks.usage import MB
from journeys.fields import Field
from records.database import create_engine
from records.migration import migrate
from workers.server.postgres import EmbeddedPostgres

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FIELDS = {"plan": Field("plan", "text", "Plan"), "lifetime_value": Field("lifetime_value", "number", "Lifetime value")}
FIRST = ("Ada", "Jürgen", "Zoë", "Noor", "Liam", "Mei", "Ana", "Tom", "李", "Chloé", "Ivan", "Sofia")
LAST = tuple(f"{begin}{end}" for begin in ("Bak", "Mor", "Sand", "Hol", "Wei", "Lind") for end in ("er", "gan", "mann"))
COUNTRIES = (
    ("DE", "Germany", "de", "Europe/Berlin", "+49151", 8), ("US", "US", "en-US", "America/New_York", "+1202", 7),
    ("CN", "China", "zh_CN", "Asia/Shanghai", "+86138", 8), ("FR", "fr", "fr-FR", "Europe/Paris", "+336", 8),
)  # fmt: skip
HEADER = "ID,E-Mail,Mobile,First name,Last name,Country,Language,Time zone,Tags,Newsletter,Plan,Lifetime value"
PIECE = 1 << 18
COLUMNS = "id, external_id, email, phone, first_name, last_name, country, locale, time_zone, tags, properties, created_at, updated_at"  # noqa: E501


def people(count: int) -> Iterator[tuple[str, str]]:
    """So many different people: the line of the list, and the line of COPY that says the same."""
    chance = random.Random(7)
    for number in range(count):
        code, country, locale, zone, prefix, digits = COUNTRIES[number % len(COUNTRIES)]
        first, last = chance.choice(FIRST), chance.choice(LAST)
        mail = f"{last}.{number}@mail{number % 400}.example"
        phone = prefix + str(number).zfill(digits)
        plan, value = chance.choice(("home", "team", "office")), chance.randrange(5_000)
        tag = chance.choice(("", "news", "vip"))
        yield (
            f"c-{number},{mail},{phone},{first},{last},{country},{locale},{zone},{tag},yes,{plan},{value}\n",
            (
                f"{number + 1}\tc-{number}\t{mail.lower()}\t{phone}\t{first}\t{last}\t{code}\t"
                f"{locale.replace('_', '-')}\t"
                f'{zone}\t{{{tag}}}\t{{"plan": "{plan}", "lifetime_value": {value}}}\t{NOW}\t{NOW}'
            ),
        )


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most memory (RSS in bytes) that this process and those it starts have had; the server is not among them."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not stop.wait(0.05):
            total = this.memory_info().rss
            for child in this.children(recursive=True):
                try:
                    if "postgres" not in child.name():
                        total += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            most[0] = max(most[0], total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


async def copied(engine: AsyncEngine, count: int) -> float:
    """The seconds that COPY takes."""
    async with engine.connect() as db:
        await db.execute(text("CREATE TABLE bare AS SELECT * FROM customers WHERE false"))
        await db.execute(text("ALTER TABLE bare ADD PRIMARY KEY (id)"))
        for key in ("external_id", "email", "phone"):
            await db.execute(text(f"CREATE UNIQUE INDEX ON bare ({key})"))
        await db.commit()
        lines = [line for _, line in people(count)]
        begun = time.perf_counter()
        for at in range(0, count, 10_000):
            await _copy(db, lines[at : at + 10_000])
        await db.commit()
        took = time.perf_counter() - begun
        await db.execute(text("DROP TABLE bare"))
        await db.commit()
    await _settle(engine)
    return took


async def _copy(db: AsyncConnection, lines: list[str]) -> None:
    driver = (await db.get_raw_connection()).driver_connection
    assert driver is not None
    async with driver.cursor() as cursor, cursor.copy(f"COPY bare ({COLUMNS}) FROM STDIN") as writing:
        data = "\n".join(lines).encode()
        for at in range(0, len(data), PIECE):
            await writing.write(data[at : at + PIECE])
        await writing.write(b"\n")


async def _settle(engine: AsyncEngine) -> None:
    async with engine.connect() as db:
        await db.execute(text("CHECKPOINT"))


async def measure(count: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        database = postgres.start()
        migrate(database)
        engine = create_engine(database)
        bare = await copied(engine, count)
        print(f"COPY of {count:,} rows into a table with the same keys: {bare:.1f} s, {count / bare:,.0f} rows/s")
        path = folder / "people.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write(HEADER + "\n")
            file.writelines(line for line, _ in people(count))
        print(f"The list: {path.stat().st_size / MB:.0f} MB")
        for what in ("import", "the same file again"):
            with peak() as most:
                begun = time.perf_counter()
                report = await import_customers(engine, path, FIELDS, now=NOW)
                took = time.perf_counter() - begun
            _tell(what, took, bare, most[0], report)
            await _settle(engine)
        await engine.dispose()
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _tell(what: str, took: float, bare: float, most: int, report: ImportReport) -> None:
    figures = ", ".join(f"{figure:,} {name}" for name, figure in report.figures().items() if figure)
    print(
        f"{what}: {took:.1f} s, {report.rows / took:,.0f} rows/s, {took / bare:.2f} times COPY, "
        f"peak memory {most / MB:.0f} MB; {figures}, {len(report.rejected):,} rejected"
    )


if __name__ == "__main__":
    asking = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asking.add_argument("--rows", type=int, default=100_000)
    asyncio.run(measure(asking.parse_args().rows))
