"""What people get told about a map that cannot be: the line, the column, what is wrong, and the nearest right word."""

from __future__ import annotations

import contextlib
import json
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from journeys.definition import Journey
from journeys.loading import load, parse
from journeys.source import LARGEST, InvalidFile
from tests.unit.maps import Map, maps

HEAD = "journey: a\ntitle: A\nenter: api\nsteps:\n"


def refused(text: str, fields: list[str] | None = None) -> list[str]:
    """The problems of a text as `line:column: message`."""
    with pytest.raises(InvalidFile) as caught:
        parse(text, "map.yaml", fields)
    assert all(str(problem).startswith("map.yaml:") for problem in caught.value.problems)
    return [str(problem).removeprefix("map.yaml:") for problem in caught.value.problems]


BAD_STEPS = {
    "an unknown step": ("  - sned: email/x", "5:5: 'sned' is no step; did you mean 'send'?"),
    "an unknown step with an id": ("  - {id: x, sned: email/x}", "5:13: 'sned' is no step; did you mean 'send'?"),
    "words for a step": ("  - send it", "5:5: 'send it' is no step: a step is a mapping that begins with one of send,"),
    "an empty step": ("  -", "5:4: nothing is no step"),
    "a misspelt key of a step": (
        "  - send: email/x\n    if_uncertan: hold",
        "6:5: 'if_uncertan' is not known here; did you mean 'if_uncertain'? allowed: id, note, send, if_uncertain",
    ),
    "a misspelt key in a wait": (
        "  - wait: {until: {dat: customer.d, date: customer.d}}",
        "5:20: 'dat' is not known here; did you mean 'date'? allowed: date, offset, at",
    ),
    "a misspelt arm": ("  - wait_for: {on: e, up_to: 1d}\n    els: []", "6:5: 'els' is not known here; did you mean"),
    "a misspelt key of a condition, named as one": (
        "  - branch: [{when: {score: {at_last: 3, below: 9}}, steps: []}]",
        "5:30: 'at_last' is not known here; did you mean 'at_least'? allowed: at_least, below",
    ),
    "a misspelt condition in a list in a list": (
        "  - branch:\n      - when: {all: [{any: [{scroe: {below: 9}}]}]}\n        steps: []",
        "6:30: 'scroe' is no condition; did you mean 'score'?",
    ),
    "two conditions in one": (
        "  - branch: [{when: {score: {below: 3}, tag: x}, steps: []}]",
        "5:41: 'tag' is not known here; allowed: score",
    ),
    "a duplicate id": (
        "  - {id: a, tag: x}\n  - branch: [{otherwise: true, steps: [{id: a, tag: y}]}]",
        "6:41: the id 'a' is taken by an earlier step",
    ),
    "a key that stands twice": ("  - tag: x\n    tag: y", "6:5: tag stands twice in the same mapping"),
    "two kinds in one step": ("  - send: email/x\n    tag: y", "6:5: 'tag' is not known here"),
    "a wait of zero": ("  - wait: 0d", "5:5: '0d' must be longer than nothing"),
    "a wait backwards": ("  - wait: -2d", "5:5: '-2d' must be longer than nothing"),
    "a wait of a thousand years": ("  - wait: 1000y", "5:5: '1000y' is longer than ten years"),
    "a wait without a unit": ("  - wait: 2", "5:5: 2 is not a duration: write 30m, 2h, 3d"),
    "a limit of zero": ("  - wait_for: {on: e, up_to: 0h}", "5:23: '0h' must be longer than nothing"),
    "a wait for an event without a limit": ("  - wait_for: {on: e}", "5:15: up_to: is missing"),
    "an event in capitals": (
        "  - wait_for: {on: Email.Clicked, up_to: 1d}",
        "5:20: 'Email.Clicked' does not fit: an event is named in small letters with dots",
    ),
    "one bad event of several": ("  - wait_for: {on: [a, B], up_to: 1d}", "5:24: 'B' does not fit"),
    "a day that does not exist": ("  - set: {day: 2026-02-30}", "5:16: 2026-02-30 is not a date that exists"),
    "such a day in quotes": (
        '  - branch: [{when: {field: {name: d, before: "2026-02-30"}}, steps: []}]',
        "5:39: '2026-02-30' is not a day that exists: write YYYY-MM-DD",
    ),
    "a day written as a number": (
        "  - branch: [{when: {field: {name: d, before: 20260101}}, steps: []}]",
        "5:39: '20260101' is not a day that exists",
    ),
    "a naive time": ("  - set: {day: 2026-01-01T10:00:00}", "5:16: 2026-01-01T10:00:00 has no time zone"),
    "a time of day in twelve hours": (
        "  - wait: {until: {date: customer.d, at: 9am}}",
        "5:38: '9am' is not a time of day: write HH:MM in 24 hours",
    ),
    "an offset in hours": (
        "  - wait: {until: {date: customer.d, offset: 3h}}",
        "5:38: an offset from a date is counted in days",
    ),
    "a tab for indentation": ("  - tag: x\n\t- tag: y", "6:1: a tab: YAML indents with spaces only"),
    "a tab after a colon": ("  - tag:\tx", "5:9: a tab: YAML indents with spaces only"),
    "an anchor": ("  - &x {tag: y}", "5:5: anchors and aliases (&name, *name) are not read"),
    "an alias": ("  - tag: [a, *b]", "5:14: anchors and aliases"),
    "a merge key": ("  - {<<: {tag: x}}", "5:6: merge keys (<<) are not read"),
    "a tag of YAML": ("  - tag: !!python/name:os.system x", "5:10: the tag tag:yaml.org,2002:python/name:os.system"),
    "a number that is none": ("  - set: {a: .nan}", "5:14: .nan is not a number that can be compared"),
    "a number without end": ("  - set: {a: 99999999999999999999}", "5:14: 99999999999999999999... is too long"),
    "a list for a value": ("  - set: {a: [1]}", "5:14: [1] is not one value: text, a number, true, false or a day"),
    "a character that nobody sees": ('  - tag: "\\0"', "5:10: holds a character that nobody can read: U+0000"),
    "half a character in a key": ('  - set: {"\\ud800": 1}', "5:11: holds a character that nobody can read: U+D800"),
    "steps that nobody reaches": ("  - finish: x\n  - tag: y", "6:5: this step can never be reached"),
    "steps behind a branch that always finishes": (
        "  - branch: [{when: {tag: x}, steps: [{finish: x}]}, {otherwise: true, steps: [{finish: y}]}]\n  - tag: y",
        "6:5: this step can never be reached",
    ),
    "steps behind a wait that finishes both ways": (
        "  - {wait_for: {on: e, up_to: 1d}, then: [{finish: x}], else: [{finish: y}]}\n  - tag: y",
        "6:5: this step can never be reached",
    ),
    "an arm behind the last": (
        "  - branch: [{otherwise: true, steps: []}, {when: {tag: x}, steps: []}]",
        "5:5: otherwise: true must be the last arm",
    ),
    "an arm that says nothing": ("  - branch: [{steps: []}]", "5:14: an arm needs either when: or otherwise: true"),
    "a branch without arms": ("  - branch: []", "5:5: branch: is empty"),
    "points for nothing": ("  - score: {points: 0, because: x}", "5:13: 0 points change nothing"),
    "points without a reason": ("  - score: {points: 1}", "5:12: because: is missing"),
    "points alone": ("  - score: 1", "5:5: 1 stands where a mapping is wanted: allowed are points, because"),
    "points that are true": (
        "  - score: {points: true, because: x}",
        "5:13: true stands where a whole number is wanted",
    ),
    "a range that holds nothing": (
        "  - branch: [{when: {score: {at_least: 5, below: 5}}, steps: []}]",
        "5:22: no score is at least 5 and below 5",
    ),
    "another's address": ("  - set: {email: x}", "5:5: a journey cannot set email"),
    "no stage": ("  - set: {stage: null}", "5:5: a customer always has a stage"),
    "a country in words": ("  - set: {country: china}", "5:5: 'china' is no country: two capital letters"),
    "a channel that is none": ("  - send: push/x", "5:5: 'push/x' does not fit: a message is named by channel"),
    "a message outside its folder": ("  - send: email/../x", "5:5: 'email/../x' does not fit"),
    "a wait of a misspelt kind": (
        "  - wait: {working_day: 2}",
        "5:5: 'working_day' is no kind of wait; did you mean 'working_days'?",
    ),
    "no working days": ("  - wait: {working_days: 0}", "5:12: 0 is too small: at least 1"),
    "a time of day as a number": ("  - wait: {until: {time: 9}}", "5:20: '9' is not a time of day: write HH:MM"),
    "a weekday that is none": ("  - wait: {until: {time: '09:00', weekday: mon-fry}}", "5:35: 'mon-fry' is no weekday"),
    "an offset as a mapping": (
        "  - wait: {until: {date: customer.d, offset: {count: 1, unit: d}}}",
        "5:38: \"{'count': 1, 'unit': 'd'}\" is not a duration",
    ),
    "a date without its customer": ("  - wait: {until: {date: birthday}}", "5:20: 'birthday' does not fit: a date of"),
    "a misspelt time": ("  - wait: {until: {tim: '09:00'}}", "5:20: 'tim' is not known here; did you mean 'time'?"),
    "one arm of a split": ("  - split: {a: 50}", "5:5: split: needs at least 2"),
    "a share of nothing": ("  - split: {a: 50, b: 0}", "5:20: 0 is too small: at least 1"),
    "a share in percent": ("  - split: {a: 50%, b: 50}", "5:13: '50%' stands where a whole number is wanted"),
    "an arm that is called like a step": ("  - split: {send: 1, b: 1}", "5:5: an arm cannot be called send"),
    "an arm that is not in the split": (
        "  - split: {a: 1, b: 1}\n    c: []",
        "5:5: 'c' is no arm of this split: the arms are a, b",
    ),
    "an arm that is no list": (
        "  - split: {a: 1, b: 1}\n    a: {tag: x}",
        "6:5: {'tag': 'x'} stands where a list is wanted",
    ),
    "a bad step in an arm": ("  - split: {a: 1, b: 1}\n    a: [{sned: x}]", "6:10: 'sned' is no step; did you mean"),
    "a loop without a limit": ("  - loop: {to: x}", "5:11: at_most: is missing"),
    "a loop without end": (
        "  - {id: w, wait: 1d}\n  - loop: {to: w, at_most: 101}",
        "6:19: 101 is too large: at most 100",
    ),
    "a loop to nowhere": ("  - {id: w, wait: 1d}\n  - loop: {to: v, at_most: 1}", "6:12: 'v' is no step before this"),
    "a loop at the beginning": ("  - loop: {to: v, at_most: 1}", "5:12: 'v' is no step before this loop"),
    "a loop without a rest": ("  - {id: w, tag: d}\n  - loop: {to: w, at_most: 3}", "6:12: nothing waits on one way"),
    "consent to a channel that is none": (
        "  - consent: {channel: fax, granted: true, because: x}",
        "5:15: 'fax' is not allowed here; allowed: email, sms",
    ),
    "a journey that starts itself": ("  - start: a", "5:5: a journey cannot start itself"),
    "a call with variables": ("  - webhook: {url: 'https://{{ x }}/'}", "5:15: 'https://{{ x }}/' is no web address"),
    "a call without a body": ("  - webhook: {url: https://x.example, body: 5}", "5:39: 5 stands where a mapping is"),
    "two ways to wait": ("  - wait_for: {on: a, any: [{on: a}], up_to: 1d}", "5:5: needs either on: EVENT or any:"),
    "nothing to wait for": ("  - wait_for: {any: [], up_to: 1d}", "5:16: any: is empty"),
    "a limit for one of several": (
        "  - wait_for: {any: [{on: a, up_to: 1d}], up_to: 1d}",
        "5:30: 'up_to' is not known here; allowed: on, message, with, then",
    ),
    "steps that no event leads to": (
        "  - {wait_for: {any: [{on: a, then: []}], up_to: 1d}, then: [{tag: x}]}",
        "5:5: then: is never taken",
    ),
    "a property of null": (
        "  - wait_for: {on: a, with: {x: null}, up_to: 1d}",
        "5:30: null is no value: for a property",
    ),
    "a misspelt test of a property": (
        "  - wait_for: {on: a, with: {x: {sameas: event.x}}, up_to: 1d}",
        "5:34: 'sameas' is not known here; did you mean 'same_as'?",
    ),
    "the same as nothing": (
        "  - wait_for: {on: a, with: {x: {same_as: x}}, up_to: 1d}",
        "5:34: 'x' does not fit: a property of the event that brought the contact in",
    ),
    "a value and another's": (
        "  - wait_for: {on: a, with: {x: {same_as: event.x, is: 3}}, up_to: 1d}",
        "5:30: is: and same_as: both name the value",
    ),
    "a property that is a sentence": (
        "  - wait_for: {on: a, with: {x y: 1}, up_to: 1d}",
        "5:35: 'x y' does not fit: a property is named by letters",
    ),
    "another's value in a condition": (
        "  - branch: [{when: {event: {name: e, with: {a: {same_as: event.a}}}}, steps: []}]",
        "5:50: 'same_as' is not known here; did you mean 'at_least'? allowed: is,",
    ),
    "a property under an old word": (
        "  - branch: [{when: {event: {name: e, where: {a: 1}}}, steps: []}]",
        "5:39: 'where' is not known here; did you mean 'with'?",
    ),
    "a window with a typo": (
        "  - send: email/x\n    window: {form: '09:00', to: '10:00'}",
        "6:14: 'form' is not known here; did you mean 'from'?",
    ),
    "a window in words": (
        "  - send: email/x\n    window: anytime",
        "6:5: 'anytime' is not allowed here; did you mean 'any'? allowed: any",
    ),
    "half a window": ("  - send: email/x\n    window: {from: '09:00'}", "6:5: from and to go together"),
    "an arm without steps": ("  - branch: [{when: {tag: x}}]", "5:14: steps: is missing"),
    "an arm that is not otherwise": (
        "  - branch: [{otherwise: false, steps: []}]",
        "5:15: 'false' is not allowed here; allowed: true",
    ),
    "arms without dashes": (
        "  - branch: {when: {tag: x}, steps: []}",
        "5:5: {'when': {'tag': 'x'}, 'steps': []} stands",
    ),
    "a number for a tag": ("  - tag: 5", "5:10: 5 stands where text is wanted: put it in quotes"),
    "a task due some day": ("  - task: {queue: q, title: x, due: soon}", "5:32: 'soon' does not fit: due is"),
}


def _head(text: str) -> str:
    return f"journey: a\ntitle: A\n{text}\nsteps: [{{tag: x}}]"


BAD_HEADS = {
    "an empty file": ("", "1:1: is empty"),
    "a list": ("[1]", "1:1: is not a mapping"),
    "two documents": ("a: 1\n---\nb: 2\n", "1:1: holds several documents"),
    "no steps": ("journey: a\ntitle: A\nenter: api\n", "1:1: steps: is missing"),
    "a misspelt title": (
        "journey: a\ntitl: A\nenter: api\nsteps: [{tag: x}]",
        "2:1: 'titl' is not known here; did you",
    ),
    "a name with a blank": ("journey: a b\ntitle: A\nenter: api\nsteps: [{tag: x}]", "1:1: 'a b' does not fit: small"),
    "a way in that is none": ("enter: apy\njourney: a\ntitle: A\nsteps: [{tag: x}]", "1:1: 'apy' is no way in: write"),
    "a misspelt way in": (
        "enter: [api, {on: x, wher: {tag: x}}]\njourney: a\ntitle: A\nsteps: [{tag: x}]",
        "1:22: 'wher' is not known here; did you mean 'where'? allowed: on, with, where",
    ),
    "an unknown rule": (HEAD.replace("steps", "re_enter: daily\nsteps") + "  - tag: x", "4:1: 'daily' is no rule for"),
    "a rule of no time": (HEAD.replace("steps", "re_enter: {after: 0d}\nsteps") + "  - tag: x", "4:12: '0d' must be"),
    "an event under the wrong word": (
        _head("enter: {event: x}"),
        "3:9: 'event' is no way in; did you mean 'on'? allowed: on, segment, date, schedule",
    ),
    "a condition for a way in": (_head("enter: {where: {tag: x}}"), "3:9: 'where' is no way in; allowed: on,"),
    "a way in of nothing": (
        _head("enter: {}"),
        "3:8: {} is no way in: a way in is a mapping that begins with one of on,",
    ),
    "no way in": (_head("enter: []"), "3:1: enter: is empty"),
    "a schedule of four fields": (_head("enter: {schedule: '0 9 * *'}"), "3:9: '0 9 * *' is no schedule: five cron"),
    "a schedule at 25 o'clock": (_head("enter: {schedule: '0 25 * * *'}"), "3:9: '25' is no hour: it lies between 0"),
    "a schedule that never comes": (_head("enter: {schedule: '0 9 30 2 *'}"), "3:9: '0 9 30 2 *' never comes"),
    "a zone that is none": (
        _head("enter: {schedule: '0 9 * * *', time_zone: Asia/Shangai}"),
        "3:32: 'Asia/Shangai' is no time zone: an IANA",
    ),
    "a zone under another word": (
        _head("enter: {schedule: '0 9 * * *', zone: UTC}"),
        "3:32: 'zone' is not known here; did you mean 'time_zone'?",
    ),
    "an anniversary each month": (
        _head("enter: {date: customer.birthday, every: month}"),
        "3:34: 'month' is not allowed here; allowed: once, year",
    ),
    "a date moved by hours": (_head("enter: {date: customer.birthday, offset: 3h}"), "3:34: an offset from a date is"),
    "what brought the contact in, before it came in": (
        _head("enter: {on: a, with: {x: {same_as: event.x}}}"),
        "3:27: 'same_as' is not known here",
    ),
    "a share without a percent sign": (_head("enter: api\nholdout: 5"), "4:1: 5 is no share: write a percentage"),
    "a share of nobody": (_head("enter: api\nholdout: 0%"), "4:1: '0%' is no share: write a percentage"),
    "a share of everybody": (_head("enter: api\nholdout: 100%"), "4:1: '100%' is no share: write a percentage"),
    "a window of no time": (
        _head("enter: api\nsend_window: {from: '09:00', to: '09:00'}"),
        "4:1: from and to are both 09:00",
    ),
    "a window in twelve hours": (
        _head("enter: api\nsend_window: {from: '9:00', to: '17:00'}"),
        "4:15: '9:00' is not a time of day",
    ),
    "a window on no day": (_head("enter: api\nsend_window: {days: [mon, tues]}"), "4:15: 'tues' is no weekday"),
    "a spread longer than the window": (
        _head("enter: api\nsend_window: {from: '09:00', to: '10:00', spread: 2h}"),
        "4:1: spread: 2h is longer than",
    ),
    "what becomes of a message, in other words": (
        _head("enter: api\nif_quiet: hold"),
        "4:1: 'hold' is not allowed here",
    ),
    "an exit that is no list": (_head("enter: api\nexit: {on: a}"), "4:1: {'on': 'a'} stands where a list is wanted"),
    "an exit by nothing": (
        _head("enter: api\nexit: [{as: x}]"),
        "4:8: an exit needs either on: EVENT or left: SEGMENT",
    ),
    "a test of leaving": (_head("enter: api\nexit: [{left: a, with: {x: 1}}]"), "4:8: with: tests an event"),
    "a goal in a word": (
        _head("enter: api\ngoal: order.placed"),
        "4:1: 'order.placed' stands where a mapping is wanted",
    ),
    "a goal with a typo": (
        _head("enter: api\ngoal: {on: x, with: {value: {at_leest: 50}}}"),
        "4:30: 'at_leest' is not known here; did you",
    ),
    "an exit with a typo": (
        HEAD.replace("steps", "exit: [{on: x, was: y}]\nsteps") + "  - tag: x",
        "4:16: 'was' is not known here; did you mean 'as'?",
    ),
}


@pytest.mark.parametrize(("text", "problem"), BAD_STEPS.values(), ids=BAD_STEPS.keys())
def test_a_bad_step_is_refused_at_its_line_and_column(text: str, problem: str) -> None:
    assert [one for one in refused(f"{HEAD}{text}\n") if one.startswith(problem)], refused(f"{HEAD}{text}\n")


@pytest.mark.parametrize(("text", "problem"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_bad_head_is_refused_at_its_line_and_column(text: str, problem: str) -> None:
    assert [one for one in refused(text) if one.startswith(problem)], refused(text)


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    problems = refused(f"{HEAD}  - sned: x\n  - wait: 0d\n  - finish: Over\n")
    assert [one.split(" ")[0] for one in problems] == ["5:5:", "6:5:", "7:5:"]


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("  - set: {plna: pro}", "5:11: 'plna' is no field of a customer; did you mean 'plan'?"),
        ("  - wait: {until: {date: customer.plna}}", "5:20: 'plna' is no field"),
        ("  - branch: [{when: {not: {field: {name: plna, exists: true}}}, steps: []}]", "5:36: 'plna' is no field"),
    ],
)
def test_a_field_that_nobody_declared_is_refused_wherever_it_stands(step: str, place: str) -> None:
    assert refused(f"{HEAD}{step}\n", fields=["plan"])[0].startswith(place)
    parse(f"{HEAD}{step.replace('plna', 'plan')}\n", fields=["plan"])


def test_a_file_of_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(HEAD.encode() + b"  - tag: x\n" * 1_000_000)
    with pytest.raises(InvalidFile, match=rf"large.yaml:1:1: the file has 11,000,038 bytes; at most {LARGEST:,}"):
        load(path)


def test_a_map_of_thousands_of_steps_is_refused() -> None:
    assert refused(HEAD + "  - tag: x\n" * 401) == ["405:5: a map has at most 400 steps: split it"]


def test_a_file_that_is_not_utf_8_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("journey: a\ntitle: Ä\n".encode("latin-1"))
    with pytest.raises(InvalidFile, match=r"latin.yaml:2:1: is not UTF-8"):
        load(path)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(InvalidFile, match=r"nowhere.yaml:1:1: cannot be read: No such file"):
        load(Path("nowhere.yaml"))


@pytest.mark.parametrize("text", ["{" * 5000, "[" * 5000, "- " * 5000, "a: " * 500, "? " * 3000])
def test_nesting_without_end_is_refused(text: str) -> None:
    assert refused(text)


def test_the_bracket_that_is_one_too_many_is_told() -> None:
    line = len(HEAD.splitlines()) + 1
    assert refused(f"{HEAD}  - {'[' * 100}") == [f"{line}:65: steps are nested too deeply to follow"]


def test_what_is_wrong_deep_inside_is_told_at_once() -> None:
    step = "{score: {points: 0, because: x}}"
    for _ in range(14):
        step = f"{{branch: [{{when: {{tag: x}}, steps: [{step}]}}]}}"
    (problem,) = refused(f"{HEAD}  - {step}\n")
    assert problem.endswith("0 points change nothing")


@pytest.mark.parametrize(
    "steps",
    ["  - set: {date: x}\n", "  - wait_for: {on: e, with: {date: x, field: {is: 1}, set: 2}, up_to: 1d}\n",
     "  - webhook: {url: https://x.example, body: {fields: [a], date: b, field: {name: c}}}\n"],
)  # fmt: skip
def test_words_that_look_like_fields_are_none(steps: str) -> None:
    parse(HEAD + steps, fields=["date"])


def test_words_that_yaml_once_read_as_yes_and_no_stay_words() -> None:
    journey = parse(f"{HEAD}  - branch: [{{when: {{country: NO}}, steps: []}}]\n  - tag: yes\n").definition
    assert journey["steps"][0]["branch"][0]["when"] == {"country": "NO"}
    assert journey["steps"][1]["tag"] == "yes"


def test_folded_text_is_read_as_one_line() -> None:
    text = HEAD.replace("enter", "description: >-\n  two\n  lines\nenter") + "  - tag: x\n"
    assert parse(text).journey.description == "two lines"


def test_a_comment_makes_no_new_version_and_a_changed_word_does() -> None:
    text = f"{HEAD}  - tag: x\n"
    assert parse(text).digest == parse(f"# why\n{text}").digest
    assert parse(text).digest != parse(text.replace("tag: x", "tag: y")).digest


@pytest.mark.parametrize("day", ["2026-03-01", "'2026-03-01'", "2026-03-01T09:00:00+08:00", "a 2026-03-01"])
def test_days_and_moments_mean_the_same_in_the_file_and_in_the_records(day: str) -> None:
    steps = f"  - set: {{d: {day}}}\n  - branch: [{{when: {{field: {{name: d, is: {day}}}}}, steps: []}}]\n"
    loaded = parse(HEAD + steps)
    assert Journey.model_validate(loaded.definition) == loaded.journey


@settings(deadline=None, max_examples=60)
@given(maps())
def test_a_published_definition_reads_back_as_the_same_journey(data: Map) -> None:
    loaded = parse(written(data))
    assert Journey.model_validate(loaded.definition) == loaded.journey


@settings(deadline=None, max_examples=60)
@given(maps(), st.data())
def test_whatever_is_done_to_a_map_it_is_read_or_refused(data: Map, draw: st.DataObject) -> None:
    text = written(data)
    at = draw.draw(st.integers(0, len(text)))
    noise = draw.draw(
        st.text(st.sampled_from("\t :-{}[]&*!|>%@`'\"#,?\n\0a1.é\u2028"), max_size=4) | st.text(max_size=3)
    )
    end = at + draw.draw(st.integers(0, 5))
    with_noise(text[:at] + noise + text[end:])


@given(st.text(max_size=200))
@example("a: !!timestamp 2026-01-01 25:00:00")
@example("a: !!int 0x")
@example("? \n")
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with_noise(text)


def with_noise(text: str) -> None:
    with contextlib.suppress(InvalidFile):
        parse(text)


def written(data: Map) -> str:
    out = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(json.loads(json.dumps(data)), out)  # copied, so that nothing is shared and written as an anchor
    return out.getvalue()
