"""What is checked of a map before it is published, beside its form: its messages and the titles of its tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.messages.rendering import Templates
from activities.publishing import load_all, message_problems
from journeys.loading import parse
from journeys.source import InvalidFile

ROOT = Path(__file__).parents[2]
HEAD = "journey: a\ntitle: A\nenter: api\nsteps:\n"


def problems(step: str) -> list[str]:
    loaded = parse(f"{HEAD}  - {step}\n", "map.yaml")
    return [str(one) for one in message_problems(loaded, Templates(ROOT / "templates"), frozenset({"plan", "company"}))]


def test_a_message_and_a_title_that_can_be_filled_in_for_everybody_pass() -> None:
    assert problems("send: email/welcome") == []
    title = "Call {{ customer.first_name or 'them' }} about {{ customer.plan }}"
    assert problems(f'task: {{queue: q, title: "{title}"}}') == []


def test_a_missing_template_is_told_at_the_step_that_sends_it() -> None:
    (problem,) = problems("send: email/wellcome")
    assert problem.startswith("map.yaml:5:5: email/wellcome: ")


@pytest.mark.parametrize("title", ["{{ customer.nobody_has_this }}", "{{ customer.first_name", "{{ nobody.name }}"])
def test_a_title_that_names_what_no_contact_has_is_told_at_its_place(title: str) -> None:
    (problem,) = problems(f'task: {{queue: q, title: "{title}"}}')
    assert problem.startswith("map.yaml:5:22: ")


def test_two_maps_of_the_same_name_are_told(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(HEAD + "  - tag: x\n")
    with pytest.raises(InvalidFile, match=r"two.yaml:1:1: the journey a is also in .*one.yaml"):
        load_all(tmp_path, set())


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(HEAD + "  - tga: x\n")
    with pytest.raises(InvalidFile) as caught:
        load_all(tmp_path, set())
    assert [Path(problem.file).name for problem in caught.value.problems] == ["one.yaml", "two.yaml"]


def test_a_folder_without_maps_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="holds no journey map"):
        load_all(tmp_path, set())
