"""Journeys and their published versions. A version is never changed: a run stays on the one it entered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records.tables import journey_versions, journeys

Status = Literal["live", "paused", "archived"]


class UnknownJourney(WaymarkError):
    """No such journey, or version of it, has been published. Publish it, or look at the list for its name."""


@dataclass(frozen=True, slots=True)
class PublishedJourney:
    """One version of a journey: `definition` for the program, `source` as its author wrote it."""

    journey: str
    title: str
    status: Status
    version: int
    definition: dict[str, Any]
    source: str
    digest: str
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class JourneyListing:
    """One journey and when its live version was published."""

    journey: str
    title: str
    status: Status
    live_version: int
    created_at: datetime
    published_at: datetime
    published_by: str


async def publish(
    db: AsyncConnection,
    *,
    name: str,
    title: str,
    definition: Mapping[str, Any],
    source: str,
    digest: str,
    now: datetime,
    by: str,
) -> int:
    """Makes this the live version and returns its number; publishing what is live already changes nothing.

    Several who publish at once follow one another. An archived journey is live again; a paused one stays paused.
    """
    fresh = {"name": name, "title": title, "live_version": 0, "created_at": now}
    await db.execute(insert_unless_there(journeys).values(fresh).on_conflict_do_nothing())
    # The lock is a statement of its own: what follows must see what the one before us has published.
    lock = select(journeys.c.live_version, journeys.c.status).where(journeys.c.name == name).with_for_update()
    live_version, status = (await db.execute(lock)).one()
    known = select(
        func.max(journey_versions.c.version),
        func.max(journey_versions.c.digest).filter(journey_versions.c.version == live_version),
    ).where(journey_versions.c.journey == name)
    last, live_digest = (await db.execute(known)).one()
    version = int(live_version)
    if live_digest != digest:
        version = (last or 0) + 1
        row = {
            "journey": name,
            "version": version,
            "definition": dict(definition),
            "source": source,
            "digest": digest,
            "published_at": now,
            "published_by": by,
        }
        await db.execute(insert(journey_versions).values(row))
    if version != live_version or status == "archived":
        status = "paused" if status == "paused" else "live"
        changed = update(journeys).where(journeys.c.name == name)
        await db.execute(changed.values(live_version=version, title=title, status=status))
    return version


async def live(db: AsyncConnection, name: str) -> PublishedJourney | None:
    """The version that new runs get, paused journeys included; None when none was ever published."""
    query = _published().where(journeys.c.name == name, _is_live())
    row = (await db.execute(query)).one_or_none()
    return None if row is None else PublishedJourney(**row._mapping)


async def get(db: AsyncConnection, name: str, version: int) -> PublishedJourney:
    """One version, live or not. Raises `UnknownJourney`."""
    query = _published().where(journeys.c.name == name, journey_versions.c.version == version)
    row = (await db.execute(query)).one_or_none()
    if row is None:
        raise UnknownJourney(f"There is no version {version} of the journey {name}.")
    return PublishedJourney(**row._mapping)


async def live_definitions(db: AsyncConnection) -> list[PublishedJourney]:
    """The live versions of all journeys that take new runs: neither paused nor archived ones."""
    query = _published().where(_is_live(), journeys.c.status == "live").order_by(journeys.c.name)
    return [PublishedJourney(**row._mapping) for row in await db.execute(query)]


async def listing(db: AsyncConnection) -> list[JourneyListing]:
    """All journeys by name, without their definitions."""
    query = (
        select(
            journeys.c.name.label("journey"),
            journeys.c.title,
            journeys.c.status,
            journeys.c.live_version,
            journeys.c.created_at,
            journey_versions.c.published_at,
            journey_versions.c.published_by,
        )
        .join_from(journeys, journey_versions, and_(journey_versions.c.journey == journeys.c.name, _is_live()))
        .order_by(journeys.c.name)
    )
    return [JourneyListing(**row._mapping) for row in await db.execute(query)]


async def set_status(db: AsyncConnection, name: str, status: Status) -> None:
    """Lets a journey run, holds it, or puts it away. Raises `UnknownJourney`."""
    changed = update(journeys).where(journeys.c.name == name).values(status=status).returning(journeys.c.name)
    if (await db.execute(changed)).one_or_none() is None:
        raise UnknownJourney(f"There is no journey {name}.")


def _is_live() -> ColumnElement[bool]:
    return journey_versions.c.version == journeys.c.live_version


def _published() -> Select[Any]:
    return select(
        journeys.c.name.label("journey"),
        journeys.c.title,
        journeys.c.status,
        *(column for column in journey_versions.c if column.name != "journey"),
    ).join_from(journeys, journey_versions, journey_versions.c.journey == journeys.c.name)
