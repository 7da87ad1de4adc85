"""Who somebody is, what was said of them, and how their records came together."""

from __future__ import annotations

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from records.tables.columns import (
    Instant,
    json,
    metadata,
    of_customer,
    of_enrolment,
    one_of,
    row_id,
    texts,
    written,
)

_NAME = "(COALESCE(first_name, ''::text) || ' '::text) || COALESCE(last_name, ''::text)"
_LETTERS = "COALESCE(first_name, ''::text) || COALESCE(last_name, ''::text)"
WORDS = (
    f"to_tsvector('simple'::regconfig, translate(\nCASE\n    WHEN octet_length({_LETTERS}) = char_length({_LETTERS}) "
    f"THEN {_NAME}\n    ELSE NORMALIZE(replace(regexp_replace(NORMALIZE({_NAME}, NFD), '[\\u0300-\\u036f]'::text, "
    "''::text, 'g'::text), 'ß'::text, 'ss'::text), NFC)\nEND, '.@/-_&<>øØłŁđĐ'::text, '        oOlLdD'::text))"
)
"""The words of a customer's names without accents, as the index of the search has them; in PostgreSQL's spelling."""
TRAITS = "hash_record_extended(ROW(external_id, email, phone, first_name, last_name), 0::bigint)"
"""What a customer is known by whom no key names, in a figure: many have the same key, and few all of this."""

customers = Table(
    "customers",
    metadata,
    row_id(),
    Column("external_id", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("country", CHAR(2)),
    Column("locale", Text),
    Column("time_zone", Text),
    Column("stage", Text, nullable=False, server_default="new"),
    Column("score", Integer, nullable=False, server_default="0"),
    Column("qualified_at", Instant),
    texts("tags"),
    json("properties"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    written(),
    Column("lifecycle", Text),
    Column("fit", Integer, nullable=False, server_default="0"),
    Column("grade", Text),
    Column("scored_at", Instant),
    Column("owner", Text),
    # Whether one of its keys may be that of others, too: it is not among the identities then, and is looked for here.
    Column("sharing", Boolean, nullable=False, server_default=text("true")),
    Index(None, "external_id", postgresql_where=text("sharing")),
    Index(None, "email", postgresql_where=text("sharing")),
    Index(None, "phone", postgresql_where=text("sharing")),
    Index("ix_customers_traits", text(TRAITS), postgresql_where=text("sharing")),
    Index(None, "written"),
    Index(None, "lifecycle", postgresql_where=text("lifecycle IS NOT NULL")),
    Index("ix_customers_words", text(WORDS), postgresql_using="gin"),
    Index(None, "tags", postgresql_using="gin"),
    Index(None, "properties", postgresql_using="gin", postgresql_ops={"properties": "jsonb_path_ops"}),
)

identities = Table(
    "identities",
    metadata,
    Column("kind", Text, nullable=False),
    # Compared byte by byte, so that its key also answers what begins with something.
    Column("value", Text(collation="C"), nullable=False),
    of_customer(),
    Column("since", Instant, nullable=False),
    # Values differ early, kinds do not: to compare values first is faster.
    PrimaryKeyConstraint("value", "kind"),
    one_of("kind", "external_id", "email", "phone"),
    Index(None, "customer_id"),
)

merges = Table(
    "merges",
    metadata,
    row_id(),
    Column("kept_id", BigInteger, ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
    Column("gone_id", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),
    json("before"),
    Column("undone_at", Instant),
    Column("undone_by", Text),
    Column("told_at", Instant),
    Index(None, "kept_id"),
    Index(None, "gone_id"),
    Index("ix_merges_told_at", "id", postgresql_where=text("told_at IS NULL")),
)

imports = Table(
    "imports",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    json("options"),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    json("report"),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    one_of("kind", "customers", "events"),
    Index("ix_imports_digest", "kind", "digest"),
)

consents = Table(
    "consents",
    metadata,
    row_id(),
    of_customer(),
    Column("channel", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    written(),
    one_of("channel", "email", "sms"),
    Index("ix_consents_latest", "customer_id", "channel", text("at DESC"), text("id DESC")),
    Index(None, "written"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("channel", "address"),
    one_of("channel", "email", "sms"),
    one_of("reason", "bounced", "complained", "unsubscribed", "manual"),
)

changes = Table(
    "changes",
    metadata,
    row_id(),
    of_customer(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("because", Text),
    of_enrolment(),
    Column("at", Instant, nullable=False),
    one_of("kind", "stage", "property", "tag", "untag"),
    Index(None, "customer_id", "at"),
    Index(None, "enrolment_id", postgresql_where=text("enrolment_id IS NOT NULL")),
)
