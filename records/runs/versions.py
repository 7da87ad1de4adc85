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
from journeys.nearest import unknown_word
from records.tables import journey_versions, journeys

Status = Literal["live", "archived"]
"""An archived journey takes nobody in; its runs go on to their end. A paused one is live, and there is a hold on it."""


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

    What was published before comes back under the number that it had: one meaning, one number. Several who publish at
    once follow one another. An archived journey is live again; a pause stays.
    """
    fresh = {"name": name, "title": title, "live_version": 0, "created_at": now}
    await db.execute(insert_unless_there(journeys).values(fresh).on_conflict_do_nothing())
    # The lock is a statement of its own: what follows must see what the one before us has published.
    live_version = (await _lock(db, name)).live_version
    known = select(
        func.max(journey_versions.c.version),
        func.max(journey_versions.c.version).filter(journey_versions.c.digest == digest),
        func.bool_or(journey_versions.c.digest == digest).filter(journey_versions.c.version == live_version),
    ).where(journey_versions.c.journey == name)
    last, same, is_live = (await db.execute(known)).one()
    version = int(live_version if is_live else same or (last or 0) + 1)
    if same is None:
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
    await _set(db, name, live_version=version, title=title, status="live")
    return version


async def unpublish(db: AsyncConnection, name: str, version: int | None = None) -> JourneyListing:
    """Makes the version before the live one live again; archives the journey when there is none before it.

    With a `version`, only that one is taken back: when another is live by now, nothing changes. Nothing changes either
    when the journey is archived. Returns the journey as it is then.

    Raises:
        UnknownJourney: it, or the version named, was never published.
    """
    row = await _lock(db, name)
    if version is not None:
        await get(db, name, version)
    if row.status == "live" and version in (None, row.live_version):
        before = (
            select(journey_versions.c.version, journey_versions.c.definition["title"].astext)
            .where(journey_versions.c.journey == name, journey_versions.c.version < row.live_version)
            .order_by(journey_versions.c.version.desc())
            .limit(1)
        )
        found = (await db.execute(before)).one_or_none()
        if found is None:
            await _set(db, name, status="archived")
        else:
            await _set(db, name, live_version=found[0], title=found[1] or row.title)
    return next(one for one in await listing(db) if one.journey == name)


async def archive(db: AsyncConnection, name: str) -> bool:
    """Lets nobody in any more; the runs go on to their end. False when it was archived already. Raises
    `UnknownJourney`."""
    was = (await _lock(db, name)).status
    await _set(db, name, status="archived")
    return bool(was != "archived")


async def _lock(db: AsyncConnection, name: str) -> Any:
    row = (await db.execute(select(journeys).where(journeys.c.name == name).with_for_update())).one_or_none()
    if row is None:
        raise await unknown(db, name)
    return row


async def _set(db: AsyncConnection, name: str, **values: Any) -> None:
    await db.execute(update(journeys).where(journeys.c.name == name).values(values))


async def unknown(db: AsyncConnection, name: str) -> UnknownJourney:
    """What to raise for a name that no journey bears."""
    known = (await db.execute(select(journeys.c.name).order_by(journeys.c.name))).scalars().all()
    if not known:
        return UnknownJourney(f"There is no journey {name}.", hint="Nothing is published yet.")
    return UnknownJourney(unknown_word(name, known, "is no published journey"))


async def live(db: AsyncConnection, name: str) -> PublishedJourney | None:
    """The version that new runs get, of archived journeys too; None when none was ever published."""
    query = _published().where(journeys.c.name == name, _is_live())
    row = (await db.execute(query)).one_or_none()
    return None if row is None else PublishedJourney(**row._mapping)


async def get(db: AsyncConnection, name: str, version: int) -> PublishedJourney:
    """One version, live or not. Raises `UnknownJourney`."""
    query = _published().where(journeys.c.name == name, journey_versions.c.version == version)
    row = (await db.execute(query)).one_or_none()
    if row is None:
        numbers = select(journey_versions.c.version).where(journey_versions.c.journey == name)
        there = sorted((await db.execute(numbers)).scalars())
        if not there:
            raise await unknown(db, name)
        listed = ", ".join(map(str, there))
        raise UnknownJourney(
            f"There is no version {version} of the journey {name}.", hint=f"The versions are {listed}."
        )
    return PublishedJourney(**row._mapping)


async def live_definitions(db: AsyncConnection) -> list[PublishedJourney]:
    """The live versions of all journeys that are not archived."""
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


async def numbers(db: AsyncConnection) -> list[tuple[str, int]]:
    """Every version that was ever published, by journey and number."""
    query = select(journey_versions.c.journey, journey_versions.c.version)
    return [(row.journey, row.version) for row in await db.execute(query.order_by(*query.selected_columns))]


async def set_status(db: AsyncConnection, name: str, status: Status) -> None:
    """Lets a journey run, or puts it away. Raises `UnknownJourney`."""
    await _lock(db, name)
    await _set(db, name, status=status)


def _is_live() -> ColumnElement[bool]:
    return journey_versions.c.version == journeys.c.live_version


def _published() -> Select[Any]:
    return select(
        journeys.c.name.label("journey"),
        journeys.c.title,
        journeys.c.status,
        *(column for column in journey_versions.c if column.name != "journey"),
    ).join_from(journeys, journey_versions, journey_versions.c.journey == journeys.c.name)
