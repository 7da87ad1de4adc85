"""Messages that may never go: no hour is open, or nobody said what consent they need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from journeys.places import Location
from journeys.program import Program
from journeys.sending import SendingRules, Window, next_open
from journeys.steps.sends import Send

Said = tuple[Location, str]
_ANY_DAY = datetime(2026, 1, 5, tzinfo=UTC)
"""Windows and quiet hours repeat by the week: it matters to none of them when one begins to look."""


def sending_problems(program: Program, rules: SendingRules) -> Iterator[Said]:
    """Messages for which there is no hour, or no rule of consent."""
    for node, send in program.sends():
        if send.transactional:
            continue
        if rules.consent_rule(send.channel) is None:
            yield (
                (*node.location, "send"),
                f"there is no consent rule for {send.channel}: name the channel in definitions/sending.yaml",
            )
        elif not _opens(program, send, rules, None):
            yield (
                _window_at(program, send, node.location),
                (
                    f"there is no hour in which {send.send} may go: {_window(program, send)} and the quiet hours of "
                    f"{send.channel} ({_quiet(rules, send, None)}) leave none"
                ),
            )


def sending_remarks(program: Program, rules: SendingRules) -> Iterator[Said]:
    """Messages that contacts of some country never get."""
    for node, send in program.sends():
        channel = next((one for name, one in rules.channels.items() if name == send.channel), None)
        if send.transactional or channel is None or not _opens(program, send, rules, None):
            continue
        shut = [country for country in sorted(channel.countries) if not _opens(program, send, rules, country)]
        if shut:
            yield (
                _window_at(program, send, node.location),
                (
                    f"contacts in {', '.join(shut)} never get {send.send}: {_window(program, send)} and their "
                    f"quiet hours ({_quiet(rules, send, shut[0])}) leave no hour"
                ),
            )


def _opens(program: Program, send: Send, rules: SendingRules, country: str | None) -> bool:
    return next_open(_ANY_DAY, UTC, _hours(program, send), rules.quiet_hours(send.channel, country)) is not None


def _hours(program: Program, send: Send) -> Window | None:
    own = send.window if send.window is not None else program.journey.send_window
    return own if isinstance(own, Window) else None


def _window_at(program: Program, send: Send, at: Location) -> Location:
    if isinstance(send.window, Window):
        return (*at, "window")
    return ("send_window",) if _hours(program, send) is not None else (*at, "send")


def _window(program: Program, send: Send) -> str:
    hours = _hours(program, send)
    return f"its window ({hours.words()})" if hours else "any hour"


def _quiet(rules: SendingRules, send: Send, country: str | None) -> str:
    return "; ".join(one.words() for one in rules.quiet_hours(send.channel, country)) or "none"
