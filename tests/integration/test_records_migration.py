"""Databases come to the tables of this release from nothing and from every released revision, with their rows."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from journeys.errors import WaymarkError
from records.database import address
from records.migration import current, migrate, pending
from records.revisions import known
from records.tables import metadata

ROOT = Path(__file__).parents[2]
RELEASED = Path(__file__).with_name("released")
"""A few rows of every table, as each revision had them: `<revision>.sql`."""

CATALOGUE = text("""
    SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, udt_name, is_nullable,
           column_default, is_identity, character_maximum_length)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> coalesce(to_regclass('alembic_version'), 0)
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ORDER BY 1, 2
""")


@pytest.fixture
def sync_engine(empty_database_url: str) -> Engine:
    return create_engine(address(empty_database_url))


def _catalogue(engine: Engine) -> list[Any]:
    with engine.connect() as db:
        return [tuple(row) for row in db.execute(CATALOGUE)]


def _counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as db:
        tables = db.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        return {name: db.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in tables}


def test_an_empty_database_gets_every_revision_once(empty_database_url: str) -> None:
    assert current(empty_database_url) is None
    assert pending(empty_database_url) == known()
    assert migrate(empty_database_url) == known()
    assert migrate(empty_database_url) == []
    assert pending(empty_database_url) == []
    assert current(empty_database_url) == known()[-1]


def test_the_migrations_lead_to_the_tables_of_the_code(empty_database_url: str, sync_engine: Engine) -> None:
    migrate(empty_database_url)
    with sync_engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    migrated = _catalogue(sync_engine)
    with sync_engine.begin() as db:
        metadata.drop_all(db)
        metadata.create_all(db)
    assert migrated == _catalogue(sync_engine)


@pytest.mark.parametrize("revision", known())
def test_rows_of_a_released_revision_survive_the_upgrade(
    revision: str, empty_database_url: str, sync_engine: Engine
) -> None:
    migrate(empty_database_url, to=revision)
    with sync_engine.begin() as db:
        db.execute(text((RELEASED / f"{revision}.sql").read_text().replace(":", r"\:")))
    before = _counts(sync_engine)
    assert all(before.values()), "every table of the revision has a row to lose"

    migrate(empty_database_url)

    after = _counts(sync_engine)
    assert {name: after[name] for name in before} == before


def test_two_processes_that_migrate_at_once_share_the_work(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(migrate, [empty_database_url] * 4))
    assert sorted(applied, key=len, reverse=True) == [known(), [], [], []]


def test_a_database_of_a_newer_release_is_left_alone(empty_database_url: str, sync_engine: Engine) -> None:
    migrate(empty_database_url)
    with sync_engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WaymarkError, match="9999") as refusal:
        migrate(empty_database_url)
    assert "newer" in (refusal.value.hint or "")


def test_an_address_of_another_database_is_refused() -> None:
    with pytest.raises(WaymarkError):
        migrate("mysql://root@localhost/waymark")


def test_the_wheel_brings_its_migrations_along(tmp_path: Path, empty_database_url: str) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    migrate_there = (
        "import sys, records, records.migration as m; print(records.__file__); print(*m.migrate(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", migrate_there, empty_database_url],
        check=True, cwd=installed, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True,
    )  # fmt: skip
    place, applied = ran.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert applied.split() == known()
