"""Brings a database to the tables of this release.

Revisions only go forward: an older Waymark refuses a newer database instead of guessing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, text

from records import revisions
from records.database import address

LOCK = 0x57_41_59_4D  # "WAYM": the advisory lock of those who migrate


def migrate(url: str, *, to: str = "head") -> list[str]:
    """Applies the revisions that are missing and returns their names, oldest first; none when nothing is missing.

    Blocks; call it from a thread in asynchronous code. Of several processes that migrate at once one works and the
    others wait. All revisions are applied or none.

    Raises:
        WaymarkError: the database was migrated by a newer Waymark.
    """
    with _connection(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        missing = [one for one in revisions.pending(connection) if to == "head" or one <= to]
        connection.commit()
        if missing:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            connection.commit()
        return missing


def pending(url: str) -> list[str]:
    """The revisions that the database lacks, oldest first."""
    with _connection(url) as connection:
        return revisions.pending(connection)


def current(url: str) -> str | None:
    """The revision of the database, None when it is empty."""
    with _connection(url) as connection:
        return revisions.current(connection)


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    # No pool: closing the connection gives the advisory lock back, whatever happened.
    engine = create_engine(address(url), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
