"""Segments as files: what is read, in which order they are worked out, and what is refused, at its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.checking import Checker
from activities.messages.rendering import Templates
from journeys import broadcast_files, loading, sales, scoring
from journeys.fields import load_fields, parse_fields
from journeys.segments import LoadedSegment, arranged, load_all, named_in, parse
from journeys.source import InvalidFile

ROOT = Path(__file__).parents[2]
FIELDS = parse_fields(
    "fields:\n  plan: {type: text}\n  seats: {type: number}\n  renewal: {type: date}\n  trial: {type: boolean}\n"
)


def segment(name: str, where: str) -> LoadedSegment:
    return parse(f"segment: {name}\ntitle: {name.title()}\nwhere: {where}\n", f"{name}.yaml")


def refusals(*loaded: LoadedSegment) -> list[str]:
    with pytest.raises(InvalidFile) as refused:
        arranged(loaded)
    return [str(problem) for problem in refused.value.problems]


def test_the_shipped_segments_are_read_and_name_only_what_there_is() -> None:
    found = load_all(ROOT / "definitions" / "segments", load_fields(ROOT / "definitions" / "fields.yaml"))
    assert {"new", "active", "high_value", "potential", "at_risk", "dormant", "churned"} < {one.name for one in found}


def test_a_folder_that_is_not_there_has_no_segments(tmp_path: Path) -> None:
    assert load_all(tmp_path / "segments") == []


def test_a_segment_comes_after_those_that_it_names() -> None:
    found = arranged([
        segment("a", "{not: {segment: [b, c]}}"), segment("b", "{any: [{tag: x}, {segment: c}]}"),
        segment("c", "{tag: y}"),
    ])  # fmt: skip
    assert [one.name for one in found] == ["c", "b", "a"]


def test_a_segment_that_asks_for_itself_is_refused_at_the_word() -> None:
    assert refusals(segment("a", "{all: [{tag: x}, {segment: [a]}]}")) == ["a.yaml:3:36: the segment a asks for itself"]


def test_a_circle_of_segments_is_refused_once_with_the_way_round() -> None:
    circle = [segment("a", "{segment: b}"), segment("b", "{not: {segment: c}}"), segment("c", "{segment: a}")]
    assert refusals(*circle) == ["a.yaml:3:9: goes in a circle: a → b → c → a"]


@given(st.integers(1, 8), st.randoms())
def test_a_circle_of_any_length_is_refused_in_whichever_order_the_files_come(length: int, chance: object) -> None:
    circle = [segment(f"s{n}", f"{{segment: s{(n + 1) % length}}}") for n in range(length)]
    chance.shuffle(circle)  # type: ignore[attr-defined]
    assert len(refusals(*circle)) == 1


def test_a_name_that_no_segment_has_is_refused_with_the_nearest() -> None:
    assert refusals(segment("dormant", "{tag: x}"), segment("a", "{segment: dormand}")) == [
        "a.yaml:3:9: 'dormand' is no segment; did you mean 'dormant'? allowed: a, dormant"
    ]


def test_two_files_of_one_name_are_refused() -> None:
    assert refusals(segment("a", "{tag: x}"), segment("a", "{tag: y}")) == [
        "a.yaml:1:1: the segment a is also in a.yaml"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("segment: A\ntitle: A\nwhere: {tag: x}\n", ":1:"),
        ("segment: a\ntitle: A\n", ":1:"),
        ("segment: a\ntitle: A\nwhere: {tagged: x}\n", ":3:"),
        ("segment: a\ntitle: A\nwhere: {tag: x}\nrefresh: 5m\n", ":4:"),
        ("segment: a\ntitle: A\nwhere: {field: {name: plann, is: home}}\n", ":3:"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_at_its_line(text: str, place: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(text, "a.yaml", FIELDS)
    assert all(place in str(problem) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("test", "refusal"),
    [
        ("name: plann, is: home", "17: 'plann' is no field of a customer; did you mean 'plan'?"),
        ("name: plan, at_least: 5", "29: plan holds text: only those of its values pass that are a number"),
        ("name: plan, before: 2026-01-01", "29: plan holds text: only those of its values pass that are a day"),
        ("name: seats, before: 2026-01-01", "30: seats holds a number: no value of it is a day"),
        ("name: renewal, below: 3", "32: renewal holds a day: no value of it is a number"),
        ("name: seats, is: many", "30: seats holds a number, not 'many'"),
        ("name: trial, is: maybe", "30: trial holds true or false, not 'maybe'"),
        ("name: country, after: 2026-01-01", "32: country holds text: only those of its values pass that are a day"),
        ("name: score, after: 2026-01-01", "30: score holds a number: no value of it is a day"),
        ("name: seats, at_least: many", "30: "),
        ("name: plan, is: null", "29: is says nothing: give it a value, or write exists: false for what is blank"),
        ("name: seats, at_least: 5, below: ", "43: below says nothing"),
    ],
)
def test_a_test_that_does_not_fit_its_field_is_refused_at_the_word(test: str, refusal: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(f"segment: a\ntitle: A\nwhere: {{field: {{{test}}}}}\n", "a.yaml", FIELDS)
    [problem] = refused.value.problems
    assert str(problem).startswith(f"a.yaml:3:{refusal}")


@pytest.mark.parametrize(
    ("where", "refusal"),
    [
        ("{event: {name: order.placed, within: }}", "37: within says nothing"),
        ("{event: {name: order.placed, with: {product: {is_not: }}}}", "54: is_not says nothing"),
        ("{value: {revenue: {at_least: , below: 50}}}", "27: at_least says nothing"),
        ("{score: {at_least: , below: 50}}", "17: at_least says nothing"),
    ],
)
def test_a_test_without_a_value_is_refused_at_the_word(where: str, refusal: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(f"segment: a\ntitle: A\nwhere: {where}\n", "a.yaml", FIELDS)
    [problem] = refused.value.problems
    assert str(problem).startswith(f"a.yaml:3:{refusal}: give it a value")


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ("orders: {at_least: -1}", "26: -1 is too small: at least 0"),
        ("revenue: {below: 0}", "27: 0 is too small: more than 0"),
        ("m: {below: 6, at_least: 1}", "21: 6 is too large: at most 5"),
        ("r: {at_least: 0}", "21: 0 is too small: at least 1"),
        ("lifetime_value: {at_least: .nan}", "44: .nan is not a number that can be compared"),
    ],
)
def test_a_worth_that_cannot_be_is_refused_at_the_word(value: str, refusal: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(f"segment: a\ntitle: A\nwhere: {{value: {{{value}}}}}\n", "a.yaml", FIELDS)
    [problem] = refused.value.problems
    assert str(problem) == f"a.yaml:3:{refusal}"


def test_a_stage_that_the_lifecycle_does_not_have_is_refused_at_the_word(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "lifecycle.yaml").write_text(
        "stages:\n  - {stage: nurture, title: N}\n  - {stage: at_risk, title: R}\n"
    )
    (tmp_path / "segments" / "a.yaml").write_text(
        "segment: a\ntitle: A\nwhere: {not: {lifecycle: [nurture, atrisk]}}\n"
    )
    with pytest.raises(InvalidFile) as refused:
        load_all(tmp_path / "segments", FIELDS)
    [problem] = refused.value.problems
    assert str(problem).endswith(
        "a.yaml:3:36: 'atrisk' is no stage of lifecycle.yaml; did you mean 'at_risk'? allowed: at_risk, nurture"
    )


def test_tests_that_fit_their_fields_are_let_through() -> None:
    tests = ["name: plan, is: home", "name: seats, at_least: 5", "name: renewal, before: 2026-01-01",
             "name: trial, is: true", "name: score, at_least: 5", "name: country, is_not: DE"]  # fmt: skip
    for test in tests:
        parse(f"segment: a\ntitle: A\nwhere: {{field: {{{test}}}}}\n", "a.yaml", FIELDS)


def test_the_definition_reads_back_as_the_same_segment() -> None:
    loaded = segment("a", "{all: [{field: {name: plan, is: [2026-01-31, home]}}, {not: {segment: b}}]}")
    assert type(loaded.segment).model_validate(loaded.definition) == loaded.segment


STAGES = "stages:\n  - {stage: nurture, title: N}\n  - {stage: at_risk, title: R, when: {tag: x}}\n"
REFUSED = "'atrisk' is no stage of lifecycle.yaml; did you mean 'at_risk'? allowed: at_risk, nurture"
ASKING: dict[str, tuple[str, str, str, Callable[[Path], object]]] = {
    "a broadcast": (
        "broadcasts/b.yaml", "broadcast: b\ntitle: B\nsend: email/news\nwhere: {lifecycle: atrisk}\n", "4:20",
        lambda folder: broadcast_files.load_all(folder / "broadcasts", {}).problems,
    ),
    "a rule of the handoff": (
        "handoff.yaml", "threshold: 60\nwhen:\n  - lifecycle: [nurture, atrisk]\n", "3:26", sales.load,
    ),
    "a rule of the scores": (
        "scoring.yaml",
        ("half_life: 30d\ngrades: {fit: {A: 9, B: 5, C: 2}, activity: {1: 9, 2: 5, 3: 2}}\nfit:\n"
        "  - {name: a, points: 5, when: {lifecycle: atrisk}}\n"), "4:44",
        lambda folder: scoring.load(folder / "scoring.yaml", {}),
    ),
    "a way into a journey": (
        "journeys/j.yaml",
        "journey: j\ntitle: J\nenter: {on: cart.left, where: {not: {lifecycle: atrisk}}}\nsteps: [{tag: x}]\n", "3:49",
        lambda folder: _of_map(folder),
    ),
    "a step of a journey": (
        "journeys/j.yaml",
        ("journey: j\ntitle: J\nenter: api\nsteps:\n  - branch:\n"
        "      - {when: {any: [{tag: x}, {lifecycle: [at_risk, atrisk]}]}, steps: [{tag: y}]}\n"), "6:55",
        lambda folder: _of_map(folder),
    ),
}  # fmt: skip


def _of_map(folder: Path) -> object:
    checker = Checker(folder, Templates(folder, "en"), {})
    return checker.check([loading.load(folder / "journeys" / "j.yaml", {})])


@pytest.mark.parametrize("asking", ASKING)
def test_wherever_conditions_are_read_an_unknown_stage_is_refused_at_the_word(tmp_path: Path, asking: str) -> None:
    file, text, place, read = ASKING[asking]
    (tmp_path / "lifecycle.yaml").write_text(STAGES)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    try:
        found = read(tmp_path)
    except InvalidFile as error:
        found = error.problems
    assert isinstance(found, list)
    assert [str(one) for one in found] == [f"{tmp_path / file}:{place}: {REFUSED}"]


def test_the_segments_that_a_map_names_are_found_in_ways_in_conditions_and_ways_out() -> None:
    definition = {
        "enter": [{"segment": "a", "where": {"not": {"segment": ["b", "c"]}}}], "exit": [{"left": "d"}],
        "steps": [
            {"branch": [{"when": {"any": [{"segment": "e"}]}, "steps": [{"set": {"segment": "gold"}}]}]},
            {"wait_for": {"on": "segment.left", "with": {"segment": "f"}, "up_to": "1d"}},
        ],
    }  # fmt: skip
    assert named_in(definition) == {"a", "b", "c", "d", "e"}
