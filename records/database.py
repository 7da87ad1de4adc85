"""The way into PostgreSQL: one engine a process, on psycopg 3."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from journeys.errors import WaymarkError

DRIVER = "postgresql+psycopg"


def address(url: str) -> URL:
    """The address with our driver. Takes `postgresql://`, `postgres://` and `postgresql+<any driver>://`.

    Raises `WaymarkError` for anything else.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise WaymarkError(
            "The database address is not one of PostgreSQL.",
            hint="Write it as postgresql://user:password@host:5432/waymark",
        )
    return parsed.set(drivername=DRIVER)


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine whose sessions run in UTC; `pool_size` connections are kept and as many more lent at peaks."""
    return create_async_engine(
        address(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        json_serializer=_dumps,
        connect_args={"options": "-c timezone=UTC", "application_name": "waymark"},
    )


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Dates and decimals in properties: ISO 8601 text and numbers, the forms that conditions compare."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a property")
