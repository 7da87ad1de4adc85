"""What becomes of runs, links, points and tasks when two records turn out to be one person, and when that was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.deliveries.receipts import Receipts
from activities.entering.sweeping import Sweeping
from activities.messages.links import Unsubscribe
from activities.people.merging import Merging
from records.people import consents, suppressions
from records.people import merging as records
from records.runs import paths
from tests.workflow.stage import Stage

DAY = timedelta(days=1)

LETTERS = """
journey: letters
title: Letters
enter: api
re_enter: always
exit:
  - {on: order.placed, as: bought}
steps:
  - score: {points: 5, because: came in}
  - task: {queue: sales, title: "Call {{ customer.first_name }}"}
  - send: email/welcome
  - wait: 3d
  - send: email/brew_guide
  - wait: 3d
"""


def merging(stage: Stage) -> Merging:
    return Merging(stage.engine, stage.parts.audience.router, stage.parts.upkeep.after)


async def merged(stage: Stage, kept: int, gone: int, after: timedelta) -> int:
    """Merge them, and let their runs come to rest."""
    runs = [run for who in (kept, gone) for run in await stage.runs(who) if run.status == "active"]
    number = await merging(stage).merge(kept, gone, by="test", because="one person", now=stage.start + after)
    await stage.time.moved(runs)
    await stage.settled(kept)
    return number


async def test_the_run_of_who_is_gone_goes_on_to_the_address_of_who_is_kept(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    run = await stage.enrol(anna, "letters")
    await merged(stage, ann, anna, DAY)
    await stage.pass_time(ann, 4 * DAY)
    assert len(stage.mailbox.to("anna@customers.example")) == 1
    assert len(stage.mailbox.to("ann@customers.example")) == 1
    ours = await stage.run(run.id)
    assert (ours.customer_id, ours.workflow) == (ann, run.workflow)
    assert [(touch.customer_id, touch.status) for touch in await stage.touches(ann)] == [(ann, "sent")] * 2


async def test_an_event_of_the_one_person_ends_the_run_of_the_other(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    run = await stage.enrol(anna, "letters")
    await merged(stage, ann, anna, DAY)
    await stage.event(ann, "order.placed", 2 * DAY)
    assert (await stage.run(run.id)).outcome == "bought"


async def test_a_run_hears_of_a_merge_that_a_list_has_shown(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import writes many merges and waits for no run; the sweep lets those look again that are under way."""
    await stage.publish(LETTERS)
    ann, anna, bob, bo = [await stage.customer(name) for name in ("Ann", "Anna", "Bob", "Bo")]
    run = await stage.enrol(ann, "letters")
    await stage.store(anna, "order.placed", DAY)
    async with stage.engine.begin() as db:
        await records.merge(db, ann, anna, by="import of list.csv", because=None, now=stage.start + DAY)
        await records.merge(db, bob, bo, by="import of list.csv", because=None, now=stage.start + DAY)
        assert [one.kept_id for one in await records.untold(db, limit=9, before=stage.start + DAY)] == [ann]
    monkeypatch.setattr(Sweeping, "_settled", lambda _: stage.start + DAY)
    await stage.parts.sweeping.sweep()
    await stage.time.moved([run])
    assert (await stage.run(run.id)).outcome == "bought"
    async with stage.engine.connect() as db:
        assert await records.untold(db, limit=9, before=stage.start + DAY) == []


async def test_of_two_runs_in_one_journey_the_newer_leaves_and_undoing_gives_the_rest_back(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    older = await stage.enrol(anna, "letters")
    newer = await stage.enrol(ann, "letters")
    number = await merged(stage, ann, anna, DAY)
    ended = await stage.run(newer.id)
    assert (ended.status, ended.outcome) == ("exited", "merged")
    assert (await stage.person(ann)).score == 10
    assert [task.customer_id for task in await stage.tasks()] == [ann, ann]
    again = await stage.parts.audience.router.enrol(ann, "letters", source="api", now=stage.start + DAY)
    assert (again.entry, again.workflow) == (3, f"journey/letters/{ann}/3")

    await merging(stage).unmerge(number, by="test", now=stage.start + DAY)
    assert [(await stage.person(one)).score for one in (ann, anna)] == [5, 5]
    assert {task.customer_id for task in await stage.tasks()} == {ann, anna}
    assert {run.id for run in await stage.runs(ann)} == {newer.id, again.id}
    await stage.pass_time(anna, 4 * DAY)
    assert len(stage.mailbox.to("anna@customers.example")) == 2
    assert (await stage.run(older.id)).entry == 1


async def test_links_in_old_mails_still_work(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    await stage.enrol(anna, "letters")
    (touch,) = await stage.touches(anna)
    await merged(stage, ann, anna, DAY)
    receipts = Receipts(stage.engine, stage.parts.audience)
    await receipts.opened(touch.key, stage.start + DAY)
    await receipts.unsubscribed(Unsubscribe(anna, "email", touch.key), stage.start + DAY)
    async with stage.engine.connect() as db:
        assert not await consents.granted(db, ann, "email")
    await stage.pass_time(ann, 4 * DAY)
    assert (await stage.touches(ann))[-1].because == "consent to email was withdrawn"


async def test_a_complaint_about_one_address_stops_marketing_to_every_other(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    await stage.enrol(anna, "letters")
    async with stage.engine.begin() as db:
        for reason, address in (("bounced", "old@customers.example"), ("complained", "anna@customers.example")):
            await suppressions.add(db, "email", address, reason, source="test", at=stage.start)  # type: ignore[arg-type]
    await merged(stage, ann, anna, DAY)
    await stage.pass_time(ann, 4 * DAY)
    last = (await stage.touches(ann))[-1]
    assert (last.status, last.because) == ("skipped", "another address of this person is suppressed: complained")


async def test_a_merge_while_the_run_is_at_work_waits_for_the_turn(stage: Stage) -> None:
    await stage.publish(LETTERS)
    ann, anna = await stage.customer("Ann"), await stage.customer("Anna")
    run = await stage.enrol(anna, "letters")

    async def meanwhile() -> None:
        stage.mailbox.meanwhile = None
        await merging(stage).merge(ann, anna, by="test", because=None, now=stage.start + 3 * DAY)

    stage.mailbox.meanwhile = meanwhile
    await stage.pass_time(anna, 4 * DAY)
    await stage.pass_time(ann, 4 * DAY)
    async with stage.engine.connect() as db:
        taken = [line.kind for line in await paths.taken(db, run.id)]
    assert taken.count("send") == 2
    assert [touch.status for touch in await stage.touches(ann)] == ["sent", "sent"]
