"""Statements about statements: a table made of a query's rows, and how the server would go about a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, Select, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


@dataclass(frozen=True, slots=True)
class Plan:
    """How the server would find the rows of a query: as it says it (`lines`) and as a tree (`tree`); `cost` is in its
    own unit, `rows` its guess."""

    lines: list[str]
    tree: dict[str, Any]
    cost: float
    rows: int


class _Prefixed(Executable, ClauseElement):
    """A query behind words that make something else of it."""

    inherit_cache = False

    def __init__(self, prefix: str, query: Select[*tuple[Any, ...]]) -> None:
        self.prefix = prefix
        self.query = query


@compiles(_Prefixed)
def _prefixed(element: _Prefixed, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"{element.prefix} {compiler.process(element.query, **kwargs)}"


def create_as(table: Table, query: Select[*tuple[Any, ...]]) -> Executable:
    """A table of this session that holds the rows of a query until the transaction ends. The server reads them side by
    side in several processes, which it does for no INSERT."""
    names = ", ".join(column.name for column in table.c)
    return _Prefixed(f"CREATE TEMPORARY TABLE {table.name} ({names}) ON COMMIT DROP AS", query)


async def explain(db: AsyncConnection, query: Select[*tuple[Any, ...]]) -> Plan:
    """How the server would go about a query. It is not carried out."""
    lines = list((await db.execute(_Prefixed("EXPLAIN", query))).scalars())
    [explained] = (await db.execute(_Prefixed("EXPLAIN (FORMAT JSON)", query))).scalar_one()
    tree: dict[str, Any] = explained["Plan"]
    return Plan(lines, tree, float(tree["Total Cost"]), int(tree["Plan Rows"]))
