"""Runs that were recorded go the same way through the workflow as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from journeys.workflow import CustomerJourney
from tests.workflow.test_operators_view import SECRETS, words
from workers.worker import sandbox

HISTORIES = sorted(Path(__file__).parent.rglob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=[CustomerJourney], workflow_runner=sandbox())


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"journey/{path.stem}/1/1", path.read_text())


def test_there_is_a_history_of_every_shape() -> None:
    assert {path.stem for path in HISTORIES} >= {
        "clicked", "left", "put_off", "month_1", "month_2", "erased", "under_way",
    }  # fmt: skip


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_run_replays(path: Path) -> None:
    await replayer().replay_workflow(history(path))


@pytest.mark.parametrize(
    ("was", "now"), [('"deliver"', '"hand_over"'), ("EVENT_TYPE_TIMER_STARTED", "EVENT_TYPE_MARKER_RECORDED")]
)
async def test_a_run_that_went_another_way_does_not(was: str, now: str) -> None:
    path = next(path for path in HISTORIES if path.stem == "clicked")
    other = WorkflowHistory.from_json("journey/other/1/1", path.read_text().replace(was, now))
    with pytest.raises((NondeterminismError, RuntimeError)):
        await replayer().replay_workflow(other)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_run_names_nobody(path: Path) -> None:
    text = "\n".join(word for event in history(path).events for word in words(event)).lower()
    assert "recorded" in text
    assert [secret for secret in (*SECRETS, "@") if secret in text] == []
