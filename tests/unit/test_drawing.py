"""Drawings of maps: complete, well-formed, nothing on top of anything else, whatever the map."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from console.chart import END, START, chart_of
from console.drawing import draw_mermaid, draw_svg, draw_text
from console.lettering import cut, width, wrap
from journeys.definition import Journey
from journeys.loading import load
from journeys.program import Program, ProgramError

MAPS = sorted((Path(__file__).parents[2] / "definitions" / "journeys").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of every box."""
    found = {}
    for group in Xml.fromstring(svg).iter(f"{SVG}g"):
        if "data-step" in group.attrib:
            x, y = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", group.attrib["transform"]))
            body = group.find(f"{SVG}rect")
            assert body is not None
            found[group.attrib["data-step"]] = (
                x, y, x + float(body.attrib["width"]), y + float(body.attrib["height"]),
            )  # fmt: skip
    return found


def labels(svg: str) -> list[tuple[float, float, float, float]]:
    """The rectangles of all labels."""
    found = []
    for group in Xml.fromstring(svg).iter(f"{SVG}g"):
        if group.attrib.get("class") == "label":
            body = group.find(f"{SVG}rect")
            assert body is not None
            x, y, wide, high = (float(body.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + wide, y + high))
    return found


def overlaps(rectangles: list[tuple[float, float, float, float]]) -> list[Any]:
    return [
        (a, b)
        for at, a in enumerate(rectangles)
        for b in rectangles[:at]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def verticals(svg: str) -> list[tuple[float, float, float]]:
    """Every vertical piece of every line: x, top, bottom."""
    found = []
    for path in Xml.fromstring(svg).iter(f"{SVG}path"):
        if path.attrib.get("class") != "way":
            continue
        here = (0.0, 0.0)
        for command, numbers in re.findall(r"([MLQ])([^MLQ]*)", path.attrib["d"]):
            values = [float(number) for number in numbers.split()]
            there = (values[-2], values[-1])
            if command == "L" and there[0] == here[0]:
                found.append((here[0], min(here[1], there[1]), max(here[1], there[1])))
            here = there
    return found


words = st.text(min_size=1, max_size=80)
durations = st.builds("{}{}".format, st.integers(1, 400), st.sampled_from(["m", "h", "d", "w"]))
simple: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"send": "email/welcome"}),
    st.just({"send": "sms/a-message-with-a-very-long-name-that-fits-in-no-box"}),
    st.builds(lambda length: {"wait": length}, durations),
    st.builds(lambda why: {"score": {"points": 5, "because": why}}, words),
    st.builds(lambda title: {"task": {"queue": "sales", "title": title}}, words),
    st.just({"wait": {"until": {"date": "customer.renewal_date", "offset": "-14d"}}}),
    st.just({"set": {"stage": "nurturing", "plan": None}}),
    st.builds(lambda tag: {"tag": tag}, words),
    st.just({"untag": ["a", "b"]}),
)


def lists(step: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    whole = st.lists(step, max_size=4)
    ended = st.builds(lambda steps: [*steps, {"finish": "done"}], whole)
    return st.one_of(whole, ended)


steps = st.recursive(
    simple,
    lambda step: st.one_of(
        st.builds(
            lambda then, other: {"wait_for": {"on": "email.clicked", "up_to": "3d"}, "then": then, "else": other},
            lists(step), lists(step),
        ),
        st.builds(
            lambda tag, arms: {"branch": [{"when": {"tag": tag}, "steps": arm} for arm in arms]},
            words, st.lists(lists(step), min_size=1, max_size=4),
        ),
        st.builds(
            lambda arm, other: {
                "branch": [{"when": {"stage": "new"}, "steps": arm}, {"otherwise": True, "steps": other}]
            },
            lists(step), lists(step),
        ),
    ),
    max_leaves=25,
)  # fmt: skip
maps = st.builds(
    lambda title, all_: {"journey": "made_up", "title": title, "enter": "api", "steps": all_},
    words,
    st.lists(steps, min_size=1, max_size=8),
)


def program_of(data: dict[str, Any]) -> Program | None:
    try:
        return Program.of(Journey.model_validate(data))
    except ProgramError:  # steps behind one that finishes on all its ways
        return None


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_every_step_of_the_shipped_maps_is_drawn_and_nothing_lies_on_anything(path: Path) -> None:
    program = load(path).program
    svg = draw_svg(program, dict.fromkeys(program.nodes, 1234))
    drawn = boxes(svg)
    assert set(program.nodes) == set(drawn) - {START, END}
    assert overlaps([*drawn.values(), *labels(svg)]) == []


@settings(max_examples=60, deadline=None)
@given(maps)
def test_any_map_is_drawn_whole_with_nothing_on_top_or_behind(data: dict[str, Any]) -> None:
    program = program_of(data)
    if program is None:
        return
    svg = draw_svg(program)
    drawn = boxes(svg)
    assert set(program.nodes) == set(drawn) - {START, END}
    assert overlaps([*drawn.values(), *labels(svg)]) == []
    behind = [
        (line, box)
        for line in verticals(svg)
        for box in drawn.values()
        if box[0] < line[0] < box[2] and line[1] < box[3] - 0.1 and box[1] + 0.1 < line[2]
    ]
    assert behind == []


@settings(max_examples=30, deadline=None)
@given(maps)
def test_any_map_is_drawn_as_a_tree_and_for_mermaid(data: dict[str, Any]) -> None:
    program = program_of(data)
    if program is None:
        return
    paper = io.StringIO()
    Console(file=paper, width=400, color_system=None).print(draw_text(program))
    assert all(name in paper.getvalue() for name in program.nodes)
    lines = draw_mermaid(program).splitlines()
    assert len(lines) == 1 + len(chart_of(program).boxes) + len(chart_of(program).links)
    assert all(line.count('"') in (2, 0) for line in lines)


def test_the_arms_of_a_fork_stand_in_the_order_of_the_file() -> None:
    program = load(next(path for path in MAPS if path.stem == "renewal")).program
    drawn = boxes(draw_svg(program))
    arms = ["ring-the-office", "offer-change", "remind-by-text", "notice-unseen"]
    assert [drawn[arm][0] for arm in arms] == sorted(drawn[arm][0] for arm in arms)
    assert len({drawn[arm][1] for arm in arms}) == 1


def test_text_from_the_map_is_text_in_the_drawing() -> None:
    nasty = '<script>alert("x")</script> & \x07 {{ customer.first_name or "there" }}'
    program = program_of(
        {"journey": "a", "title": nasty, "enter": "api", "steps": [{"task": {"queue": "sales", "title": nasty}}]}
    )
    assert program is not None
    svg = draw_svg(program)
    assert "<script" not in svg
    assert "‹first name›" in "".join(Xml.fromstring(svg).itertext())


def test_a_drawing_needs_nothing_from_elsewhere_and_suits_dark_backgrounds() -> None:
    svg = draw_svg(load(MAPS[0]).program)
    assert "prefers-color-scheme:dark" in svg
    assert not re.search(r"href|@import|url\((?!#)", svg)


def test_counts_stand_at_their_steps() -> None:
    program = load(MAPS[0]).program
    first = next(iter(program.nodes))
    text = "".join(Xml.fromstring(draw_svg(program, {first: 12345})).itertext())
    assert "12,345" in text


@given(st.text(max_size=200), st.floats(40, 300), st.integers(1, 4))
def test_wrapped_text_keeps_to_its_room(text: str, room: float, most: int) -> None:
    lines = wrap(text, 12, room, most)
    assert 1 <= len(lines) <= most
    assert all(width(line, 12) <= room for line in lines)


def test_text_that_is_cut_says_so() -> None:
    assert cut("short", 12, 300) == "short"
    assert cut("a long sentence that has no room here", 12, 90).endswith("…")
