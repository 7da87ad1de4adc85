"""Many rows at once by COPY, in its text format (PostgreSQL's documentation, COPY, "Text Format")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

NOTHING = "\\N"
_PIECE = 1 << 18
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def escaped(text: str) -> str:
    """The text as a cell of a line."""
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPED)


def cell(value: str | None) -> str:
    """A text or nothing as a cell of a line."""
    return NOTHING if value is None else escaped(value)


def texts(values: Sequence[str]) -> str:
    """An array of texts as a cell of a line."""
    if not values:
        return "{}"
    return escaped("{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + "}")


async def copy(db: AsyncConnection, table: str, columns: str, lines: Iterable[str]) -> None:
    """Write rows, each a line of cells with tabs between them, in the connection's transaction."""
    data = "\n".join(lines).encode()
    if not data:
        return
    driver = (await db.get_raw_connection()).driver_connection
    assert driver is not None
    async with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as writing:
        for at in range(0, len(data), _PIECE):
            await writing.write(data[at : at + _PIECE])
        await writing.write(b"\n")
