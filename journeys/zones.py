"""Which time zone a contact lives in."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_of(time_zone: str | None, country: str | None, default: str) -> ZoneInfo:
    """The contact's own zone; else the zone of its country, when the country has just one; else `default`.

    An unknown name counts as none: it was refused at import, and a database that came by another way must not
    stop a journey.
    """
    for name in (time_zone, only_zone(country) if country else None, default):
        zone = _zone(name) if name else None
        if zone is not None:
            return zone
    return ZoneInfo("UTC")


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def only_zone(country: str) -> str | None:
    """The zone of a country (ISO 3166-1 alpha-2) that has only one, after the IANA database's zone.tab."""
    zones = _zones_by_country().get(country, ())
    return zones[0] if len(zones) == 1 else None


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    zones: dict[str, tuple[str, ...]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones[country] = (*zones.get(country, ()), name)
    return zones
