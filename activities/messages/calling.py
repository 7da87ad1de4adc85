"""From a webhook step and a customer to the call that leaves: the JSON document, and what is wrong with it before."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, TemplateSyntaxError, nodes
from jinja2.runtime import Undefined

from activities.channels.addresses import Forbidden, Target
from activities.channels.channel import Message
from activities.messages.inspection import Inspection
from activities.messages.rendering import FAULTS, CustomerView, Unrenderable
from activities.messages.sandbox import Sandbox, View, nearest
from journeys.steps.sends import WebhookCall
from records.people.customers import Customer

TYPE = "journey.webhook"
LARGEST = 256 * 1024
"""How many bytes of JSON one call may carry."""
_OURS = ("customer", "journey", "version", "step", "event")
_ROOTS = ("customer", "event")
_OTHER_TEMPLATES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def compose_call(
    call: WebhookCall,
    customer: Customer,
    event: Mapping[str, Any],
    *,
    journey: str,
    version: int,
    step: str,
    key: str,
    at: datetime,
    fields: Iterable[str],
) -> Message:
    """The call of one webhook step.

    `event` holds the properties of the event that brought the customer in, `key` is the touch's, `at` its business
    time, and `fields` are the custom fields that are declared. Of the customer nothing leaves but the ids and the
    fields that the step names.

    Raises:
        Unrenderable: a template fails, a value is nothing that JSON knows, or the document is too large.
    """
    view = CustomerView.of(customer, fields)
    if unknown := [name for name in call.fields if name not in view.fields]:
        raise Unrenderable(f"webhook fields: {_no_field(unknown[0], view)}")
    ours = {
        "customer": {name: view.fields[name] for name in ("id", "external_id", *call.fields)},
        "journey": journey,
        "version": version,
        "step": step,
        "event": dict(event),
    }
    body = {
        name: _filled(value, f"body.{name}", {"customer": view, "event": event}) for name, value in call.body.items()
    }
    moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    # Ours stand first, and whoever takes a map's word for `customer` is not misled.
    document = {"type": TYPE, "timestamp": moment, "data": ours | body | ours}
    return Message(
        key, call.url, None, _written(document), None, customer.locale or "", at, timeout=float(call.timeout)
    )


def body_problems(call: WebhookCall, fields: Iterable[str]) -> list[str]:
    """Everything that would go wrong with a webhook step, found without a customer. Empty means fit to publish."""
    view = CustomerView({}, fields)
    return [*_wrong_address(call.url), *_wrong_fields(call, view), *_wrong_templates(call, view)]


def _filled(value: Any, where: str, context: Mapping[str, Any]) -> Any:
    """A part of the body with its templates filled in."""
    if isinstance(value, Mapping):
        return {str(name): _filled(inner, f"{where}.{name}", context) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, f"{where}[{index}]", context) for index, inner in enumerate(value)]
    try:
        return _plain(_template(value)(context) if isinstance(value, str) else value)
    except FAULTS as error:
        raise Unrenderable(f"webhook {where}: {str(error) or type(error).__name__}") from error


def _plain(value: Any) -> Any:
    """A value as JSON knows it. Raises ValueError, or whatever a value does that is worked out only now."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return str(value)
        case float() if math.isfinite(value):
            return value
        case date():
            return value.isoformat()
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case View():
            raise ValueError("a customer is no value: name one of its fields")
        case Undefined():
            return str(value)  # Which raises, and says what is not there.
        case list() | tuple() | range() | Iterator():
            return [_plain(inner) for inner in value]
    if callable(value):
        name = getattr(value, "__name__", "this")
        raise ValueError(f"{name!r} is a function, not a value: a property of that name is event[{name!r}]")
    raise ValueError(f"{type(value).__name__} {str(value)[:40]!r} cannot be written as JSON")


def _written(document: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Unrenderable(f"webhook: the document cannot be written as JSON: {error}") from error
    if size > LARGEST:
        raise Unrenderable(f"webhook: the document has {size:,} bytes; at most {LARGEST:,}")
    return text


@functools.lru_cache(maxsize=1)
def _sandbox() -> Sandbox:
    return Sandbox()


@functools.lru_cache(maxsize=512)
def _template(source: str) -> Callable[[Mapping[str, Any]], Any]:
    """How to fill in one string. One expression and nothing else, such as `{{ event.cart }}`, is the value itself: a
    list stays a list and a number a number. Anything else is text. Raises TemplateSyntaxError."""
    stripped = source.strip()
    match _sandbox().parse(stripped).body:
        case [nodes.Output(nodes=[node])] if not isinstance(node, nodes.TemplateData) and stripped.endswith("}}"):
            # Without the marks of whitespace control; a minus after a space is the number's own.
            inner = re.sub(r"^{{[-+]?|-?}}$", "", stripped).strip()
            expression = _sandbox().compile_expression(inner, undefined_to_none=False)
            return lambda context: expression(**context)
    template = _sandbox().from_string(source)
    return lambda context: _sandbox().fill(template, context)


def _wrong_address(url: str) -> Iterator[str]:
    if "{{" in url or "{%" in url:
        yield "url: the address of a webhook is the same for everybody; put what varies into the body"
        return
    try:
        Target.parse(url)
    except Forbidden as error:
        yield f"url: {error}"


def _wrong_fields(call: WebhookCall, view: CustomerView) -> Iterator[str]:
    yield from (f"fields: {_no_field(name, view)}" for name in call.fields if name not in view.fields)


def _wrong_templates(call: WebhookCall, view: CustomerView) -> Iterator[str]:
    for name, value in call.body.items():
        if name in _OURS:
            yield f"body.{name}: every call has {name!r} already, choose another name"
        for where, source in _strings(value, f"body.{name}"):
            yield from (f"{where}: {problem}" for problem in _problems(source, view))


def _problems(source: str, view: CustomerView) -> Iterator[str]:
    try:
        _template(source)
    except TemplateSyntaxError as error:
        yield error.message or "cannot be read"
        return
    if any(_sandbox().parse(source).find_all(_OTHER_TEMPLATES)):
        yield "there are no other templates here"
        return
    used = Inspection(Sandbox(DictLoader({"body": source})), Path("webhook")).variables(["body"])
    for root, _, rest in (name.partition(".") for name in sorted(used)):
        if root not in _ROOTS:
            hint = nearest(root, _ROOTS) or f"; known are: {', '.join(_ROOTS)}"
            yield f"there is nothing called {root!r}{hint}"
        elif root == "customer" and rest and rest.partition(".")[0] not in view.fields:
            yield _no_field(rest.partition(".")[0], view)


def _no_field(name: str, view: CustomerView) -> str:
    hint = nearest(name, view.fields) or f"; known are: {', '.join(view.fields)}"
    return f"customer has no {name!r}{hint}"


def _strings(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _strings(inner, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{where}[{index}]")
