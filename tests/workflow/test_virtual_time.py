"""Virtual time carries what the records know of, also what Temporal learns of a moment later."""

from __future__ import annotations

from datetime import timedelta

import pytest

from records.runs.enrolments import Enrolment
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
MAP = """
journey: later
title: Later
enter: api
steps:
  - wait: 2d
  - tag: carried
"""


async def test_a_run_is_carried_whose_workflow_starts_after_it_was_first_looked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.publish(MAP)
    ann, router, skip = await stage.customer(), stage.parts.audience.router, stage.time._skip
    kept: list[Enrolment] = []

    async def keep(run: Enrolment) -> None:
        kept.append(run)

    async def start_once_looked_for(run: Enrolment, config: object) -> bool:
        found = await skip(run, config)  # type: ignore[arg-type]
        while kept:
            await launch(kept.pop())
        return found

    launch = router.launch
    monkeypatch.setattr(router, "launch", keep)
    monkeypatch.setattr(stage.time, "_skip", start_once_looked_for)
    run = await router.enrol(ann, "later", source="api", now=stage.start + DAY)
    await stage.time.carry_all(ann, stage.start + 4 * DAY)
    assert (await stage.run(run.id)).outcome == "completed"
