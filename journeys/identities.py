"""Who is the same person: the rules in `definitions/identity.yaml` by which contacts are joined.

An external id always names one person. An e-mail address and a phone number do, unless the file says otherwise; keys
declared `shared` (a switchboard, a family's address) name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from journeys.conditions import Model
from journeys.source import Source

Kind = Literal["external_id", "email", "phone"]
Key = tuple[str, str]
"""A kind and a value, cleaned as the records keep them: an address in lower case, a number in E.164."""
KINDS: tuple[Kind, ...] = ("external_id", "email", "phone")
"""What can name a person, strongest first."""
_SEPARATORS = re.compile(r"[\s().\-/]")
_E164 = re.compile(r"\+[1-9]\d{5,14}")


def one_spelling(kind: str, value: str) -> str:
    """A key as it is compared: without blanks around it, addresses in lower case, numbers without separators."""
    text = value.replace("\0", "").strip()
    return text.lower() if kind == "email" else _SEPARATORS.sub("", text) if kind == "phone" else text


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """Which keys join: those of the kinds in `join_by` (external ids besides), but for the `shared` ones.

    What does not join may stand on many customers, and is no name by which somebody is recognised.
    """

    join_by: frozenset[str] = frozenset({"email", "phone"})
    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def joins(self, kind: str, value: str) -> bool:
        """Whether whoever has this key is one person."""
        return (kind == "external_id" or kind in self.join_by) and value not in self.shared.get(kind, ())

    def keys(self, stated: Mapping[str, str]) -> list[Key]:
        """The keys that join among stated columns, in the one order in which everybody takes them."""
        return sorted((kind, stated[kind]) for kind in KINDS if stated.get(kind) and self.joins(kind, stated[kind]))

    def sharing(self, stated: Mapping[str, str | None]) -> bool:
        """Whether one of the keys among stated columns does not join, and may stand on others, too."""
        return any((value := stated.get(kind)) and not self.joins(kind, value) for kind in KINDS)

    def joining(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that join, each once, in the one order in which everybody takes them."""
        return sorted({key for key in keys if key[1] and self.joins(*key)})


DEFAULT = IdentityRules()


def _address(text: str) -> str:
    address = one_spelling("email", text)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise ValueError(f"{text!r} is no mail address")
    return address


def _number(text: str) -> str:
    number = one_spelling("phone", text)
    if not _E164.fullmatch(number):
        raise ValueError(f"{text!r} is no phone number with + and the country's code, such as +49 30 901820")
    return number


def _identifier(text: str) -> str:
    if not (identifier := one_spelling("external_id", text)):
        raise ValueError("a blank never joins: leave it out")
    return identifier


class _Shared(Model):
    external_id: list[Annotated[str, AfterValidator(_identifier)]] | None = None
    email: list[Annotated[str, AfterValidator(_address)]] | None = None
    phone: list[Annotated[str, AfterValidator(_number)]] | None = None


class _File(Model):
    """`definitions/identity.yaml`."""

    join_by: list[Kind] | None = Field(default=None)
    shared: _Shared | None = None


def load_identity(path: Path) -> IdentityRules:
    """The rules of a workspace; the usual ones when there is no such file.

    Raises:
        InvalidFile: with every problem found, each with its line and column.
    """
    return _rules(Source.read(path)) if path.exists() else DEFAULT


def parse_identity(text: str, file: str = "identity.yaml") -> IdentityRules:
    """The rules in a text. Raises InvalidFile."""
    return _rules(Source.parse(text, file))


def _rules(source: Source) -> IdentityRules:
    read = source.to(_File)
    join_by = DEFAULT.join_by if read.join_by is None else frozenset(read.join_by) - {"external_id"}
    shared = {kind: frozenset(getattr(read.shared, kind, None) or ()) for kind in KINDS}
    return IdentityRules(join_by, {kind: values for kind, values in shared.items() if values})
