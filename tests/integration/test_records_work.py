"""Versions, scores and tasks stay right when several people and processes work at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.errors import WaymarkError
from records.audience import scores
from records.people import customers, upserts
from records.people.contacts import Contact
from records.people.identities import UnknownCustomer
from records.runs import enrolments, versions
from records.runs.versions import UnknownJourney
from records.sales import taking, tasks
from records.sales.taking import TaskFinished, TaskTaken
from records.sales.tasks import UnknownTask
from tests.integration.test_merging import until_somebody_waits

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


async def _publish(engine: AsyncEngine, digest: str) -> int:
    async with engine.begin() as db:
        return await versions.publish(
            db,
            name="welcome",
            title=f"Welcome {digest}",
            definition={"steps": [digest]},
            source=f"# {digest}",
            digest=digest,
            now=NOW,
            by="marie",
        )


async def _customer(engine: AsyncEngine) -> int:
    async with engine.begin() as db:
        return (await upserts.upsert(db, Contact(email="ada@example.com", first_name="Ada"), now=NOW)).id


async def _enrolment(engine: AsyncEngine, customer_id: int) -> int:
    await _publish(engine, "a")
    async with engine.begin() as db:
        made = await db.execute(
            text("""INSERT INTO enrolments
                        (customer_id, journey, version, entry, source, enrolled_at, begins_at, workflow)
                    VALUES (:customer, 'welcome', 1, 1, 'api', :now, :now, 'w') RETURNING id"""),
            {"customer": customer_id, "now": NOW},
        )
        return int(made.scalar_one())


async def _task(engine: AsyncEngine, **values: object) -> int:
    async with engine.begin() as db:
        customer = (await upserts.upsert(db, Contact(email="ada@example.com", first_name="Ada"), now=NOW)).id
        wanted = {"queue": "sales", "title": "Call Ada", **values}
        made = await tasks.create(db, customer_id=customer, now=NOW, **wanted)  # type: ignore[arg-type]
    assert made is not None
    return made


async def test_only_a_new_digest_makes_a_new_version(engine: AsyncEngine) -> None:
    assert [await _publish(engine, digest) for digest in "aabbac"] == [1, 1, 2, 2, 1, 3]
    async with engine.begin() as db:
        live = await versions.live(db, "welcome")
        assert live is not None
        assert (live.version, live.title, live.definition, live.status) == (3, "Welcome c", {"steps": ["c"]}, "live")
        assert (await versions.get(db, "welcome", 2)).source == "# b"


async def test_those_who_publish_at_once_get_versions_of_their_own(engine: AsyncEngine) -> None:
    different = await asyncio.gather(*(_publish(engine, f"d{n}") for n in range(6)))
    assert sorted(different) == [1, 2, 3, 4, 5, 6]
    same = await asyncio.gather(*(_publish(engine, "same") for _ in range(6)))
    assert set(same) == {7}


async def test_a_published_version_is_never_changed(engine: AsyncEngine) -> None:
    await _publish(engine, "a")
    for forbidden in (
        "UPDATE journey_versions SET definition = '{}'",
        "UPDATE journey_versions SET source = ''",
        "UPDATE journey_versions SET digest = ''",
        "DELETE FROM journey_versions",
    ):
        with pytest.raises(IntegrityError, match="never changed"):
            async with engine.begin() as db:
                await db.execute(text(forbidden))


async def test_an_archived_journey_takes_no_new_runs_until_it_is_published_again(engine: AsyncEngine) -> None:
    await _publish(engine, "a")
    async with engine.begin() as db:
        assert [one.journey for one in await versions.live_definitions(db)] == ["welcome"]
        assert await versions.archive(db, "welcome")
        assert not await versions.archive(db, "welcome")
        assert await versions.live_definitions(db) == []
        assert [(one.status, one.live_version) for one in await versions.listing(db)] == [("archived", 1)]
    assert await _publish(engine, "a") == 1
    async with engine.begin() as db:
        assert [one.status for one in await versions.listing(db)] == ["live"]


async def test_a_journey_that_was_never_published_is_unknown(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        assert await versions.live(db, "nowhere") is None
        with pytest.raises(UnknownJourney):
            await versions.get(db, "nowhere", 1)
        with pytest.raises(UnknownJourney):
            await versions.set_status(db, "nowhere", "archived")


async def test_of_many_additions_at_once_exactly_one_crosses_the_threshold(engine: AsyncEngine) -> None:
    ada = await _customer(engine)

    async def add() -> scores.ScoreChange:
        async with engine.begin() as db:
            change = await scores.add(db, ada, 10, "engaged", NOW)
            assert change is not None
            return change

    added = await asyncio.gather(*(add() for _ in range(12)))
    assert sorted((one.before, one.after) for one in added) == [(n * 10, n * 10 + 10) for n in range(12)]
    assert [one.crosses(60) for one in added].count(True) == 1
    async with engine.begin() as db:
        assert (await customers.get(db, ada)).score == 120


async def test_a_visit_of_a_step_adds_its_points_once(engine: AsyncEngine) -> None:
    ada = await _customer(engine)
    run = await _enrolment(engine, ada)

    async def add(visit: int) -> scores.ScoreChange | None:
        async with engine.begin() as db:
            return await scores.add(db, ada, 10, "engaged", NOW, run, "score-10", visit)

    first = await asyncio.gather(*(add(1) for _ in range(4)))
    assert len([one for one in first if one is not None]) == 1
    again = await add(2)
    assert again == scores.ScoreChange(10, 20)


async def test_points_for_nobody_are_an_error(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        with pytest.raises(UnknownCustomer):
            await scores.add(db, 404, 10, "engaged", NOW)


async def test_of_two_reps_who_claim_at_once_one_gets_the_task_and_the_other_hears_who(engine: AsyncEngine) -> None:
    task = await _task(engine)

    async def claim(rep: str) -> str:
        async with engine.begin() as db:
            try:
                return (await taking.claim(db, task, rep, NOW)).claimed_by or ""
            except TaskTaken as taken:
                return taken.message

    answers = await asyncio.gather(claim("lena"), claim("omar"))
    winner = next(answer for answer in answers if answer in ("lena", "omar"))
    assert sorted(answers) == sorted([winner, f"Task {task} belongs to {winner}."])


async def test_the_owner_finishes_a_task_once(engine: AsyncEngine) -> None:
    task = await _task(engine)
    async with engine.begin() as db:
        await taking.claim(db, task, "lena", NOW)
        await taking.claim(db, task, "lena", NOW)
        with pytest.raises(TaskTaken, match="lena"):
            await taking.finish(db, task, "omar", "won", None, NOW)
        done = await taking.finish(db, task, "lena", "won", "signed", NOW)
        assert (done.status, done.outcome, done.done_by, done.note) == ("done", "won", "lena", "signed")
        assert await taking.finish(db, task, "lena", "won", "again", NOW) == done
        with pytest.raises(TaskFinished, match="won"):
            await taking.finish(db, task, "lena", "lost", None, NOW)
        with pytest.raises(TaskTaken, match="done"):
            await taking.claim(db, task, "omar", NOW)


async def test_an_open_task_may_be_finished_at_once(engine: AsyncEngine) -> None:
    task = await _task(engine)
    async with engine.begin() as db:
        done = await taking.finish(db, task, "lena", "nurture", None, NOW)
        assert (done.claimed_by, done.done_by) == ("lena", "lena")


async def test_an_unknown_task_or_outcome_is_refused(engine: AsyncEngine) -> None:
    task = await _task(engine)
    async with engine.begin() as db:
        with pytest.raises(UnknownTask):
            await taking.claim(db, 404, "lena", NOW)
        with pytest.raises(WaymarkError, match="perhaps"):
            await taking.finish(db, task, "lena", "perhaps", None, NOW)  # type: ignore[arg-type]


async def test_the_queue_shows_the_most_urgent_first_and_the_customers_name(engine: AsyncEngine) -> None:
    late = await _task(engine, due_at=NOW.replace(hour=17))
    early = await _task(engine, due_at=NOW.replace(hour=10))
    undated = await _task(engine)
    urgent = await _task(engine, priority=9)
    await _task(engine, queue="support")
    async with engine.begin() as db:
        await taking.claim(db, late, "lena", NOW)
        queue = await tasks.listing(db, "sales")
        assert [one.id for one in queue] == [urgent, early, late, undated]
        assert {one.customer for one in queue} == {"Ada"}
        assert [one.id for one in await tasks.listing(db, "sales", "open")] == [urgent, early, undated]


async def test_a_visit_of_a_step_makes_its_task_once(engine: AsyncEngine) -> None:
    ada = await _customer(engine)
    run = await _enrolment(engine, ada)
    async with engine.begin() as db:
        made = [
            await tasks.create(
                db, customer_id=ada, queue="sales", title="Call", now=NOW, enrolment_id=run, step="task", visit=1
            )
            for _ in range(2)
        ]
    assert made[0] is not None
    assert made[1] is None


async def test_who_notes_many_starts_at_once_takes_the_runs_in_their_order(engine: AsyncEngine) -> None:
    """So two who route the same page wait for each other, and neither for what the other holds."""
    first = await _enrolment(engine, await _customer(engine))
    async with engine.begin() as db:
        second = int((await db.execute(text("""INSERT INTO enrolments
                (customer_id, journey, version, entry, source, enrolled_at, begins_at, workflow)
            SELECT customer_id, journey, version, 2, source, enrolled_at, begins_at, 'w2' FROM enrolments RETURNING id
        """))).scalar_one())  # fmt: skip
        # As stored, the first comes last now.
        await db.execute(text(f"UPDATE enrolments SET turn = 1 WHERE id = {first}"))

    async def note() -> None:
        async with engine.begin() as db:
            await enrolments.mark_launched(db, [second, first], NOW)

    async with engine.begin() as db:
        await db.execute(text(f"SELECT FROM enrolments WHERE id = {first} FOR UPDATE"))
        noted = asyncio.create_task(note())
        await until_somebody_waits(engine)
        await db.execute(text(f"SELECT FROM enrolments WHERE id = {second} FOR UPDATE NOWAIT"))
    await noted
    async with engine.connect() as db:
        assert {run.launched_at for run in await enrolments.listing(db)} == {NOW}
