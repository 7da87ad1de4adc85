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
PATIENCE = {"connect_timeout": "10", "tcp_user_timeout": "60000"}
"""How long a server is waited for that says nothing: to a connection seconds, to what was sent milliseconds (libpq's
parameters, PostgreSQL's documentation, 32.1.2). Without them a lost packet costs a quarter of an hour."""


def address(url: str) -> URL:
    """The address with our driver and our patience, unless it has its own. Takes `postgresql://`, `postgres://` and
    `postgresql+<any driver>://`.

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
    return parsed.set(drivername=DRIVER).update_query_dict({**PATIENCE, **parsed.query})


def create_engine(url: str, *, pool_size: int = 10, ping: bool = True) -> AsyncEngine:
    """An engine whose sessions run in UTC; `pool_size` connections are kept and as many more lent at peaks.

    `ping` asks a kept connection whether it lives before it is lent. Who tries again anyway, as turns do, saves the
    question: the first failure after an outage lets all dead connections go.
    """
    return create_async_engine(
        address(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=ping,
        # The connection that was lent last knows best what is asked: its statements are prepared.
        pool_use_lifo=True,
        json_serializer=_dumps,
        connect_args={"options": "-c timezone=UTC", "application_name": "waymark"},
    )


def plain(value: Any) -> Any:
    """The value as it is stored in a property: dates as ISO 8601 text, decimals as numbers, the rest as it is.

    Raises:
        ValueError: it is a time without a zone.
        TypeError: it has no form in JSON.
    """
    match value:
        case datetime() if value.utcoffset() is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        case date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(name): plain(part) for name, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(part) for part in value]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{type(value).__name__} cannot be stored in a property")


def _dumps(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
