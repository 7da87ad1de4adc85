"""Random journey maps, as plain data: every one of them is valid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import strategies as st

Map = dict[str, Any]

MESSAGES = st.sampled_from(["email/welcome", "email/brew_guide", "sms/hello"])
EVENTS = st.sampled_from(["email.clicked", "order.placed", "task.done"])
WORDS = st.text("abz 中é-", min_size=1, max_size=8).filter(str.strip)
PROPERTIES = st.sampled_from(["cart", "value", "größe", "a1", "event"])
SCALARS = st.one_of(WORDS, st.booleans(), st.integers(-99, 99), st.dates().map(str), st.floats(-9, 9))
DURATIONS = st.builds("{}{}".format, st.integers(1, 9), st.sampled_from(["m", "h", "d", "w", "mo", "y"]))
SHORT = st.sampled_from(["30m", "1h", "2h"])
TIMES = st.sampled_from(["00:00", "02:30", "09:00", "23:59"])
WEEKDAYS = st.sampled_from(["mon", "sat-mon", ["tue", "fri"], "mon-fri"])
WINDOWS = st.fixed_dictionaries({"from": st.just("09:00"), "to": st.sampled_from(["18:00", "24:00", "02:00"])},
                                optional={"days": WEEKDAYS, "spread": SHORT})  # fmt: skip
POLICIES = st.sampled_from(["wait", "skip"])


def optional(strategy: st.SearchStrategy[Map], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Map]:
    """The mapping, with some of these keys besides."""
    return st.builds(lambda one, other: {**one, **other}, strategy, st.fixed_dictionaries({}, optional=more))


def _some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.lists(strategy, min_size=1, max_size=3)


def _tests(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[Map]:
    """Tests of an event's properties."""
    parts: dict[str, st.SearchStrategy[Any]] = {
        "is": _some(SCALARS), "is_not": _some(SCALARS), "exists": st.booleans(), "contains": WORDS,
        "at_least": st.integers(-9, 9), "below": st.floats(10, 99), "after": st.just("2026-02-01"),
        "before": st.just("2026-03-01"), **more,
    }  # fmt: skip
    whole = st.fixed_dictionaries({}, optional=parts).filter(lambda test: test and not {"is", "same_as"} <= set(test))
    return st.dictionaries(PROPERTIES, st.one_of(_some(SCALARS), whole), max_size=2)


WITH = _tests()
TIED = _tests(same_as=st.sampled_from(["event.cart", "event.größe"]))

LEAVES = st.one_of(
    st.builds(lambda at_least: {"score": {"at_least": at_least}}, st.integers(-9, 99)),
    st.builds(lambda words: {"tag": words}, st.lists(WORDS, min_size=1, max_size=3)),
    st.builds(lambda word: {"stage": word}, WORDS),
    st.builds(lambda channel: {"consent": channel}, st.sampled_from(["email", "sms"])),
    st.builds(lambda value: {"field": {"name": "plan", "is": value}}, SCALARS),
    st.builds(lambda bound: {"field": {"name": "plan", "below": bound}}, st.floats(-1e9, 1e9)),
    st.builds(lambda day: {"field": {"name": "plan", "before": str(day)}}, st.dates()),
    st.builds(lambda name, tests: {"event": {"name": name, "with": tests}}, EVENTS, WITH),
    st.builds(lambda message: {"clicked": message}, MESSAGES),
    st.builds(lambda name: {"segment": name}, _some(st.sampled_from(["at_risk", "vip"]))),
    st.builds(lambda name: {"lifecycle": name}, _some(st.sampled_from(["nurture", "at_risk"]))),
    st.builds(lambda part, bound: {"value": {part: {"at_least": bound}}},
              st.sampled_from(["orders", "revenue", "lifetime_value", "days_since_order"]), st.integers(0, 99)),
    st.builds(lambda part, bound: {"value": {part: {"below": bound}}}, st.sampled_from("rfm"), st.integers(2, 5)),
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

DATES = optional(
    st.just({"date": "customer.renewal_date"}), at=TIMES, offset=st.sampled_from(["-30d", "1w", "2y"]),
    every=st.sampled_from(["once", "year"]), spread=SHORT,
)  # fmt: skip
WAITS = st.one_of(
    DURATIONS,
    st.builds(lambda day: {"until": day}, DATES),
    st.builds(lambda time: {"until": time},
              optional(st.builds(lambda at: {"time": at}, TIMES), weekday=WEEKDAYS, spread=SHORT)),
    optional(st.builds(lambda days: {"working_days": days}, st.integers(1, 9)), at=TIMES, spread=SHORT),
)  # fmt: skip
PLAIN = st.one_of(
    optional(st.builds(lambda message: {"send": message}, MESSAGES), window=WINDOWS | st.just("any"),
             if_quiet=POLICIES, if_capped=POLICIES, transactional=st.booleans()),
    st.builds(lambda wait: {"wait": wait}, WAITS),
    st.builds(lambda points: {"score": {"points": points, "because": "so"}}, st.integers(1, 50)),
    st.builds(lambda value: {"set": {"plan": value}}, st.none() | SCALARS),
    st.builds(lambda tag: {"tag": tag}, WORDS),
    st.builds(lambda tag: {"untag": tag}, WORDS),
    st.builds(lambda granted: {"consent": {"channel": "sms", "granted": granted, "because": "said so"}}, st.booleans()),
    st.just({"task": {"queue": "sales", "title": "Call"}}),
    st.just({"start": "other"}),
    optional(st.just({"url": "https://shop.example/hook"}), fields=st.just(["plan"]),
             body=st.just({"a": ["{{ customer.email }}", 1]})).map(lambda call: {"webhook": call}),
)  # fmt: skip


def _waits(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    one = optional(st.builds(lambda on, up_to: {"on": on, "up_to": up_to}, _some(EVENTS), DURATIONS),
                   message=MESSAGES, **{"with": TIED})  # fmt: skip
    option = optional(st.builds(lambda on: {"on": on}, _some(EVENTS)), message=MESSAGES, then=steps, **{"with": TIED})
    several = st.builds(lambda options, up_to: {"any": options, "up_to": up_to},
                        st.lists(option, min_size=1, max_size=3), DURATIONS)  # fmt: skip

    def whole(awaited: Map, then: list[Map], otherwise: list[Map]) -> Map:
        own = all("then" in option for option in awaited.get("any", [{}]))
        return {"wait_for": awaited, "else": otherwise} | ({} if own else {"then": then})

    return st.builds(whole, one | several, steps, steps)


def _branches(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    arms = st.lists(st.builds(lambda when, steps: {"when": when, "steps": steps}, CONDITIONS, steps), min_size=1,
                    max_size=3)  # fmt: skip
    last = st.none() | st.builds(lambda steps: {"otherwise": True, "steps": steps}, steps)
    return st.builds(lambda arms, last: {"branch": [*arms, *([last] if last else [])]}, arms, last)


def _splits(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    names = st.sampled_from(["a", "b", "c", "control"])
    return st.builds(
        lambda shares, arms: {"split": shares, **{name: arm for name, arm in arms.items() if name in shares}},
        st.dictionaries(names, st.integers(1, 100), min_size=2), st.dictionaries(names, steps),
    )  # fmt: skip


_LOOP = "loops over"


def _loops(steps: st.SearchStrategy[list[Map]]) -> st.SearchStrategy[Map]:
    """Not yet a step: `_numbered` makes it a wait, the steps, and the loop back to the wait."""
    again = optional(st.builds(lambda times: {"at_most": times}, st.integers(1, 3)), when=CONDITIONS)
    return st.builds(lambda again, steps: {_LOOP: steps, "again": again}, again, steps)


STEPS: st.SearchStrategy[list[Map]] = st.recursive(
    st.lists(PLAIN, max_size=4),
    lambda inner: st.lists(
        st.one_of(PLAIN, _waits(inner), _branches(inner), _splits(inner), _loops(inner)), max_size=4
    ),
    max_leaves=6,
)


def _numbered(value: Any, numbers: Iterator[int]) -> Any:
    if isinstance(value, list):
        return [step for item in value for step in _laid_out(item, numbers)]
    if isinstance(value, dict):
        return {key: _numbered(inner, numbers) for key, inner in value.items()}
    return value


def _laid_out(item: Any, numbers: Iterator[int]) -> list[Any]:
    if not isinstance(item, dict) or _LOOP not in item:
        return [_numbered(item, numbers)]
    first = f"round-{next(numbers)}"
    body = _numbered(item[_LOOP], numbers)
    return [{"id": first, "wait": "1d"}, *body, {"loop": {"to": first, **item["again"]}}]


WAYS_IN = st.one_of(
    st.just("api"),
    optional(st.just({"on": "customer.signed_up"}), where=CONDITIONS, **{"with": WITH}),
    optional(st.just({"segment": "at_risk"}), where=CONDITIONS),
    optional(DATES, where=CONDITIONS),
    optional(st.just({"schedule": "0 9 * * mon"}), time_zone=st.just("Asia/Shanghai"), where=CONDITIONS,
             overlap=st.sampled_from(["skip", "all"]), catch_up=SHORT, spread=SHORT),
)  # fmt: skip
EXITS = st.one_of(
    optional(st.builds(lambda on: {"on": on}, EVENTS), **{"with": TIED, "as": st.just("bought")}),
    optional(st.just({"left": "at_risk"}), **{"as": st.just("safe")}),
)


@st.composite
def maps(draw: st.DrawFn) -> Map:
    """A valid map. Some of its ways finish early, but never all of them."""
    steps = _numbered(draw(STEPS), count(1)) or [{"tag": "x"}]
    for step in steps:
        if "then" in step and draw(st.booleans()):
            step["then"] = [*step["then"], {"finish": "early"}]
    goal = optional(st.builds(lambda on: {"on": on}, EVENTS), within=DURATIONS, **{"with": TIED})
    more = {"goal": goal, "holdout": st.sampled_from(["5%", "0.1%"]), "send_window": WINDOWS, "if_quiet": POLICIES,
            "if_capped": POLICIES, "exit": st.lists(EXITS, max_size=2)}  # fmt: skip
    return {
        "journey": "walk",
        "title": "Walk",
        "enter": draw(_some(WAYS_IN)),
        "re_enter": draw(st.sampled_from(["never", "after_exit", "always", {"after": "90d"}])),
        **draw(st.fixed_dictionaries({}, optional=more)),
        "steps": steps,
    }
