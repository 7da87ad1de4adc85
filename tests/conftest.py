"""A real PostgreSQL and a real Temporal server for every test that asks: one a run, a fresh database a test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

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
if TYPE_CHECKING:
    from tests.temporal import Namespaces
    from workers.server.devserver import DevServer

_numbers = count(1)
ROOMS = ("end_to_end", "faults", "workflow", "rehearsals", "browser", "integration", "histories", "unit")
"""Processes that share the tests take a file at a time: the long ones come first, so that all end at one moment."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order of their rooms."""
    here, place = Path(__file__).parent, {room: number for number, room in enumerate(ROOMS)}
    items.sort(key=lambda item: place.get(item.path.relative_to(here).parts[0], 0))


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


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[DevServer]:
    """The Temporal server of this run, in memory; one for all rooms, and imported by nobody who does without."""
    from tests import temporal

    async with temporal.serving() as server:
        yield server


@pytest.fixture(scope="session")
async def namespaces(server: DevServer) -> AsyncIterator[Namespaces]:
    """Namespaces of this run's server that any worker of this release may poll at once."""
    from tests import temporal

    async with temporal.Namespaces(server, temporal.ready_namespace) as made:
        yield made
