"""The parts of a local stack end side by side."""

from __future__ import annotations

import asyncio

import pytest

from journeys.errors import WaymarkError
from workers import stack


async def test_a_part_that_cannot_be_stopped_keeps_no_other_from_ending_in_order() -> None:
    ended = asyncio.Event()

    async def fails() -> None:
        raise WaymarkError("it does not end")

    async def ends() -> None:
        await asyncio.sleep(0)
        ended.set()

    async def waits_for_it() -> None:
        await ended.wait()

    with pytest.raises(WaymarkError, match="does not end"):
        await stack._stop_all([waits_for_it, fails, ends])
    assert ended.is_set()
