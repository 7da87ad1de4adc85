"""What is wrong with a broadcast's messages and subjects, found before anybody gets one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import TemplateSyntaxError, nodes

from activities.messages.inspection import dotted
from activities.messages.rendering import CustomerView, Templates
from journeys.broadcast_files import LoadedBroadcast
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.source import Problem


def problems(one: LoadedBroadcast, templates: Templates, fields: Iterable[str]) -> list[Problem]:
    """Everything, each at its place in the file; `fields` are the custom fields that templates may name."""
    fields = set(fields)
    found = [
        one.source.problem(place, f"{message}: {problem}")
        for message, place in one.places
        for problem in templates.problems(message, fields)
    ]
    trial = one.broadcast.ab
    if found or trial is None or trial.subjects is None:
        return found
    message = one.broadcast.message(None)
    written = templates.locales(message)
    for arm, said in trial.subjects.items():
        place: Location = ("ab", "subjects", arm)
        if isinstance(said, str):
            found += [one.source.problem(place, told) for told in _wrong(said, templates, fields)]
            continue
        if lacking := [locale for locale in written if locale not in said]:
            found.append(one.source.problem(place, f"{message} is written in {', '.join(lacking)} too: say it in each"))
        for locale, line in said.items():
            if locale not in written:
                told = unknown_word(locale, written, f"is no locale in which {message} is written")
                found.append(one.source.problem((*place, locale), told))
            found += [one.source.problem((*place, locale), told) for told in _wrong(line, templates, fields)]
    return found


def _wrong(line: str, templates: Templates, fields: Iterable[str]) -> Iterator[str]:
    """What is wrong with a subject."""
    try:
        tree = templates.sandbox.parse(line)
    except TemplateSyntaxError as error:
        yield f"{error.message}"
        return
    known = sorted(CustomerView({}, fields).fields)
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        root, _, name = (dotted(node) or "").partition(".")
        if root == "customer" and name not in known:
            yield unknown_word(name, known, "is no field of a customer")
