"""A journey map as boxes and links, worded for people: what every drawing of it is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from journeys.describing import describe_header, describe_option, describe_step, describe_way_in, facets_of, plain
from journeys.places import Location
from journeys.program import Node, Program
from journeys.saying import say
from journeys.steps.effects import Score, Task
from journeys.steps.sends import Send
from journeys.steps.ways import AnyStep, Branch, Finish, Loop, Split, WaitFor, arms_of, kind_of
from records.runs.moves import ENTRY, Traffic

START, END = ":start", ":end"
"""Ids of the two boxes that are no steps; no step id can hold a colon."""
HEADINGS = {
    "email": "Email", "sms": "SMS", "wait": "Wait", "branch": "Branch", "split": "Split", "set": "Set", "tag": "Tag",
    "untag": "Untag", "consent": "Consent", "webhook": "Webhook", "start": "Start journey", "loop": "Again",
    "finish": "End",
}  # fmt: skip
_VARIABLE = re.compile(r"\{\{\s*(?:customer\.)?(\w+)[^}]*\}\}")


@dataclass(frozen=True, slots=True)
class Box:
    """One step. `kind` is the step's kind (`email` and `sms` for sends, `start` and `end` for the two others); `whole`
    says all of what `text` says the gist of. `here` and `passed` count contacts, None where they were not counted."""

    id: str
    kind: str
    heading: str
    text: str
    whole: str
    note: str | None = None
    here: int | None = None
    passed: int | None = None

    @property
    def counted(self) -> str:
        """How many contacts stand here and how many have gone through, if that was asked."""
        if self.passed is None:
            return ""
        return ", ".join([f"{self.here:,} here"] * bool(self.here) + [f"{self.passed:,} through"])


@dataclass(frozen=True, slots=True)
class Link:
    """The way from one box to another, and when it is taken (empty: always). `back` leads to an earlier step."""

    source: str
    target: str
    label: str = ""
    back: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the ways that part at a step: when it is taken, where it leads, and the steps that are its own, with
    their place in the file."""

    label: str
    target: str
    steps: Sequence[AnyStep] = ()
    place: Location = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole map. `facts` are the lines that hold wherever a contact stands: exits, the goal, entering again."""

    title: str
    facts: tuple[str, ...]
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def chart_of(program: Program, traffic: Traffic | None = None) -> Chart:
    """The chart of a map, with who went where: boxes in the order of the file, each with at most one link to any
    other and one back."""
    links: dict[tuple[str, str, bool], list[str]] = {(START, program.first or END, False): [""]}
    for node in program.nodes.values():
        for target, label, back in _ways(node):
            labels = links.setdefault((node.id, target, back), [])
            if label not in labels:
                labels.append(label)
    ways_in = "\nor ".join(map(describe_way_in, program.journey.enter))
    boxes = [Box(START, "enter", "Enter", ways_in, ways_in), *map(_box, program.nodes.values())]
    if any(target == END for _, target, _ in links):
        boxes.append(Box(END, "end", "End", "completed", "completed"))
    if traffic is not None:
        boxes = [_counted(box, traffic) for box in boxes]
    return Chart(
        plain(program.journey.title),
        (*facts(program), *([_came_of(traffic)] if traffic is not None else [])),
        tuple(boxes),
        tuple(Link(source, target, ", or ".join(labels), back) for (source, target, back), labels in links.items()),
    )


def arms(node: Node) -> list[Arm]:
    """The ways that part at a step, in the order of the file; none where there is only one."""
    step = node.step
    own = [(steps, (*node.location, *below)) for below, steps in arms_of(step)]
    match step:
        case WaitFor(wait_for=awaited):
            ways = list(zip(awaited.options, node.arms, strict=False))
            labels = [(describe_option(option), target) for option, target in ways if option.then is not None]
            shared = [(describe_option(option), target) for option, target in ways if option.then is None]
            if shared:
                labels.append((" or ".join(words for words, _ in shared), shared[0][1]))
            else:
                del own[-2]
            labels.append((f"after {awaited.up_to.words()}", node.arms[-1]))
        case Branch():
            labels = [
                ("otherwise" if arm.when is None else say(arm.when), target)
                for arm, target in zip(step.branch, node.arms, strict=True)
            ]
            if not step.branch[-1].otherwise:
                labels.append(("otherwise", node.next))
                own.append(([], ()))
        case Split(split=shares):
            whole = sum(shares.values())
            labels = [
                (f"{name} · {100 * share / whole:.4g}%", target)
                for (name, share), target in zip(shares.items(), node.arms, strict=True)
            ]
        case _:
            return []
    return [
        Arm(plain(label), target or END, steps, place)
        for (label, target), (steps, place) in zip(labels, own, strict=True)
    ]


def facts(program: Program) -> tuple[str, ...]:
    """What holds at every step; the title and the ways in have their own place."""
    journey = program.journey
    usual = {"title", "enter", *({"if_quiet", "if_capped"} - journey.model_fields_set)}
    lines = [line for name, lines in describe_header(journey).items() if name not in usual for line in lines]
    return tuple(line[0].upper() + line[1:] for line in lines if line)


def _came_of(traffic: Traffic) -> str:
    ends = ", ".join(f"{outcome} {count:,}" for outcome, count in traffic.outcomes.items())
    under_way = sum(traffic.here.values())
    return f"{traffic.entered:,} came in, {under_way:,} under way" + (f"; ended: {ends}" if ends else "")


def _counted(box: Box, traffic: Traffic) -> Box:
    waiting = traffic.here.get(ENTRY, 0)
    if box.id == START:
        return replace(box, here=waiting, passed=traffic.entered - waiting)
    if box.id == END:
        return replace(box, here=0, passed=traffic.outcomes.get("completed", 0))
    return replace(box, here=traffic.here.get(box.id, 0), passed=traffic.passed.get(box.id, 0))


def _ways(node: Node) -> list[tuple[str, str, bool]]:
    """Where a step leads, on what condition, and whether that is back; nowhere from the end."""
    match node.step:
        case Finish():
            return []
        case Loop():
            return [(node.arms[0] or END, "again", True), (node.next or END, "", False)]
        case _:
            return [(arm.target, arm.label, False) for arm in arms(node)] or [(node.next or END, "", False)]


def _box(node: Node) -> Box:
    step = node.step
    kind = step.channel if isinstance(step, Send) else kind_of(step) or ""
    heading, text = _words(step, kind)
    return Box(node.id, kind, heading, plain(text), describe_step(step), plain(step.note) if step.note else None)


def _words(step: AnyStep, kind: str) -> tuple[str, str]:
    """The heading and the text of a step's box: the words of `journeys.describing`, without those that its heading or
    its arms say already."""
    said = facets_of(step)
    match step:
        case Send(send=message):
            also = [words for name, words in said.items() if name not in ("send", "transactional", "if_uncertain")]
            heading = HEADINGS[kind] + (" · transactional" if step.transactional else "")
            return heading, ", ".join([message.partition("/")[2], *also])
        case WaitFor(wait_for=awaited):
            gist = said["wait_for"].removeprefix("wait ")
            return f"Wait {said['up_to']}", gist if awaited.any is None else f"for {' or '.join(awaited.events)}"
        case Branch():
            many = len(step.branch) > 1
            return HEADINGS[kind], f"{len(step.branch)} ways, the first that fits" if many else "one way, if it fits"
        case Split():
            return HEADINGS[kind], "by chance, the same for a contact each time"
        case Score(score=points):
            return f"Score {points.points:+d}", points.because
        case Task(task=task):
            title = _VARIABLE.sub(lambda found: f"‹{found[1].replace('_', ' ')}›", task.title)
            return f"Task for {task.queue}", f"{title}, {said['due']}"
        case Finish(finish=outcome):
            return HEADINGS[kind], outcome
        case _:
            first = {"webhook": "call ", "start": "start the journey ", "loop": "go "}.get(kind, f"{kind} ")
            return HEADINGS[kind], ", ".join(words.removeprefix(first) for words in said.values())
