"""A real PostgreSQL for every test that asks for one: one server a run, one fresh migrated database a test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from records.database import create_engine
from records.migration import migrate
from workers.server.postgres import EmbeddedPostgres

# A run proves what the run before it proved, on a busy machine too. `HYPOTHESIS_PROFILE=exploring` looks for what
# nobody has thought of yet, each time elsewhere.
settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("the same", settings.get_profile("exploring"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "the same"))
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server of this run, in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="waymark-tests-"))
    server = EmbeddedPostgres(folder, durable=False)
    with psycopg.connect(server.start(), autocommit=True) as db:
        # Between two statements of a test nothing is written and no plan changes but by the test: what a segment's
        # members are asked hangs on which transactions of the whole server are under way.
        db.execute("ALTER SYSTEM SET autovacuum = off")
        db.execute("SELECT pg_reload_conf()")
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> str:
    """The name of a database with all tables and no rows, to copy and never to connect to."""
    migrate(postgres.create_database("migrated"))
    return "migrated"


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database without tables."""
    name = f"empty_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated: str) -> Iterator[str]:
    """A database with all tables and no rows, for one test."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name, template=migrated)
    postgres.drop_database(name)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on this test's database."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()
