"""Long work tells that it lives and how far it has come, and goes on from there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from activities import pulse
from activities.pulse import Pulse
from tests.patience import PATIENCE


async def test_every_beat_says_how_far_the_work_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.0)
    environment = ActivityEnvironment()
    told: list[object] = []
    twice = asyncio.Event()

    def hear(*details: object) -> None:
        told.extend(details)
        if told.count(7) == 3:
            twice.set()

    environment.on_heartbeat = hear

    async def work() -> None:
        with Pulse() as one:
            one.at(7)
            await asyncio.wait_for(twice.wait(), PATIENCE)

    await environment.run(work)
    assert set(told) <= {None, 7}


async def test_an_attempt_knows_where_the_one_before_it_was_and_says_so_again() -> None:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=[41])
    told: list[object] = []
    environment.on_heartbeat = lambda *details: told.extend(details)

    async def work() -> int:
        with Pulse() as one:
            one.beat()
            return int(one.resumed)

    assert await environment.run(work) == 41
    assert told == [41]


async def test_outside_of_an_activity_nobody_listens() -> None:
    with Pulse() as one:
        one.at(7)
        assert one.resumed is None
