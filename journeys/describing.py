"""A map in words: its steps, the ways of a step, and what holds wherever a contact stands.

The words are complete: two steps that do different things never read the same. What a step contains (the steps of its
arms) and its note are left out. `journeys.difference` compares maps by these words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from journeys.definition import AnyEntry, DateEntry, Entry, EveryFew, Exit, Goal, Journey, ScheduleEntry, SegmentEntry
from journeys.saying import say, say_with
from journeys.sending import WEEKDAYS, Window
from journeys.steps.effects import AddTag, RemoveTag, Score, SetConsent, SetFields, Start, Task, TaskDetails
from journeys.steps.sends import Send, Webhook, WebhookCall
from journeys.steps.waits import CustomerDate, TimeOfDay, Until, Wait, WorkingDays
from journeys.steps.ways import AnyStep, Awaited, Branch, Finish, Loop, Option, Split, WaitFor
from journeys.timing import Duration

Facets = dict[str, str]
"""What can be said of a thing, each part under the name of what it is about, so that two can be compared."""

_AGAIN = {"never": "never", "after_exit": "after leaving", "always": "always"}


def plain(text: str) -> str:
    """Text of a map on one line, without what only steers terminals and printers."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def describe_step(step: AnyStep) -> str:
    """A step in one sentence, such as "wait 2 days" or "branch: if score at least 50; otherwise"."""
    words = ", ".join(facets_of(step).values())
    return f"{words}: {'; '.join(arms_in_words(step))}" if isinstance(step, Branch) else words


def arms_in_words(step: AnyStep) -> list[str]:
    """When each way of a step is taken, in the order of `journeys.steps.arms_of`."""
    match step:
        case WaitFor():
            own = [f"on {describe_option(option)}" for option in step.wait_for.options if option.then is not None]
            return [*own, "then", "else"]
        case Branch():
            return ["otherwise" if arm.when is None else f"if {say(arm.when)}" for arm in step.branch]
        case Split():
            return [f"arm {name}" for name in step.split]
        case _:
            return []


def facets_of(step: AnyStep) -> Facets:
    """What a step does, part by part; what is left to its default is not said."""
    said = _facets(step)
    return {name: plain(words) for name, words in said.items() if words}


def _facets(step: AnyStep) -> Facets:
    match step:
        case Send():
            return _send(step)
        case Wait():
            return _wait(step.wait)
        case WaitFor(wait_for=awaited):
            return {"wait_for": f"wait for {_awaited(awaited)}", "up_to": f"up to {awaited.up_to.words()}"}
        case Branch():
            return {"branch": "branch"}
        case Split(split=shares):
            return {"split": f"split {', '.join(f'{name} {share}' for name, share in shares.items())}"}
        case Score(score=score):
            return {"score": f"score {score.points:+d}", "because": f"because {score.because}"}
        case SetFields(set=fields):
            return {
                f"set {name}": f"clear {name}" if value is None else f"set {name} to {_value(value)}"
                for name, value in fields.items()
            }
        case AddTag(tag=words):
            return {"tag": f"tag {_words(words)}"}
        case RemoveTag(untag=words):
            return {"untag": f"untag {_words(words)}"}
        case SetConsent(consent=change):
            said = "is given" if change.granted else "is withdrawn"
            return {"consent": f"consent to {change.channel} {said}", "because": f"because {change.because}"}
        case Task(task=task):
            return _task(task)
        case Webhook(webhook=call):
            return _webhook(call, step.if_uncertain)
        case Start(start=name):
            return {"start": f"start the journey {name}"}
        case Loop(loop=again):
            return {
                "loop": f"go back to {again.to}",
                "at_most": f"at most {again.at_most} time{'' if again.at_most == 1 else 's'}",
                "when": f"while {say(again.when)}" if again.when is not None else "",
            }
        case Finish(finish=outcome):
            return {"finish": f"finish as {outcome}"}
        case _:  # pragma: no cover - the union is closed
            raise AssertionError(f"{step} has no words")


def _send(step: Send) -> Facets:
    window = step.window
    return {
        "send": f"send {step.send}",
        "transactional": "transactional" if step.transactional else "",
        "window": "" if window is None else "at any hour" if window == "any" else f"only {_window(window)}",
        "if_quiet": _policy("when it may not go at this hour", step.if_quiet),
        "if_capped": _policy("when a cap is reached", step.if_capped),
        "if_uncertain": "" if step.if_uncertain == "hold" else _uncertain(step.if_uncertain),
    }


def _policy(case: str, policy: str | None) -> str:
    return f"{'wait' if policy == 'wait' else 'go on without it'} {case}" if policy else ""


def _uncertain(choice: str) -> str:
    meant = {"hold": "hold the run", "resend": "do it again", "go_on": "go on"}
    return f"{meant[choice]} when it is uncertain whether it went"


def _window(window: Window) -> str:
    return window.words() + _spread(window.spread)


def _spread(over: Duration | None) -> str:
    return f" spread over {over.words()}" if over else ""


def _wait(wait: Duration | Until | WorkingDays) -> Facets:
    match wait:
        case Duration():
            return {"wait": f"wait {wait.words()}"}
        case WorkingDays():
            days = f"wait {wait.working_days} working day{'' if wait.working_days == 1 else 's'}"
            return {"wait": days, "at": f"at {wait.at:%H:%M}" if wait.at else "", "spread": _spread(wait.spread)}
        case Until(until=TimeOfDay() as time):
            days = "" if len(time.days) == len(WEEKDAYS) else f" on {_or([WEEKDAYS[one] for one in sorted(time.days)])}"
            return {"wait": f"wait until {time.time:%H:%M}{days}", "spread": _spread(time.spread)}
        case Until(until=CustomerDate() as day):
            return {"wait": f"wait until {_day(day)}", "spread": _spread(day.spread)}
        case _:  # pragma: no cover - the union is closed
            raise AssertionError(f"{wait} has no words")


def _day(day: CustomerDate) -> str:
    name = f"each anniversary of {day.field}" if day.every == "year" else day.field
    if day.offset.count:
        side = "before" if day.offset.count < 0 else "after"
        name = f"{Duration(abs(day.offset.count), day.offset.unit).words()} {side} {name}"
    return f"{name} at {day.at:%H:%M}"


def _awaited(awaited: Awaited) -> str:
    if awaited.any is None:
        return describe_option(awaited.options[0])
    return _or([describe_option(one) + (" (a way of its own)" if one.then is not None else "") for one in awaited.any])


def describe_option(option: Option) -> str:
    """An event that is waited for, such as "email.clicked on email/welcome"."""
    about = f" on {option.message}" if option.message else ""
    return f"{_or(option.on)}{about}{say_with(option.with_)}"


def _task(task: TaskDetails) -> Facets:
    return {
        "task": f"task for {task.queue}: {task.title}",
        "due": f"due in {task.due}",
        "because": f"because {task.because}" if task.because else "",
        "priority": f"priority {task.priority}" if task.priority else "",
        "rule": f"kept by the rule {task.rule}" if task.rule else "",
    }


def _webhook(call: WebhookCall, if_uncertain: str) -> Facets:
    return {
        "webhook": f"call {call.url}",
        "fields": f"with {', '.join(call.fields)}" if call.fields else "",
        "body": f"saying {_value(call.body)}" if call.body else "",
        "timeout": f"waiting {call.timeout} s at most" if call.timeout != 10 else "",
        "if_uncertain": "" if if_uncertain == "resend" else _uncertain(if_uncertain),
    }


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _words(words: list[str]) -> str:
    return ", ".join(_value(word) if "," in word else word for word in words)


def _or(words: list[str]) -> str:
    return " or ".join(words)


def describe_way_in(way: AnyEntry | str) -> str:
    """How contacts come in, such as "on cart.updated with amount at least 50, if country is DE"."""
    match way:
        case Entry():
            words = f"on {way.on}{say_with(way.with_)}"
        case SegmentEntry():
            words = f"on coming into the segment {way.segment}"
        case DateEntry():
            words = f"on {_day(way)}{_spread(way.spread)}"
        case ScheduleEntry():
            zone = f" in {way.time_zone}" if way.time_zone else ""
            overlap = ", also while the one before still works" if way.overlap == "all" else ""
            late = f", made up for within {way.catch_up.words()}"
            words = f"at the times of {way.schedule}{zone}{overlap}{late}{_spread(way.spread)}"
        case _:
            return "by API or command"
    return plain(f"{words}, if {say(way.where)}" if way.where is not None else words)


def describe_exit(way: Exit) -> str:
    """What ends a run at once, and how it then counts: "on order.placed, as converted"."""
    words = f"on {way.on}{say_with(way.with_)}" if way.on else f"on leaving the segment {way.left}"
    return plain(f"{words}, as {way.outcome}")


def describe_goal(goal: Goal) -> str:
    """What the journey is for: "order.placed within 30 days"."""
    within = f" within {goal.within.words()}" if goal.within else ""
    return plain(f"{goal.on}{say_with(goal.with_)}{within}")


def describe_header(journey: Journey) -> Mapping[str, tuple[str, ...]]:
    """What holds at every step, under the keys of the map: a line for each way in and each exit, one for the rest."""
    rule = journey.re_enter
    again = f"{rule.after.words()} after the last entry" if isinstance(rule, EveryFew) else _AGAIN[str(rule)]
    said = {
        "title": [f"the title: {journey.title}"],
        "enter": [f"comes in {describe_way_in(way)}" for way in journey.enter],
        "re_enter": [f"comes in again: {again}"],
        "exit": [f"leaves at once {describe_exit(way)}" for way in journey.exit],
        "goal": [f"the goal: {describe_goal(journey.goal)}"] if journey.goal else [],
        "holdout": [f"held out: {journey.holdout * 100:.4g}%"] if journey.holdout else [],
        "send_window": [f"messages go {_window(journey.send_window)}"] if journey.send_window else [],
        "if_quiet": [_policy("when a message may not go at this hour", journey.if_quiet)],
        "if_capped": [_policy("when a cap is reached", journey.if_capped)],
    }
    return {name: tuple(plain(line) for line in lines) for name, lines in said.items()}
