"""Segments and journeys: entering one begins a run, leaving one ends it, and who is in one may be taken in later."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.figures import membership
from activities.figures.segments import PublishedSegment, SegmentInUse
from journeys.segments import LoadedSegment, arranged, parse
from records.audience import segments
from records.audience.membership import Differences, Evaluated
from records.audience.segments import UnknownSegment
from records.people import tags
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
VIPS = "segment: vips\ntitle: VIPs\nwhere: {tag: vip}\n"
BUYERS = "segment: buyers\ntitle: Buyers\nwhere: {event: {name: order.placed}}\n"
BOTH = "segment: both\ntitle: Both\nwhere: {all: [{segment: vips}, {segment: buyers}]}\n"
CARE = """
journey: care
title: Care
enter: {segment: vips}
exit: [{left: vips, as: no_longer}]
re_enter: after_exit
steps:
  - wait: 30d
"""


def loaded(*texts: str) -> list[LoadedSegment]:
    return arranged([parse(text) for text in texts])


async def tag(stage: Stage, customer: int, *, off: bool = False) -> None:
    async with stage.engine.begin() as db:
        await (tags.untag if off else tags.tag)(db, customer, "vip", because=None, now=stage.start)


async def evaluate(stage: Stage, after: timedelta = timedelta()) -> list[Evaluated]:
    return await stage.parts.membership.evaluate(stage.start + after)


async def test_entering_a_segment_begins_a_run_and_leaving_it_ends_the_run(stage: Stage) -> None:
    await stage.publish(CARE)
    await stage.parts.membership.publish(loaded(VIPS), stage.start)
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
    await tag(stage, ann)
    assert await evaluate(stage) == [Evaluated("vips", 1, 0)]
    await stage.time.carry_all(ann, stage.start)
    [run] = await stage.runs(ann)
    assert (run.status, run.source, run.enrolled_at) == ("active", "event", stage.start)
    await tag(stage, ann, off=True)
    await stage.time.meet(ann, stage.start + DAY, "segment.left")
    assert await evaluate(stage, DAY) == [Evaluated("vips", 0, 1)]
    await stage.time.moved([run])
    [run] = await stage.runs(ann)
    assert (run.status, run.outcome) == ("exited", "no_longer")
    assert await stage.runs(bob) == []


async def test_an_event_changes_at_once_to_which_segments_its_customer_belongs(stage: Stage) -> None:
    await stage.publish(CARE.replace("vips", "both"))
    await stage.parts.membership.publish(loaded(VIPS, BUYERS, BOTH), stage.start)
    ann = await stage.customer("Ann")
    await tag(stage, ann)
    await stage.event(ann, "order.placed", timedelta(hours=1))
    [run] = await stage.runs(ann)
    assert run.enrolled_at == stage.start + timedelta(hours=1)
    async with stage.engine.connect() as db:
        assert {one.name: one.members for one in await segments.listing(db)} == {"vips": 1, "buyers": 1, "both": 1}


async def test_many_changes_are_carried_page_by_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "PAGE", 2)
    await stage.publish(CARE)
    people = [await stage.customer(f"c{n}", tags=("vip",)) for n in range(5)]
    await stage.parts.membership.publish(loaded(VIPS, BUYERS), stage.start)
    seen = list[int]()
    await stage.parts.membership.evaluate(stage.start, carried=seen.append)
    assert seen == [2, 4, 5]
    assert [len(await stage.runs(one)) for one in people] == [1] * 5
    async with stage.engine.connect() as db:
        assert await segments.unrouted(db, limit=10) == []


async def test_what_a_crash_left_untold_is_told_at_the_next_evaluation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.publish(CARE)
    ann = await stage.customer("Ann", tags=("vip",))
    await stage.parts.membership.publish(loaded(VIPS), stage.start)

    async def died(*_: object) -> None:
        raise RuntimeError("the machine died")

    with monkeypatch.context() as patched:
        patched.setattr(stage.parts.audience.router, "route_page", died)
        with pytest.raises(RuntimeError):
            await evaluate(stage)
    assert await stage.runs(ann) == []
    assert await evaluate(stage, DAY) == [Evaluated("vips", 0, 0)]
    [run] = await stage.runs(ann)
    assert run.enrolled_at == stage.start


async def test_those_in_a_segment_already_are_taken_in_when_somebody_asks_for_it(stage: Stage) -> None:
    ann = await stage.customer("Ann", tags=("vip",))
    await stage.parts.membership.publish(loaded(VIPS), stage.start)
    await evaluate(stage)
    await stage.publish(CARE)
    assert await evaluate(stage, DAY) == [Evaluated("vips", 0, 0)]
    assert await stage.runs(ann) == []
    assert await stage.parts.backfill.take_in("care", stage.start + DAY, stage.start) == 1
    [run] = await stage.runs(ann)
    assert run.source == "backfill"


async def test_a_segment_whose_file_is_gone_is_removed_and_its_members_leave_it(stage: Stage) -> None:
    ann = await stage.customer("Ann", tags=("vip",))
    part = stage.parts.membership
    assert await part.publish(loaded(VIPS, BUYERS), stage.start) == [
        PublishedSegment("buyers", "new"), PublishedSegment("vips", "new"),
    ]  # fmt: skip
    await evaluate(stage)
    await stage.publish(CARE.replace("{segment: vips}", "api"))
    run = await stage.enrol(ann, "care")
    with pytest.raises(SegmentInUse, match="care asks for the segment vips"):
        await part.publish(loaded(BUYERS), stage.start + DAY)
    await stage.publish(CARE.replace("{segment: vips}", "api").replace("exit: [{left: vips, as: no_longer}]", ""))
    await stage.time.meet(ann, stage.start + DAY, "segment.left")
    changed = BUYERS.replace("order.placed", "order.paid")
    assert await part.publish(loaded(changed), stage.start + DAY) == [
        PublishedSegment("buyers", "changed"), PublishedSegment("vips", "removed"),
    ]  # fmt: skip
    await stage.time.moved([run])
    assert (await stage.run(run.id)).outcome == "no_longer"


async def test_a_segment_that_is_published_anew_in_between_is_worked_out_as_it_is_then(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = stage.parts.membership
    ann, bob = await stage.customer("Ann", tags=("vip",)), await stage.customer("Bob", tags=("gold",))
    before = loaded(VIPS)
    await part.publish(loaded(VIPS.replace("vip}", "gold}")), stage.start)

    async def read_before(_: object) -> Differences:
        return Differences([one.segment for one in before])

    monkeypatch.setattr(part, "_in_force", read_before)
    assert await evaluate(stage) == [Evaluated("vips", 1, 0)]
    assert (await evaluate(stage, DAY / 2))[0].asked == 0
    async with stage.engine.connect() as db:
        assert [one.customer_id for one in await segments.members(db, "vips")] == [bob] != [ann]


async def test_some_segments_are_evaluated_together_with_those_that_they_name(stage: Stage) -> None:
    await stage.parts.membership.publish(loaded(VIPS, BUYERS, BOTH), stage.start)
    done = await stage.parts.membership.evaluate(stage.start, ["both"])
    assert [one.segment for one in done] == ["buyers", "vips", "both"]
    assert [one.segment for one in await stage.parts.membership.evaluate(stage.start, ["vips"])] == ["vips"]
    with pytest.raises(UnknownSegment, match="did you mean 'vips'"):
        await stage.parts.membership.evaluate(stage.start, ["vip"])
