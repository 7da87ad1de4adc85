"""What somebody tells us about a person, and how it is cleaned before it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from records.database import plain

IDENTIFIERS = ("external_id", "email", "phone")
"""What names one customer, strongest first."""
COLUMNS = (*IDENTIFIERS, "first_name", "last_name", "country", "locale", "time_zone", "stage")
"""The columns that contacts and journeys may set; every other field is a property."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What is said of a customer; None means not said. Email and phone come normalised (E.164)."""

    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    country: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    stage: str | None = None
    tags: Iterable[str] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    consents: Mapping[str, bool] = field(default_factory=dict)

    def columns(self) -> dict[str, str]:
        """The columns that it states, cleaned."""
        cleaned = {name: clean_column(name, getattr(self, name)) for name in COLUMNS}
        return {name: value for name, value in cleaned.items() if value is not None}

    def stated_properties(self) -> dict[str, Any]:
        """The properties that it states, cleaned."""
        cleaned = {name: clean_property(value) for name, value in self.properties.items()}
        return {name: value for name, value in cleaned.items() if value is not None}

    def stated_tags(self) -> list[str]:
        """Its tags, cleaned, each once."""
        return list(dict.fromkeys(word for tag in self.tags if (word := clean_text(tag))))


def clean_text(value: object) -> str | None:
    """The text without blanks around it; None when nothing is left. PostgreSQL stores no NUL characters."""
    return (str(value).replace("\0", "").strip() or None) if value is not None else None


def clean_column(name: str, value: object) -> str | None:
    """The value of a column in its one spelling: emails in lower case, CN, zh-CN."""
    text = clean_text(value)
    if text is None:
        return None
    match name:
        case "email":
            return text.lower()
        case "country":
            return text.upper()
        case "locale":
            return text.replace("_", "-")
        case _:
            return text


def clean_property(value: object) -> Any:
    """The value of a property as JSON keeps it; None when it is blank."""
    return clean_text(value) if isinstance(value, str) else plain(value)
