"""Schedules: kept in Temporal as live journeys say, and letting in whom they mean, once a moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client, ScheduleBackfill, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError

from activities.entering import clock as entering
from activities.entering import herds
from activities.publishing import publish
from activities.turns.programs import Programs
from journeys import crons
from journeys.loading import parse
from journeys.timetable import Appointment
from records.runs import occasions, versions
from tests.patience import PATIENCE
from tests.workflow.stage import Stage
from workers import schedules
from workers.schedules import Timetable

NOW = datetime(2027, 2, 20, 12, tzinfo=UTC)
MOMENT = datetime(2027, 2, 22, 1, tzinfo=UTC)  # Monday, 09:00 in Shanghai

WEEKLY = """
journey: weekly
title: Weekly
enter: {schedule: "0 9 * * mon", time_zone: Asia/Shanghai, where: {tag: reader}}
re_enter: always
steps:
  - wait: 400d
"""
TERMS = "overlap skip, catch up 1h"
WEEKLY_1 = Appointment("weekly", 1, "0 9 * * mon", "Asia/Shanghai", TERMS)


async def publish_at(stage: Stage, text: str, now: datetime = NOW) -> None:
    async with stage.engine.begin() as db:
        await publish(db, [parse(text)], now=now, by="test")


def timetable(stage: Stage) -> Timetable:
    return Timetable(stage.engine, stage.client, Programs(), "Europe/Berlin")


async def kept(stage: Stage) -> dict[str, ScheduleDescription]:
    found = {}
    for name in ("waymark/weekly/1", "waymark/weekly/2"):
        try:
            found[name] = await stage.client.get_schedule_handle(name).describe()
        except RPCError:
            continue
    return found


async def listed(client: Client, names: set[str]) -> None:
    """Return when the server lists these schedules: it finds them a moment after they are written."""
    async with asyncio.timeout(PATIENCE):
        while {one.id async for one in await client.list_schedules()} != names:
            await asyncio.sleep(0.05)


async def reader(stage: Stage, name: str) -> int:
    return await stage.customer(name, external_id=name, tags=("reader",))


async def test_temporal_has_exactly_the_schedules_of_live_journeys(stage: Stage) -> None:
    table = timetable(stage)
    await publish_at(stage, WEEKLY)
    for _ in range(2):
        await table.keep(NOW)
    assert list(await kept(stage)) == ["waymark/weekly/1"]
    two = WEEKLY.replace("enter: {", "enter:\n  - {").replace(
        "re_enter", '  - {schedule: "30 8 1 * *", overlap: all, catch_up: 1d}\nre_enter'
    )
    await publish_at(stage, two)
    await table.keep(NOW)
    found = await kept(stage)
    assert list(found) == ["waymark/weekly/1", "waymark/weekly/2"]
    second = found["waymark/weekly/2"].schedule
    assert second.spec.time_zone_name == "Europe/Berlin"
    assert second.policy.overlap is ScheduleOverlapPolicy.ALLOW_ALL
    assert second.policy.catchup_window == timedelta(days=1)
    first = found["waymark/weekly/1"].schedule
    assert (first.policy.overlap, first.policy.catchup_window) == (ScheduleOverlapPolicy.SKIP, timedelta(hours=1))
    await listed(stage.client, {"waymark/weekly/1", "waymark/weekly/2"})
    await publish_at(stage, WEEKLY)
    await table.keep(NOW)
    assert list(await kept(stage)) == ["waymark/weekly/1"]
    await listed(stage.client, {"waymark/weekly/1"})
    async with stage.engine.begin() as db:
        await versions.archive(db, "weekly")
    await table.keep(NOW)
    assert await kept(stage) == {}


async def test_a_schedule_that_changes_in_the_map_changes_in_temporal_and_stays_paused(stage: Stage) -> None:
    await publish_at(stage, WEEKLY)
    await timetable(stage).keep(NOW)
    handle = stage.client.get_schedule_handle("waymark/weekly/1")
    await handle.pause(note="by an operator")
    await publish_at(stage, WEEKLY.replace("0 9 * * mon", "0 10 * * tue"))
    await timetable(stage).keep(NOW)
    found = await handle.describe()
    assert found.schedule.state.paused
    assert found.schedule.state.note == "by an operator"
    assert [f"{at.astimezone(ZoneInfo('Asia/Shanghai')):%a %H:%M}" for at in found.info.next_action_times[:2]] == [
        "Tue 10:00", "Tue 10:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("0 9 * * mon", "Asia/Shanghai"), ("30 2 * * sun", "Europe/Berlin"), ("30 2 28 3 *", "Europe/Berlin"),
        ("15 2 31 10 *", "Europe/Berlin"), ("0 9 13 * fri", "America/New_York"), ("5/20 22-23 */9 * *", "UTC"),
        ("0 9 * jan-mar/2 7", "Australia/Lord_Howe"), ("0 0 * * 5-7", "America/Santiago"), ("0 9 29 2 *", "UTC"),
    ],
)  # fmt: skip
async def test_the_server_means_the_same_times_as_we_show(stage: Stage, cron: str, zone: str) -> None:
    text = WEEKLY.replace("0 9 * * mon", cron).replace("Asia/Shanghai", zone)
    await publish_at(stage, text)
    now = datetime.now(UTC)
    await timetable(stage).keep(now)
    found = await stage.client.get_schedule_handle("waymark/weekly/1").describe()
    by_server = [at for at in found.info.next_action_times if not crons.repeated(cron, ZoneInfo(zone), at)]
    horizon = now + schedules.AHEAD
    ours = list(islice(crons.times(cron, ZoneInfo(zone), now), len(by_server)))
    assert by_server
    assert [at for at in by_server if at < horizon] == [at for at in ours if at < horizon]


async def test_a_schedule_lets_in_whom_it_means_under_its_nominal_time(stage: Stage) -> None:
    ann, bob = await reader(stage, "ann"), await stage.customer("bob")
    await publish_at(stage, WEEKLY)
    await timetable(stage).keep(NOW)
    monday = datetime(2026, 11, 16, 1, tzinfo=UTC)
    span = ScheduleBackfill(
        monday - timedelta(minutes=5), monday + timedelta(minutes=5), ScheduleOverlapPolicy.ALLOW_ALL
    )
    handle = stage.client.get_schedule_handle("waymark/weekly/1")
    await handle.backfill(span)
    async with asyncio.timeout(PATIENCE):
        while not await stage.runs(ann):
            await asyncio.sleep(0.05)
    [run] = await stage.runs(ann)
    assert (run.source, run.occasion, run.enrolled_at) == ("schedule", "schedule/2026-11-16T01:00:00Z", monday)
    assert await stage.runs(bob) == []


async def enter(stage: Stage, appointment: Appointment = WEEKLY_1, moment: datetime = MOMENT) -> int:
    return await stage.parts.entering.enter_scheduled(appointment, moment)


async def test_a_moment_that_comes_twice_lets_each_in_once_and_the_next_moment_again(stage: Stage) -> None:
    ann = await reader(stage, "ann")
    await publish_at(stage, WEEKLY)
    assert [await enter(stage), await enter(stage)] == [1, 0]
    assert await enter(stage, moment=MOMENT + timedelta(days=7)) == 1
    assert len(await stage.runs(ann)) == 2


async def test_the_rule_for_entering_again_holds_for_schedules_too(stage: Stage) -> None:
    await reader(stage, "ann")
    await publish_at(stage, WEEKLY.replace("re_enter: always", "re_enter: {after: 8d}"))
    moments = [MOMENT + timedelta(days=7 * week) for week in range(3)]
    assert [await enter(stage, moment=moment) for moment in moments] == [1, 0, 0]  # its run is still open


async def test_work_that_was_cut_off_goes_on_with_those_who_were_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (herds, entering):
        monkeypatch.setattr(module, "PAGE", 2)
    people = [await reader(stage, f"c{n}") for n in range(5)]
    await publish_at(stage, WEEKLY)
    whole = occasions.scheduled

    async def cut_off(db: AsyncConnection, *args: Any, after: int, **others: Any) -> list[occasions.Candidate]:
        if after:
            raise RuntimeError("the machine died")
        return await whole(db, *args, after=after, **others)

    monkeypatch.setattr(occasions, "scheduled", cut_off)
    with pytest.raises(Exception, match="RuntimeError"):
        await enter(stage)
    monkeypatch.setattr(occasions, "scheduled", whole)
    assert await enter(stage) == 3
    assert [len(await stage.runs(one)) for one in people] == [1] * 5


@pytest.mark.parametrize(
    "stale",
    [
        Appointment("weekly", 2, "0 9 * * mon", "Asia/Shanghai", TERMS),
        Appointment("weekly", 1, "0 8 * * mon", "Asia/Shanghai", TERMS),
        Appointment("weekly", 1, "0 9 * * mon", "Asia/Tokyo", TERMS),
        Appointment("gone", 1, "0 9 * * mon", "Asia/Shanghai", TERMS),
    ],
)
async def test_a_schedule_that_the_map_does_not_say_any_more_lets_nobody_in(stage: Stage, stale: Appointment) -> None:
    await reader(stage, "ann")
    await publish_at(stage, WEEKLY)
    assert await enter(stage, stale) == 0


async def test_a_journey_that_was_archived_meanwhile_lets_nobody_in(stage: Stage) -> None:
    await reader(stage, "ann")
    await publish_at(stage, WEEKLY)
    async with stage.engine.begin() as db:
        await versions.archive(db, "weekly")
    assert await enter(stage) == 0


async def test_the_second_of_two_equal_wall_times_lets_nobody_in(stage: Stage) -> None:
    await reader(stage, "ann")
    await publish_at(stage, WEEKLY.replace("0 9 * * mon", "30 2 * * *").replace("Asia/Shanghai", "Europe/Berlin"))
    nightly = Appointment("weekly", 1, "30 2 * * *", "Europe/Berlin", TERMS)
    assert await enter(stage, nightly, datetime(2027, 10, 31, 0, 30, tzinfo=UTC)) == 1
    assert await enter(stage, nightly, datetime(2027, 10, 31, 1, 30, tzinfo=UTC)) == 0


OWN = (schedules.SWEEP, schedules.DATES, schedules.SEGMENTS, schedules.FIGURES, schedules.SALES)


async def test_the_schedules_of_waymark_itself_are_made_once_and_do_their_work(stage: Stage) -> None:
    for _ in range(2):
        await schedules.ensure(stage.client)
    for name in OWN:
        handle = stage.client.get_schedule_handle(name)
        assert (await handle.describe()).schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
        await handle.trigger()
    async with asyncio.timeout(PATIENCE):
        for name in OWN:
            handle = stage.client.get_schedule_handle(name)
            while not (recent := (await handle.describe()).info.recent_actions):
                await asyncio.sleep(0.05)
            assert await stage.client.get_workflow_handle(recent[0].action.workflow_id).result() == 0  # type: ignore[attr-defined]
            await handle.delete()
