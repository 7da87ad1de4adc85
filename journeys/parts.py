"""The models that a model is made of, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from journeys.places import Location


def fields_of(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The fields of a model, all known: one whose type stands further below in its module is not from the start."""
    model.model_rebuild()
    return model.model_fields


def parts(value: Any, at: Location = ()) -> Iterator[tuple[BaseModel, Location]]:
    """Every model within a value, itself included, in the order of its fields; places are in the words of the file."""
    if isinstance(value, BaseModel):
        yield value, at
        for name, field in fields_of(type(value)).items():
            yield from parts(getattr(value, name), (*at, field.alias or name))
        for name, inner in (value.__pydantic_extra__ or {}).items():
            yield from parts(inner, (*at, name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from parts(item, (*at, number))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from parts(item, (*at, name))
