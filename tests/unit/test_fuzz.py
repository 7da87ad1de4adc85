"""Whatever is done to a map, it is read, or refused at a line and column; and what is read can be published and run."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from journeys.definition import Journey
from journeys.interpreter import MOST_STEPS_A_TURN, Ask, Person, questions, start
from journeys.loading import LoadedJourney, parse
from journeys.program import Program
from journeys.source import InvalidFile
from journeys.steps.ways import KINDS
from tests.unit.maps import CONDITIONS, Map, maps
from tests.unit.test_interpreter import NOW, PERSON

Place = tuple[Any, Any]
"""A mapping or a list, and the key or position in it."""

ODD_TEXT = st.text(max_size=6) | st.sampled_from(
    ["", " ", "null", "09:00", "25:61", "1d", "-3d", "0m", "999999y", "2026-02-30", "2026-01-01T00:00:00", "email/x",
     "customer.plan", "event.x", "api", "mon-", "0 9 * * *", "* * * * * *", "5%", "\U0001f600", "é́", "‮x", "﷽" * 40,
     "x" * 600, "{{ x }}", "<<", "~", "!!str", "*a", "&a", "a: b", "- a", "#"]
)  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, -1, 10**17, 2**63, 1e308, -0.0, 0.1]), st.floats(),
    ODD_TEXT, st.just([]), st.just({}), st.just([[[[]]]]), CONDITIONS,
    st.lists(ODD_TEXT, max_size=2), st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=2),
)  # fmt: skip
WORDS = ["any", "with", "where", "then", "else", "until", "date", "time", "split", "a", "steps", "all", "not", "name"]
KEYS = st.sampled_from([*KINDS, *Journey.model_fields, *WORDS]) | ODD_TEXT


def _places(value: Any) -> Iterator[Place]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield value, key
        yield from _places(inner)


def _change(data: Map, draw: st.DataObject) -> None:
    """Do one thing to a map that nobody should."""
    holder, key = draw.draw(st.sampled_from(list(_places(data))))
    match draw.draw(st.sampled_from(["drop", "rename", "retype", "wrap", "bury", "double", "swap", "add"])):
        case "drop":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[draw.draw(KEYS)] = holder.pop(key)
        case "wrap":
            holder[key] = draw.draw(st.sampled_from([[holder[key]], {"all": [holder[key]]}, {"is": holder[key]}]))
        case "bury":
            for _ in range(draw.draw(st.sampled_from([5, 18, 70]))):
                holder[key] = {"not": holder[key]} if isinstance(holder, dict) else [holder[key]]
        case "double" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case "swap":
            other, place = draw.draw(st.sampled_from(list(_places(data))))
            holder[key] = copy.deepcopy(other[place])
        case "add" if isinstance(holder, dict):
            holder[draw.draw(KEYS)] = draw.draw(ODD)
        case _:
            holder[key] = draw.draw(ODD)


@settings(deadline=None, max_examples=150)
@given(maps(), st.integers(1, 3), st.data())
def test_whatever_is_done_to_a_map_it_is_read_or_refused(data: Map, times: int, draw: st.DataObject) -> None:
    data = copy.deepcopy(data)  # what strategies share
    for _ in range(times):
        if list(_places(data)):
            _change(data, draw)
    _judge(_in_lines(data))


@settings(deadline=None, max_examples=60)
@given(maps())
def test_every_valid_map_is_read_and_runs(data: Map) -> None:
    assert _judge(_in_lines(data)) is not None


@example({"on": "e", "with": {"with": {"is": []}}})
@example({"not": {"not": {"not": 5}}})
@example({"schedule": "0 9 * * *", "time_zone": "../../etc/passwd"})
@example({"schedule": "0 9 * * *", "time_zone": "\x00"})
@example({"schedule": "1e9 * * * *"})
@example({"schedule": "０ 9 * * *"})
@example({"date": "customer.x", "offset": {"count": 1, "unit": "d"}})
@example({"date": "customer.x", "at": 540})
@given(st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)))
@settings(deadline=None, max_examples=80)
def test_whatever_stands_as_a_way_in_or_a_step_is_read_or_refused(value: Any) -> None:
    head = {"journey": "a", "title": "A", "enter": "api", "steps": [{"tag": "x"}]}
    for key, inner in (("enter", value), ("steps", [value]), ("exit", [value]), ("goal", value), ("re_enter", value)):
        _judge(_in_lines({**head, key: inner}))


def _judge(text: str) -> LoadedJourney | None:
    """Read a text; a journey must be fit to publish and to run, a refusal must say where."""
    try:
        loaded = parse(text, "map.yaml", ["plan", "renewal_date"])
    except InvalidFile as error:
        _says_where(error, text)
        return None
    again = Journey.model_validate(json.loads(json.dumps(loaded.definition)))
    assert again == loaded.journey
    assert Program.of(again) == loaded.program
    assert list(Program.of(again).nodes) == list(loaded.program.nodes)
    for answer in (True, False):
        _runs(loaded.program, PERSON, answer)
    return loaded


def _says_where(refusal: InvalidFile, text: str) -> None:
    lines = text.split("\n")
    assert refusal.problems
    for problem in refusal.problems:
        assert problem.file == "map.yaml"
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert problem.message.strip()
        assert "input should" not in problem.message.lower(), problem


def _runs(program: Program, person: Person, answer: bool) -> None:
    """It comes to a first rest."""
    walk, reply = start(program, NOW, person), None
    for _ in range(MOST_STEPS_A_TURN):
        try:
            query = walk.send(reply)
        except StopIteration:
            return
        reply = None
        if isinstance(query, Ask):
            reply = "2026-09-01" if query.field else dict.fromkeys(questions(query), answer)
    raise AssertionError("no rest")


def _in_lines(data: Any) -> str:
    """A map as YAML, each key in a line of its own, so that a wrong line shows."""
    return json.dumps(data, ensure_ascii=False, indent=1)
