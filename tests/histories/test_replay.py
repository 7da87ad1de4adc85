"""Runs that were recorded go the same way through the workflow as it is now.

Where one does not, either the workflow must be mended (or the change put behind `workflow.patched`), or its `SHAPE`
raised: then these histories are the business of the workers of the older release, and new ones are recorded.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.histories.record import FOLDER, missing
from tests.workflow.test_operators_view import SECRETS, words
from workers import histories
from workers.histories import Kept, Replayed

RECORDED = histories.read(FOLDER)
OURS = [kept for kept in RECORDED if kept.ours]
CLICKED = FOLDER / next(kept.name for kept in OURS if kept.name.endswith("clicked.json"))
RELEASES = sorted(
    (path.name for path in FOLDER.iterdir() if any(path.glob("*.json"))),
    key=lambda name: [int(part) for part in name.split(".")],
)


async def replayed(*kept: Kept) -> list[Replayed]:
    async def given() -> AsyncIterator[Kept]:
        for one in kept:
            yield one

    return [result async for result in histories.replay(given())]


def test_the_newest_release_has_a_history_of_every_walk() -> None:
    assert [walk.__name__ for walk in missing(FOLDER / RELEASES[-1])] == [], "run python -m tests.histories.record"


def test_the_present_shape_has_histories() -> None:
    assert OURS, "run python -m tests.histories.record RELEASE after raising SHAPE"


def test_the_histories_of_every_release_are_in_the_wheel() -> None:
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for release in RELEASES:
        assert included[f"tests/histories/{release}"] == f"workers/starter/histories/{release}"


@pytest.mark.parametrize("kept", OURS, ids=lambda kept: kept.name)
async def test_a_recorded_run_replays(kept: Kept) -> None:
    assert await replayed(kept) == [Replayed(kept.name, len(kept.history.events))]


@pytest.mark.parametrize(
    ("was", "now"),
    [('"deliver"', '"hand_over"'), ("EVENT_TYPE_TIMER_STARTED", "EVENT_TYPE_MARKER_RECORDED")],
)
async def test_a_run_that_went_another_way_does_not(was: str, now: str, tmp_path: Path) -> None:
    text = CLICKED.read_text()
    (tmp_path / "other.json").write_text(text.replace(was, now))
    [result] = await replayed(*histories.read(tmp_path))
    assert not result.fits
    assert result.because is not None
    assert "\n" not in result.because


async def test_one_that_does_not_fit_hides_no_other(tmp_path: Path) -> None:
    text = CLICKED.read_text()
    for name, content in (("a", text), ("b", text.replace('"deliver"', '"hand_over"')), ("c", text)):
        (tmp_path / f"{name}.json").write_text(content)
    found = await replayed(*histories.read(tmp_path))
    assert [(result.name, result.fits) for result in found] == [("a.json", True), ("b.json", False), ("c.json", True)]


@pytest.mark.parametrize("kept", RECORDED, ids=lambda kept: kept.name)
def test_a_recorded_run_names_nobody(kept: Kept) -> None:
    text = "\n".join(word for event in kept.history.events for word in words(event)).lower()
    assert any(name in text for name in ("recorded", "salestask", "broadcast"))
    assert [secret for secret in (*SECRETS, "@") if secret in text] == []
