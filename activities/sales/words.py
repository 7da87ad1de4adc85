"""In which words mails to those who sell are written: a file a language, `templates/sales/words/LANGUAGE.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_currency, format_decimal, get_currency_symbol

from journeys.errors import WaymarkError
from journeys.source import Source
from journeys.worktime import WorkWeek

FOLDER = "sales/words"
ALWAYS = "en"
"""The language that Waymark ships whole: what another lacks is said in it."""
_PLACE = re.compile(r"\{([a-z_]+)\}")
_FORMS = {"en": "en_GB"}
"""How days and figures are written where a language is named without a country."""


@dataclass(frozen=True)
class Words:
    """The words of one language, and how it writes days and figures; amounts in a currency (ISO 4217), where the
    workspace names one."""

    language: str
    phrases: Mapping[str, str]
    locale: Locale
    currency: str | None = None

    def __call__(self, key: str, /, **values: object) -> str:
        """A phrase, with what stands in braces filled in. Raises KeyError for one that no language has."""
        return _PLACE.sub(lambda found: str(values[found[1]]), self.phrases[key])

    def day(self, day: date) -> str:
        """A day with its weekday."""
        return format_date(day, "full", self.locale)

    def short_day(self, day: date) -> str:
        """A day without weekday and year."""
        return format_skeleton("MMMd", day, locale=self.locale)

    def weekday(self, day: date) -> str:
        """The name of a day."""
        return format_date(day, "EEEE", self.locale)

    def month(self, month: str) -> str:
        """A month that is written YYYY-MM."""
        year, number = map(int, month.split("-"))
        return format_skeleton("yMMMM", date(year, number, 1), locale=self.locale)

    def moment(self, moment: datetime, week: WorkWeek) -> str:
        """A moment by the clock of whoever reads it."""
        local = moment.astimezone(week.zone)
        zone = week.zone.key if isinstance(week.zone, ZoneInfo) else f"{local:%Z}"
        wall = format_time(local.time(), "short", locale=self.locale)
        return self("moment", day=self.day(local.date()), time=wall, zone=zone.replace("_", " "))

    def short_moment(self, moment: datetime, week: WorkWeek) -> str:
        """A moment without weekday, year and zone."""
        local = moment.astimezone(week.zone)
        wall = format_time(local.time(), "short", locale=self.locale)
        return self("short_moment", day=self.short_day(local.date()), time=wall)

    def country(self, code: str | None) -> str | None:
        """The name of a country."""
        return self.locale.territories.get(code, code) if code else None

    def amount(self, amount: Decimal) -> str:
        """An amount of money; figures behind the point only where there are some."""
        whole = amount == amount.to_integral_value()
        if self.currency is not None:
            pattern = self.locale.currency_formats["standard"].pattern
            pattern = pattern.replace(".00", "") if whole else pattern
            if get_currency_symbol(self.currency, self.locale)[-1].isalpha():
                # Letters stand apart from figures (CLDR, alphaNextToNumber): CHF 1,200.
                pattern = pattern.replace("¤#", "¤\xa0#")
            return format_currency(amount, self.currency, pattern, self.locale, currency_digits=False)
        return format_decimal(amount, "#,##0" if whole else "#,##0.00", self.locale)


class Library:
    """All languages; `folders` are looked through in turn, so that what is shipped stands in for what is not there."""

    def __init__(self, folders: Sequence[Path], default: str, currency: str | None = None) -> None:
        self._folders = folders
        self._default = default
        self._currency = currency

    def words(self, language: str | None) -> Words:
        """The words of a language, or of the nearest there are: zh-CN, zh, the workspace's, English.

        Raises:
            WaymarkError: a file cannot be read.
        """
        chosen = next(tag for tag in _nearest(language, self._default) if tag == ALWAYS or self._has(tag))
        phrases: dict[str, str] = {}
        for tag in (ALWAYS, chosen):
            for folder in reversed(self._folders):
                phrases |= _read(folder / FOLDER / f"{tag}.yaml")
        locale = _locale(language if _base(language) == _base(chosen) else chosen, chosen)
        return Words(chosen, phrases, locale, self._currency)

    def languages(self) -> list[str]:
        """The languages that there are words of."""
        return sorted({file.stem for folder in self._folders for file in (folder / FOLDER).glob("*.yaml")})

    def _has(self, tag: str) -> bool:
        return any((folder / FOLDER / f"{tag}.yaml").is_file() for folder in self._folders)


def _read(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    source = Source.read(file)
    for key, phrase in source.data.items():
        if not isinstance(phrase, str):
            problem = source.problem((key,), "is no phrase: put it in quotes")
            raise WaymarkError(str(problem))
    return dict(source.data)


def _nearest(*tags: str | None) -> Iterator[str]:
    for tag in tags:
        parts = tag.replace("_", "-").split("-") if tag else []
        for length in range(len(parts), 0, -1):
            yield "-".join(parts[:length])
    yield ALWAYS


def _base(tag: str | None) -> str:
    return (tag or "").replace("_", "-").split("-")[0]


def _locale(*tags: str | None) -> Locale:
    for tag in tags:
        if tag:
            try:
                return Locale.parse(_FORMS.get(tag, tag.replace("-", "_")))
            except (UnknownLocaleError, ValueError):
                continue
    return Locale.parse(_FORMS[ALWAYS])
