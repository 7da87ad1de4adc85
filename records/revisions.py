"""Which revisions this release knows, and which of them a database has.

Apart from `records.migration`, because every command asks before it begins, and Alembic takes longer to import than
the answer.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from journeys.errors import WaymarkError

FOLDER = Path(__file__).with_name("migrations") / "versions"


def known() -> list[str]:
    """All revisions that this release knows, oldest first: their files begin with `v` and the revision's number."""
    return sorted(file.name[1:].partition("_")[0] for file in FOLDER.glob("v*_*.py"))


def current(db: Connection) -> str | None:
    """The revision of the database, None when it is empty."""
    if db.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = db.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def pending(db: Connection) -> list[str]:
    """The revisions that the database lacks, oldest first.

    Raises:
        WaymarkError: the database was migrated by a newer Waymark.
    """
    present, revisions = current(db), known()
    if present is None:
        return revisions
    if present not in revisions:
        raise WaymarkError(
            f"The database is at revision {present}, which this Waymark does not know.",
            hint="A newer Waymark has migrated it: install that one, or restore the backup made before.",
        )
    return revisions[revisions.index(present) + 1 :]
