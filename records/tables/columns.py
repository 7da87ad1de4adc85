"""What tables are made of: the types and columns that many have."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import UserDefinedType

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment (`timestamptz`). A naive datetime is refused, because it names no moment."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.utcoffset() is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        return value


class Transaction(UserDefinedType[str]):
    """A transaction of the server (`xid8`), as text: the records are asked which of them an evaluation has seen."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def row_id() -> Column[int]:
    return Column("id", BigInteger, Identity(), primary_key=True)


def of_customer() -> Column[int]:
    # Erasing a customer takes all that hangs on it along.
    return Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="CASCADE"), nullable=False)


def of_enrolment() -> Column[int]:
    return Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"))


def written() -> Column[str]:
    # Kept by a trigger where rows are updated: who could have changed since a moment is answered from its index.
    return Column("written", Transaction(), nullable=False, server_default=text("pg_current_xact_id()"))


def shown(table: Table) -> list[Column[Any]]:
    """The columns of a table that say something about its row, without those that only finding it needs."""
    return [column for column in table.c if column.name not in ("written", "sharing")]


def json(name: str) -> Column[Any]:
    return Column(name, JSONB(none_as_null=True), nullable=False, server_default=text("'{}'::jsonb"))


def texts(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))


def one_of(column: str, *allowed: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in allowed)})", name=column)
