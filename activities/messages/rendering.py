"""Templates become messages: which language, which files, and errors that name file and line."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jinja2 import FileSystemLoader, TemplateError, TemplateNotFound, TemplateSyntaxError

from activities.messages.guards import unguarded
from activities.messages.inspection import EMAIL_FILES, Inspection, TemplateProblem
from activities.messages.sandbox import Sandbox, View
from journeys.conditions import STANDARD_FIELDS
from journeys.errors import WaymarkError
from records.people.customers import Customer
from records.people.naming import full_name

__all__ = ["CustomerView", "RenderedEmail", "RenderedSms", "TemplateProblem", "Templates", "render_line"]

_COLUMNS = (*STANDARD_FIELDS, "id", "name", "tags")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
# What a template can do wrong once it runs, beside Jinja's own errors: arithmetic on text, too deep a recursion.
FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class Unrenderable(Exception):
    """The template cannot be filled in as it stands; the message says file, line and why."""


@dataclass(frozen=True, slots=True)
class RenderedEmail:
    """The three parts of a mail, and the locale of the files they came from."""

    subject: str
    html: str
    text: str
    locale: str


@dataclass(frozen=True, slots=True)
class RenderedSms:
    """The text of a message, and the locale of the file it came from."""

    text: str
    locale: str


class CustomerView(View):
    """What templates may read of a customer: standard fields and declared ones; None where nothing is known.

    `tags` is always a tuple, and `name` is the full name. Any other name is an error.
    """

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any], declared: Iterable[str] = ()) -> None:
        """`values` holds columns and declared fields by name; what is neither is left out."""
        fields = {name: None if values.get(name) == "" else values.get(name) for name in (*_COLUMNS, *declared)}
        fields["tags"] = tuple(values.get("tags") or ())
        fields["name"] = full_name(fields["first_name"], fields["last_name"]) or None
        super().__init__(fields)

    @classmethod
    def of(cls, customer: Customer, declared: Iterable[str]) -> Self:
        """The view of a stored customer."""
        columns = {name: getattr(customer, name) for name in (*STANDARD_FIELDS, "id", "tags")}
        return cls({**customer.properties, **columns}, declared)


class Templates:
    """The message templates of one folder: `email/<message>/<locale>/` and `sms/<message>/<locale>.txt`.

    Messages are named with or without their kind in front: `email/welcome` or `welcome`. Files are read again when
    they have changed. Errors are `WaymarkError` with the file and, where one is known, the line.
    """

    def __init__(self, folder: Path, default_locale: str = "en") -> None:
        self.folder = Path(folder)
        self.default_locale = default_locale
        self.sandbox = Sandbox(FileSystemLoader(self.folder))

    def render_email(self, message: str, locale: str | None, context: Mapping[str, Any]) -> RenderedEmail:
        """Fill in subject, HTML and text, in the best locale there is: zh-CN, then zh, then the default one.

        `context` holds `customer` (a `CustomerView`), `links`, `workspace`, `journey` and `event`.
        """
        chosen = self.choose("email", message, locale)
        folder = f"email/{_bare(message)}/{chosen}"
        subject, html, text = (self._render(f"{folder}/{file}", context) for file in EMAIL_FILES)
        subject = " ".join(subject.split())
        if not subject:
            raise WaymarkError(f"{self._shown(folder)}/subject.txt: the subject is empty")
        return RenderedEmail(subject, html, tidy(text), chosen)

    def render_sms(self, message: str, locale: str | None, context: Mapping[str, Any]) -> RenderedSms:
        """Fill in a text message, in the best locale there is."""
        chosen = self.choose("sms", message, locale)
        file = f"sms/{_bare(message)}/{chosen}.txt"
        text = tidy(self._render(file, context)).strip()
        if not text:
            raise WaymarkError(f"{self._shown(file)}: the message is empty")
        return RenderedSms(text, chosen)

    def exists(self, kind: str, message: str) -> bool:
        """Is there a template for this message, in any locale? `kind` is `email` or `sms`."""
        return bool(_NAME.fullmatch(_bare(message))) and bool(self.locales(f"{kind}/{_bare(message)}"))

    def messages(self, kind: str) -> list[str]:
        """All messages of a kind, as maps name them: `email/welcome`."""
        return sorted(f"{kind}/{entry.name}" for entry in _entries(self.folder / kind) if entry.is_dir())

    def locales(self, message: str) -> list[str]:
        """The locales in which a message is written, such as `["en", "zh"]`."""
        kind = _kind(message)
        entries = _entries(self.folder / kind / _bare(message))
        if kind == "email":
            return sorted(entry.name for entry in entries if entry.is_dir())
        return sorted(entry.stem for entry in entries if entry.suffix == ".txt")

    def variables(self, message: str) -> set[str]:
        """The names that a message uses in any locale, such as `customer.first_name`, also through its layouts.

        A file that cannot be read as a template contributes none; `problems` tells why.
        """
        return self._inspection().variables(self._files(message))

    def unguarded(self, message: str) -> dict[str, str]:
        """The fields of the customer that a message names in some locale without a default, each with its place."""
        found = unguarded(self.sandbox, self._files(message))
        return {name: f"{self.folder.name}/{place}" for name, place in found.items()}

    def problems(self, message: str, declared_fields: Iterable[str]) -> list[TemplateProblem]:
        """Everything that would go wrong with a message, found without a customer. Empty means fit to publish."""
        inspection = self._inspection()
        found = self.locales(message) if _NAME.fullmatch(_bare(message)) else []
        if self.default_locale not in found:
            return [
                inspection.absent(_kind(message), _bare(message), self.default_locale, self.messages(_kind(message)))
            ]
        view = CustomerView({}, declared_fields)
        sample = {"customer": view, "workspace": {"name": "W", "address": "A", "url": "U"}, "journey": {"title": "J"}}
        return inspection.problems(self._files(message), view.fields, sample)

    def _inspection(self) -> Inspection:
        return Inspection(self.sandbox, self.folder)

    def _files(self, message: str) -> list[str]:
        kind, name = _kind(message), _bare(message)
        if kind == "sms":
            return [f"sms/{name}/{locale}.txt" for locale in self.locales(message)]
        return [f"email/{name}/{locale}/{file}" for locale in self.locales(message) for file in EMAIL_FILES]

    def choose(self, kind: str, message: str, locale: str | None) -> str:
        """The best locale there is of a message. Raises `WaymarkError` where there is none."""
        name = _bare(message)
        found = {entry.lower(): entry for entry in self.locales(f"{kind}/{name}")} if _NAME.fullmatch(name) else {}
        for candidate in _fallbacks(locale, self.default_locale):
            if candidate.lower() in found:
                return found[candidate.lower()]
        raise WaymarkError(
            f"There is no template {self._shown(f'{kind}/{name}')} in {self.default_locale}",
            hint="Write it, or correct the name in the map; `waymark journeys validate` finds such names.",
        )

    def _render(self, file: str, context: Mapping[str, Any]) -> str:
        try:
            return self.sandbox.fill(self.sandbox.get_template(file), context)
        except TemplateNotFound as error:
            raise WaymarkError(f"{self._shown(str(error.name))} is missing (wanted by {self._shown(file)})") from error
        except TemplateSyntaxError as error:
            raise WaymarkError(f"{self._shown(error.name or file)}:{error.lineno}: {error.message}") from error
        except FAULTS as error:
            place, line = self._place(error, file)
            raise WaymarkError(f"{self._shown(place)}:{line}: {str(error) or type(error).__name__}") from error

    def _place(self, error: BaseException, file: str) -> tuple[str, int]:
        """The innermost line of a template in the error's traceback, which Jinja has rewritten to say so."""
        place, line, trace = file, 1, error.__traceback__
        while trace is not None:
            path = Path(trace.tb_frame.f_code.co_filename)
            if path.is_relative_to(self.folder):
                place, line = str(path.relative_to(self.folder)), trace.tb_lineno
            trace = trace.tb_next
        return place, line

    def _shown(self, file: str) -> str:
        return f"{self.folder.name}/{file}"


def render_line(template: str, context: Mapping[str, Any]) -> str:
    """Fill in one line of a map, such as a task's title. Raises `WaymarkError` quoting it."""
    try:
        return " ".join(_lines().fill(_compiled(template), context).split())
    except FAULTS as error:
        raise WaymarkError(f"{template!r}: {str(error) or type(error).__name__}") from error


@functools.lru_cache(maxsize=1)
def _lines() -> Sandbox:
    return Sandbox()


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> Any:
    return _lines().from_string(template)


def _fallbacks(locale: str | None, default: str) -> Iterator[str]:
    """`zh-Hans-CN` gives zh-Hans-CN, zh-Hans, zh, then the default and its language. Nonsense is skipped."""
    for wanted in (locale or "", default):
        parts = wanted.replace("_", "-").split("-") if _LOCALE.fullmatch(wanted) else []
        for length in range(len(parts), 0, -1):
            yield "-".join(parts[:length])


def _kind(message: str) -> str:
    return "sms" if message.startswith("sms/") else "email"


def _bare(message: str) -> str:
    return message.removeprefix("email/").removeprefix("sms/")


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")] if folder.is_dir() else []


def tidy(text: str) -> str:
    """Blocks that were left out leave blank lines behind: never more than one in a row."""
    return _BLANK_LINES.sub("\n\n", text.strip()) + "\n"
