"""Words for what is wrong with a map: what was found, what is allowed, and the nearest right word."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from journeys import conditions
from journeys.nearest import unknown_word
from journeys.parts import fields_of
from journeys.places import Location
from journeys.steps import step, ways

WAYS_IN = ("on", "segment", "date", "schedule")


def place_of(detail: ErrorDetails, model: type[BaseModel]) -> Location:
    """Where an error stands: an unknown kind of step or condition at its word rather than at its mapping, and what is
    missing in the mapping that misses it."""
    found, place = detail["input"], _without_tags(detail["loc"], model)
    if detail["type"] in ("union_tag_not_found", "union_tag_invalid") and isinstance(found, dict) and found:
        return (*place, _kind_word(found))
    return place[:-1] if detail["type"] == "missing" else place


def _without_tags(location: Location, model: type[BaseModel]) -> Location:
    """A location without the tags of unions, which stand nowhere in the file; as far as the models tell them."""
    found: list[Any] = [model]
    place: list[int | str] = []
    for part in location:
        if not any(tag == part for one in found for tag, _ in _kinds(one)):
            place.append(part)
        found = [inner for one in found for inner in _below(one, part)]
    return tuple(place)


def is_within(detail: ErrorDetails) -> bool:
    """Whether the place means what stands there rather than the word before it."""
    return detail["type"] == "missing"


def _kind_word(found: dict[str, Any]) -> str:
    """The word that was meant to say what a mapping is: the first that not every step may have."""
    return next((key for key in found if key not in step.Step.model_fields), next(iter(found)))


def words_of(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, for a person who knows maps and not Python; `model` is what the whole file was read as."""
    kind, location, found = detail["type"], detail["loc"], detail["input"]
    context = detail.get("ctx") or {}
    if kind == "extra_forbidden":
        return _unknown(str(location[-1]), _allowed_at(location[:-1], model), "is not known here")
    if kind == "missing":
        return f"{location[-1]}: is missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        noun, allowed = _union(str(context))
        if not isinstance(found, dict) or not found:
            return f"{quote(found)} is no {noun}: a {noun} is a mapping that begins with one of {', '.join(allowed)}"
        return _unknown(_kind_word(found), allowed, f"is no {noun}")
    if location and kind in _SCALARS.get(str(location[-1]), ()):
        return f"{quote(found)} is not one value: text, a number, true, false or a day"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys = _allowed_at(location, model)
        return f"{quote(found)} stands where a mapping is wanted" + (f": allowed are {', '.join(keys)}" if keys else "")
    if kind in ("too_short", "string_too_short"):
        least, what = context.get("min_length", 1), f"{location[-1]}: " if isinstance(location[-1], str) else ""
        return f"{what}is empty" if least == 1 else f"{what}needs at least {least}"
    if kind in ("too_long", "string_too_long"):
        count, unit = len(found), " characters" if isinstance(found, str) else ""
        return f"has {count:,}{unit}; at most {context['max_length']:,}"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    if kind == "string_pattern_mismatch":
        return f"{quote(found)} does not fit: {_PATTERNS.get(context['pattern'], message)}"
    if kind == "literal_error":
        words = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        return _unknown(_plain(found), [_YAML.get(word, word) for word in words], "is not allowed here")
    if kind in _BOUNDS:
        words_, key = _BOUNDS[kind]
        bound = context[key]
        return f"{quote(found)} is too {words_} {int(bound) if bound == int(bound) else bound:,}"
    if kind in _TYPES:
        return f"{quote(found)} stands where {_TYPES[kind]} is wanted" + (
            ": put it in quotes" if kind == "string_type" and isinstance(found, int | float) else ""
        )
    return f"{quote(found)}: {message[0].lower()}{message[1:]}"


def _union(discriminator: str) -> tuple[str, Iterable[str]]:
    """What a mapping of several kinds is called, and the words that it may begin with."""
    if "kind_of" in discriminator:
        return "step", ways.KINDS
    if "_way_of" in discriminator:
        return "way in", WAYS_IN
    return "condition", conditions.KINDS


_SCALARS = {
    "bool": ("bool_type", "bool_parsing"),
    "int": ("int_type", "int_parsing", "int_from_float"),
    "float": ("float_type", "float_parsing"),
    "str": ("string_type",),
    "date": ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
    "datetime": ("datetime_type", "datetime_parsing", "datetime_from_date_parsing"),
}
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "list_type": "a list",
}  # fmt: skip
_BOUNDS = {
    "greater_than_equal": ("small: at least", "ge"),
    "less_than_equal": ("large: at most", "le"),
    "greater_than": ("small: more than", "gt"),
    "less_than": ("large: less than", "lt"),
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$": "an event is named in small letters with dots, such as order.placed",
    r"^(email|sms)/[a-z0-9][a-z0-9_-]*$": "a message is named by channel and folder, such as email/welcome",
    r"^[a-z][a-z0-9_]*$": "small letters, digits and underscores, beginning with a letter",
    r"^[a-z0-9][a-z0-9_-]*$": "small letters, digits, hyphens and underscores",
    r"^[A-Z]{2}$": "a country is two capital letters (ISO 3166-1), such as CN or SG",
    r"^customer\.[a-z][a-z0-9_]*$": "a date of the customer, such as customer.renewal_date",
    r"^([0-9]{1,3} working (day|hour|minute)s?|[0-9]{1,4}\s*(mo|m|h|d|w))$": "due is such as 4h, 2 working hours",
    r"^\w+$": "a property is named by letters, digits and underscores",
    r"^event\.\w+$": "a property of the event that brought the contact in, such as event.cart",
}
_MEANT = {"event": "on", "cron": "schedule", "where": "with", "with": "where", "if": "when", "zone": "time_zone",
          "until": "when", "else": "otherwise"}  # fmt: skip
"""Words that mean the right thing in the wrong place, where spelling would suggest another."""
_YAML = {"None": "nothing", "True": "true", "False": "false"}


def _unknown(word: str, allowed: Iterable[str], what: str) -> str:
    words = list(allowed)
    meant = _MEANT.get(word)
    if meant in words:
        return f"{word!r} {what}; did you mean {meant!r}? allowed: {', '.join(words)}"
    return unknown_word(word, words, what)


def _allowed_at(location: Location, model: type[BaseModel]) -> list[str]:
    """The keys that may stand in the mapping at `location`, found by walking the models."""
    found: list[Any] = [model]
    for part in location:
        found = [inner for one in found for inner in _below(one, part)]
    keys = [key for one in found for kind in _models(one) for key in _annotations(kind)]
    return list(dict.fromkeys(keys))


def _below(annotation: Any, part: int | str) -> Iterator[Any]:
    """What may stand under a key, at a list's position, or, in a union, behind the tag of one of its kinds."""
    if hasattr(annotation, "model_fields"):
        if part in (known := _annotations(annotation)):
            yield known[str(part)]
        elif annotation.model_config.get("extra") == "allow":
            yield list[ways.AnyStep]
    elif get_origin(annotation) in (Union, types.UnionType, Annotated):
        kinds = list(_kinds(annotation))
        tagged = [inner for tag, inner in kinds if tag == part]
        yield from tagged or [below for _, inner in kinds for below in _below(inner, part)]
    elif get_origin(annotation) in (list, dict, tuple):
        yield from get_args(annotation)[-1:]


def _kinds(annotation: Any, tag: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """The members of a union, each with its tag."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        tag = next((note.tag for note in notes if isinstance(note, Tag)), tag)
        yield from _kinds(inner, tag)
    elif get_origin(annotation) in (Union, types.UnionType):
        for inner in get_args(annotation):
            yield from _kinds(inner, tag)
    else:
        yield tag, annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    return (inner for _, inner in _kinds(annotation) if hasattr(inner, "model_fields"))


def _annotations(model: type[BaseModel]) -> Mapping[str, Any]:
    """The fields of a model by the names that people write."""
    return {field.alias or name: field.annotation for name, field in fields_of(model).items()}


def quote(value: object) -> str:
    """A value as it stands in the file, cut where it is long."""
    text = _YAML.get(str(value), repr(value)) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: object) -> str:
    return _YAML.get(str(value), str(value))
