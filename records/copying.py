"""Many rows at once by COPY, in its binary format: PostgreSQL has no text to read, and nothing is to be escaped
(PostgreSQL's documentation, COPY, "Binary Format"; each value as the type's receive function takes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

NOTHING = b"\xff\xff\xff\xff"
"""The cell of a column that is NULL."""
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_PIECE = 1 << 18
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_TEXT = 25
"""The number of the type text."""


class Cells(dict[str | None, bytes]):
    """Cells of texts, each made once."""

    def __missing__(self, value: str | None) -> bytes:
        made = self[value] = word(value)
        return made


def word(value: str | None) -> bytes:
    """A text or nothing as a cell."""
    if value is None:
        return NOTHING
    data = value.encode()
    return len(data).to_bytes(4, "big") + data


def number(value: int) -> bytes:
    """A bigint as a cell."""
    return b"\0\0\0\x08" + value.to_bytes(8, "big", signed=True)


def moment(value: datetime) -> bytes:
    """A timestamptz as a cell."""
    return number((value - _EPOCH) // timedelta(microseconds=1))


def truth(value: bool) -> bytes:
    """A boolean as a cell."""
    return b"\0\0\0\x01\x01" if value else b"\0\0\0\x01\0"


def words(values: Sequence[str]) -> bytes:
    """A text[] as a cell."""
    size = len(values).to_bytes(4, "big") + (1).to_bytes(4, "big") if values else b""
    head = (len(values) > 0).to_bytes(4, "big") + bytes(4) + _TEXT.to_bytes(4, "big") + size
    data = head + b"".join([word(value) for value in values])
    return len(data).to_bytes(4, "big") + data


def json(value: str) -> bytes:
    """A jsonb as a cell, from its text."""
    data = value.encode()
    return (len(data) + 1).to_bytes(4, "big") + b"\x01" + data


def fields(count: int) -> bytes:
    """What begins a row of so many cells."""
    return count.to_bytes(2, "big")


def row(*cells: bytes) -> bytes:
    """A row of cells."""
    return fields(len(cells)) + b"".join(cells)


async def copy(db: AsyncConnection, table: str, columns: str, rows: bytes) -> None:
    """Write rows, one behind the other, in the connection's transaction."""
    if not rows:
        return
    driver = (await db.get_raw_connection()).driver_connection
    assert driver is not None
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
    async with driver.cursor() as cursor, cursor.copy(statement) as writing:
        await writing.write(_HEADER)
        for at in range(0, len(rows), _PIECE):
            await writing.write(rows[at : at + _PIECE])
        await writing.write(_TRAILER)
