"""What a publication changes, as it is told to the person who publishes."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.publishing import Published, publish
from journeys.loading import parse
from records.runs import versions
from records.tables import enrolments
from tests.integration.test_versions import run
from workers.commands.publishing import told

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
FIRST = "journey: welcome\ntitle: Welcome\nenter: api\nsteps:\n  - send: email/welcome\n  - wait: 2d\n  - tag: x\n"
SECOND = FIRST.replace("2d", "3d")


async def published(db: AsyncConnection, source: str) -> Published:
    (one,) = await publish(db, [parse(source)], now=NOW, by="mei")
    return one


async def test_the_first_version_has_nothing_to_be_compared_with(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        one = await published(db, FIRST)
    assert (one.version, one.new, one.before, one.changes, one.staying) == (1, True, None, [], {})
    assert told(one) == ["welcome: version 1 is live"]


async def test_a_new_version_says_what_differs_and_who_stays_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        for name in ("ann", "bob"):
            await run(db, name)
        one = await published(db, SECOND)
    assert told(one) == [
        "welcome: version 2 is live",
        "  step 2 (wait-2d): wait 2 days → 3 days",
        "  2 runs stay on version 1; to move them: `waymark journeys migrate welcome --from 1 --to 2`",
    ]


async def test_a_publication_that_is_rolled_back_tells_the_same_and_changes_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
    async with engine.connect() as db:
        tried = await published(db, SECOND)
        await db.rollback()
    assert told(tried, dry_run=True)[0] == "welcome: version 2 would be live"
    async with engine.begin() as db:
        assert [one.live_version for one in await versions.listing(db)] == [1]
        assert await published(db, SECOND) == tried


async def test_what_means_the_same_is_not_published_again(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        assert told(await published(db, "# a comment\n" + FIRST)) == [
            "welcome: version 1 was live already; nothing changed"
        ]


async def test_other_words_for_the_same_are_told_as_such(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        one = await published(db, FIRST + "re_enter: never\n")
    assert told(one) == ["welcome: version 2 is live", "  it says the same in other words"]


async def test_an_older_text_comes_back_under_its_number(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        await published(db, SECOND)
        await run(db, "ann", version=1)
        one = await published(db, FIRST)
    assert (one.version, one.before, one.staying) == (1, 2, {})
    assert told(one) == ["welcome: version 1 is live", "  step 2 (wait-3d): wait 3 days → 2 days"]


async def test_an_archived_journey_comes_back_by_publishing_it(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        await versions.archive(db, "welcome")
        assert told(await published(db, FIRST)) == [
            "welcome: version 1 is live",
            "  it was archived, and takes people in again",
        ]


async def test_runs_of_several_versions_are_told_apart(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await published(db, FIRST)
        await published(db, SECOND)
        await run(db, "ann", version=1)
        await run(db, "bob", version=2)
        one = await published(db, FIRST.replace("2d", "4d"))
        assert one.staying == {1: 1, 2: 1}
        await db.execute(update(enrolments).values(status="finished"))
        assert (await published(db, FIRST.replace("2d", "5d"))).staying == {}


async def test_a_version_that_can_no_longer_be_read_does_not_stop_its_successor(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await db.execute(
            text("""
                INSERT INTO journeys (name, title, live_version, created_at) VALUES ('welcome', 'W', 1, now());
            """)
        )
        await db.execute(
            text("""
                INSERT INTO journey_versions (journey, version, definition, source, digest, published_at, published_by)
                VALUES ('welcome', 1, '{"steps": [{"ancient": 1}]}', '', 'd', now(), 'mei')
            """)
        )
        one = await published(db, FIRST)
    assert (one.version, one.changes) == (2, None)
