"""Words for what is wrong with a map: what was found, what is allowed, and the nearest right word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from journeys import conditions, steps
from journeys.nearest import unknown_word
from journeys.program import Location


def place_of(detail: ErrorDetails) -> Location:
    """Where an error stands: an unknown kind of step or condition at its word rather than at its mapping."""
    found = detail["input"]
    if detail["type"] in ("union_tag_not_found", "union_tag_invalid") and isinstance(found, dict) and found:
        return (*detail["loc"], _kind_word(found))
    return detail["loc"]


def _kind_word(found: dict[str, Any]) -> str:
    """The word that was meant to say what a mapping is: the first that every step may not have."""
    return next((key for key in found if key not in steps.Step.model_fields), next(iter(found)))


def words_of(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, for a person who knows maps and not Python; `model` is what the whole file was read as."""
    kind, location = detail["type"], detail["loc"]
    found = detail["input"]
    if kind == "extra_forbidden":
        return unknown_word(str(location[-1]), _allowed_at(location, model), "is not known here")
    if kind == "missing":
        return f"{location[-1]}: is missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        union = steps.KINDS if "kind_of" in str(detail.get("ctx")) else conditions.KINDS
        noun = "step" if union is steps.KINDS else "condition"
        if not isinstance(found, dict) or not found:
            return f"{_quote(found)} is no {noun}: a {noun} is a mapping that begins with one of {', '.join(union)}"
        return unknown_word(_kind_word(found), union, f"is no {noun}")
    if location and location[-1] in _SCALARS:
        return f"{_quote(found)} is not one value: text, a number, true, false or a day"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys = _allowed_at((*location, ""), model)
        return f"{_quote(found)} stands where a mapping is wanted" + (
            f": allowed are {', '.join(keys)}" if keys else ""
        )
    if kind == "too_short":
        return f"{location[-1]}: is empty" if isinstance(location[-1], str) else "is empty"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    if kind == "string_pattern_mismatch":
        return f"{_quote(found)} does not fit: {_PATTERNS.get(detail['ctx']['pattern'], message)}"
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in detail["ctx"]["expected"].replace(" or ", ",").split(",")]
        return unknown_word(str(found), allowed, "is not allowed here")
    return f"{_quote(found)}: {message[0].lower()}{message[1:]}"


_SCALARS = ("bool", "int", "float", "str", "date", "datetime")
_PATTERNS = {
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$": "an event is named in small letters with dots, such as order.placed",
    r"^(email|sms)/[a-z0-9][a-z0-9_-]*$": "a message is named by channel and folder, such as email/welcome",
    r"^[a-z][a-z0-9_]*$": "small letters, digits and underscores, beginning with a letter",
    r"^[a-z0-9][a-z0-9_-]*$": "small letters, digits, hyphens and underscores",
    r"^[A-Z]{2}$": "a country is two capital letters (ISO 3166-1), such as CN or SG",
    r"^customer\.[a-z][a-z0-9_]*$": "a date of the customer, such as customer.renewal_date",
    r"^([0-9]{1,3} working days?|[0-9]{1,4}\s*(mo|m|h|d|w))$": "due is a duration or working days: 4h, 1 working day",
}


def _allowed_at(location: Location, model: Any) -> list[str]:
    """The keys that may stand beside the key at `location`, found by walking the models."""
    kinds: Mapping[str, type[BaseModel]] = steps.KINDS
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = _fields_of(model)
        if part in fields:
            model = _model_in(fields[part].annotation)
            # A field that holds several models is a union; the next part of the location is its tag.
            if model is None:
                kinds = steps.KINDS if part in ("steps", "then", "else") else conditions.KINDS
        else:
            model = kinds.get(part, model)
    return list(_fields_of(model))


def _fields_of(model: Any) -> dict[str, FieldInfo]:
    """The fields of a model by the names that people write."""
    return {field.alias or name: field for name, field in getattr(model, "model_fields", {}).items()}


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    found = [inner for inner in map(_model_in, get_args(annotation)) if inner is not None]
    return found[0] if len({*found}) == 1 else None


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
