"""Drawings of maps: complete, well-formed, nothing on top of anything else, whatever the map."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from console.chart import END, START, chart_of
from console.drawing import draw_svg
from console.glyphs import COLOURS
from console.lettering import cut, width, wrap
from console.outline import draw_mermaid, draw_text
from journeys.definition import Journey
from journeys.loading import load
from journeys.program import Program, ProgramError
from journeys.steps.ways import KINDS, Loop, kind_of
from records.runs.moves import Traffic

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


Piece = tuple[float, float, float, float]


def pieces(svg: str, kind: str) -> list[Piece]:
    """Every straight piece of every line of a kind: left, top, right, bottom."""
    found = []
    for path in Xml.fromstring(svg).iter(f"{SVG}path"):
        if path.attrib.get("class") != kind:
            continue
        here = (0.0, 0.0)
        for command, numbers in re.findall(r"([MLQ])([^MLQ]*)", path.attrib["d"]):
            values = [float(number) for number in numbers.split()]
            there = (values[-2], values[-1])
            if command == "L":
                (left, right), (top, bottom) = (sorted(both) for both in zip(here, there, strict=True))
                found.append((left, top, right, bottom))
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
    st.just({"wait": {"working_days": 3, "at": "09:00"}}),
    st.just({"wait": {"until": {"time": "09:00", "weekday": ["mon", "thu"]}}}),
    st.just({"send": "email/receipt", "transactional": True, "if_capped": "wait"}),
    st.just({"webhook": {"url": "https://crm.example/a-rather-long-path/to/a/hook?kind=journey", "fields": ["email"]}}),
    st.just({"start": "nurture"}),
    st.builds(lambda why: {"consent": {"channel": "sms", "granted": False, "because": why}}, words),
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
            lambda own, shared, other: {
                "wait_for": {
                    "any": [{"on": "email.clicked", "then": own}, {"on": "cart.updated", "with": {"amount": 5}}],
                    "up_to": "4d",
                },
                "then": shared, "else": other,
            },
            lists(step), lists(step), lists(step),
        ),
        st.builds(lambda a, b: {"split": {"a": 50, "b": 30, "none": 20}, "a": a, "b": b}, lists(step), lists(step)),
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


def inside(steps: list[Any]) -> Iterator[list[Any]]:
    """All lists of steps of a map, outer ones first."""
    yield steps
    for step in steps:
        for below in [step, *step.get("branch", []), *step.get("wait_for", {}).get("any", [])]:
            for name in ("then", "else", "steps", "a", "b"):
                if isinstance(below.get(name), list):
                    yield from inside(below[name])


def with_loops(data: dict[str, Any], picks: list[tuple[int, int, int]]) -> dict[str, Any]:
    """The map with ways back wherever they make sense; each pick names a list, a place in it, and where to."""
    data = copy.deepcopy(data)
    for where, place, to in picks:
        program = program_of(data)
        if program is None:
            return data
        targets = list(program.nodes)
        every = list(inside(data["steps"]))
        steps = every[where % len(every)]
        steps.insert(place % (len(steps) + 1), {"loop": {"to": targets[to % len(targets)], "at_most": 3}})
        if program_of(data) is None:
            del steps[place % len(steps)]
    return data


picks = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.integers(0, 40)), max_size=12)


def program_of(data: dict[str, Any]) -> Program | None:
    try:
        return Program.of(Journey.model_validate(data))
    except ProgramError:  # steps behind one that finishes on all its ways
        return None


def behind(pieces: list[Piece], boxes: list[Piece]) -> list[Any]:
    """The pieces of lines that run behind a box."""
    return [
        (piece, box)
        for piece in pieces
        for box in boxes
        if piece[0] < box[2] - 0.1 and box[0] + 0.1 < piece[2] + 0.1 * (piece[0] == piece[2])
        and piece[1] < box[3] - 0.1 and box[1] + 0.1 < piece[3] + 0.1 * (piece[1] == piece[3])
    ]  # fmt: skip


def assert_readable(program: Program, svg: str) -> None:
    drawn = boxes(svg)
    assert set(program.nodes) == set(drawn) - {START, END}
    assert overlaps([*drawn.values(), *labels(svg)]) == []
    assert behind([*pieces(svg, "way"), *pieces(svg, "way back")], list(drawn.values())) == []
    assert behind(pieces(svg, "way back"), labels(svg)) == []


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_every_step_of_the_shipped_maps_is_drawn_and_nothing_lies_on_anything(path: Path) -> None:
    program = load(path).program
    assert_readable(program, draw_svg(program))


@settings(max_examples=60, deadline=None)
@given(maps, picks)
def test_any_map_is_drawn_whole_with_nothing_on_top_or_behind(
    data: dict[str, Any], picks: list[tuple[int, int, int]]
) -> None:
    program = program_of(with_loops(data, picks))
    if program is not None:
        assert_readable(program, draw_svg(program))


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


EVERYTHING = Path(__file__).parent / "everything.yaml"


def test_a_map_of_forty_steps_with_every_kind_of_step_is_drawn_readably() -> None:
    program = load(EVERYTHING).program
    assert {kind_of(node.step) for node in program.nodes.values()} == set(KINDS)
    assert len(program.nodes) >= 40
    assert_readable(program, draw_svg(program))


def test_the_drawing_says_how_contacts_come_in_and_what_holds_everywhere() -> None:
    text = said(draw_svg(load(EVERYTHING).program))
    for words in (
        "on cart.updated with amount at least 50, if country is DE or FR",
        "or on coming into the segment at_risk",
        "7 days before each anniversary of renewal_date at 09:00 spread over 1 hour",
        "at the times of 0 9 * * mon in Asia/Shanghai",
        "Leaves at once on leaving the segment at_risk, as recovered",
        "The goal: order.placed with amount at least 50 within 30 days",
        "Held out: 5%",
        "Messages go mon-fri from 09:00 to 18:00 spread over 1 hour",
    ):
        assert words in text


def test_each_event_of_a_wait_has_its_own_arm_and_each_arm_of_a_split_its_share() -> None:
    links = {(link.source, link.target): link for link in chart_of(load(EVERYTHING).program).links}
    assert {target: link.label for (source, target), link in links.items() if source == "cheap-answer"} == {
        "clicked": "email.clicked on email/cheap",
        "filled": "cart.updated or cart.filled with amount at least 80, cart is the cart of the entry",
        "replied": "sms.replied",
        "cheap-again": "after 4 days",
    }
    assert [link.label for (source, _), link in links.items() if source == "arms"] == [
        "cheap · 50%", "dear · 30%", "none · 20%",
    ]  # fmt: skip


def test_a_loop_leads_back_to_the_side_of_its_step_and_is_told_apart() -> None:
    program = load(EVERYTHING).program
    svg = draw_svg(program)
    loops = [node for node in program.nodes.values() if isinstance(node.step, Loop)]
    ways = [path for path in Xml.fromstring(svg).iter(f"{SVG}path") if path.attrib.get("class") == "way back"]
    assert len(ways) == len(loops)
    ends = [tuple(map(float, path.attrib["d"].rpartition("L")[2].split())) for path in ways]
    for loop in loops:
        left, top, right, bottom = boxes(svg)[loop.arms[0] or END]
        assert any(min(abs(x - left), abs(x - right)) <= 1 and top < y < bottom for x, y in ends)
    assert draw_mermaid(program).count('-.->|"again"|') == len(loops)


def said(svg: str) -> str:
    """All text of a drawing with its tooltips, on one line."""
    return " ".join(" ".join(Xml.fromstring(svg).itertext()).split())


def test_counts_stand_at_their_steps_in_every_kind_of_drawing() -> None:
    program = load(EVERYTHING).program
    traffic = Traffic(
        here={"entry": 12, "pause": 3456}, passed={"receipt": 7890}, outcomes={"converted": 70, "completed": 5},
        entered=9012,
    )  # fmt: skip
    paper = io.StringIO()
    Console(file=paper, width=2000, color_system=None).print(draw_text(program, traffic))
    for drawing in (said(draw_svg(program, traffic)), draw_mermaid(program, traffic), paper.getvalue()):
        for words in ("12 here", "9,000 through", "3,456 here", "7,890 through", "5 through", "0 through"):
            assert words in drawing
    assert "9,012 came in, 3,468 under way; ended: converted 70, completed 5" in paper.getvalue()
    assert "through" not in draw_svg(program)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def light(colour: Sequence[float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("kind", COLOURS)
def test_the_heading_of_each_kind_can_be_read_on_its_box(kind: str) -> None:
    for ink, paper, tint in zip(COLOURS[kind], ("#ffffff", "#0f1521"), (0.09, 0.15), strict=True):
        box = [tint * one + (1 - tint) * other for one, other in zip(rgb(ink), rgb(paper), strict=True)]
        low, high = sorted((light(box), light(rgb(ink))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


@given(st.text(max_size=200), st.floats(40, 300), st.integers(1, 4))
def test_wrapped_text_keeps_to_its_room(text: str, room: float, most: int) -> None:
    lines = wrap(text, 12, room, most)
    assert 1 <= len(lines) <= most
    assert all(width(line, 12) <= room for line in lines)


def test_text_that_is_cut_says_so() -> None:
    assert cut("short", 12, 300) == "short"
    assert cut("a long sentence that has no room here", 12, 90).endswith("…")
