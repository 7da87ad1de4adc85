"""Random journey maps, as plain data: every one of them is valid."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Map = dict[str, Any]

MESSAGES = st.sampled_from(["email/welcome", "email/brew_guide", "sms/hello"])
EVENTS = st.sampled_from(["email.clicked", "order.placed", "task.done"])
WORDS = st.text("abz 中é-", min_size=1, max_size=8).filter(str.strip)
PROPERTIES = st.sampled_from(["cart", "value", "größe", "a1"])
SCALARS = st.one_of(WORDS, st.booleans(), st.integers(-99, 99), st.dates().map(str), st.floats(-9, 9))
DURATIONS = st.builds("{}{}".format, st.integers(1, 9), st.sampled_from(["m", "h", "d", "w", "mo", "y"]))

LEAVES = st.one_of(
    st.builds(lambda at_least: {"score": {"at_least": at_least}}, st.integers(-9, 99)),
    st.builds(lambda words: {"tag": words}, st.lists(WORDS, min_size=1, max_size=3)),
    st.builds(lambda word: {"stage": word}, WORDS),
    st.builds(lambda channel: {"consent": channel}, st.sampled_from(["email", "sms"])),
    st.builds(lambda value: {"field": {"name": "plan", "is": value}}, SCALARS),
    st.builds(lambda bound: {"field": {"name": "plan", "below": bound}}, st.floats(-1e9, 1e9)),
    st.builds(lambda day: {"field": {"name": "plan", "before": str(day)}}, st.dates()),
    st.builds(lambda name, tests: {"event": {"name": name, "with": tests}}, EVENTS,
              st.dictionaries(PROPERTIES, SCALARS, max_size=2)),
    st.builds(lambda message: {"clicked": message}, MESSAGES),
)  # fmt: skip
CONDITIONS: st.SearchStrategy[Map] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)

PLAIN = st.one_of(
    st.builds(lambda message: {"send": message}, MESSAGES),
    st.builds(lambda duration: {"wait": duration}, DURATIONS),
    st.builds(lambda at: {"wait": {"until": {"date": "customer.renewal_date", "at": at}}},
              st.sampled_from(["00:00", "09:00", "23:59"])),
    st.builds(lambda points: {"score": {"points": points, "because": "so"}}, st.integers(1, 50)),
    st.builds(lambda value: {"set": {"plan": value}}, st.none() | SCALARS),
    st.builds(lambda tag: {"tag": tag}, WORDS),
    st.builds(lambda tag: {"untag": tag}, WORDS),
    st.just({"task": {"queue": "sales", "title": "Call"}}),
)  # fmt: skip


def _waits(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    return st.builds(
        lambda on, up_to, then, otherwise: {"wait_for": {"on": on, "up_to": up_to}, "then": then, "else": otherwise},
        EVENTS, DURATIONS, steps, steps,
    )  # fmt: skip


def _branches(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    arms = st.lists(st.builds(lambda when, steps: {"when": when, "steps": steps}, CONDITIONS, steps), min_size=1,
                    max_size=3)  # fmt: skip
    last = st.none() | st.builds(lambda steps: {"otherwise": True, "steps": steps}, steps)
    return st.builds(lambda arms, last: {"branch": [*arms, *([last] if last else [])]}, arms, last)


def _finishing(steps: list[Map], outcome: str | None) -> list[Map]:
    return [*steps, {"finish": outcome}] if outcome else steps


STEPS: st.SearchStrategy[list[Map]] = st.recursive(
    st.lists(PLAIN, max_size=4),
    lambda inner: st.lists(st.one_of(PLAIN, _waits(inner), _branches(inner)), max_size=4),
    max_leaves=6,
)


@st.composite
def maps(draw: st.DrawFn) -> Map:
    """A valid map. Some of its ways finish early, but never all of them."""
    steps = draw(STEPS) or [{"tag": "x"}]
    for step in steps:
        if "wait_for" in step and draw(st.booleans()):
            step["then"] = _finishing(step["then"], "early")
    return {
        "journey": "walk",
        "title": "Walk",
        "enter": draw(st.sampled_from(["api", {"on": "customer.signed_up"}])),
        "re_enter": draw(st.sampled_from(["never", "always", {"after": "90d"}])),
        "exit": draw(st.sampled_from([[], [{"on": "order.placed", "as": "bought"}]])),
        "steps": steps,
    }
