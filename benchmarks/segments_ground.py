"""A million customers and what happened to them, the same ones every time: the ground that segments are measured on.

Few customers have many events and most have few; some events are common and some rare; they came in over two years,
in the order in which they happened.
"""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

NOW = datetime(2026, 11, 1, tzinfo=UTC)
"""When the segments are asked for; the last event of the ground happened a moment before."""

WRITTEN = [
    "{event: {name: cart.updated, within: 3d}}",
    "{all: [{event: {name: cart.updated, within: 7d}}, {event: {name: order.placed, at_most: 0, within: 7d}}]}",
    "{event: {name: order.placed, at_least: 5}}",
    "{event: {name: order.placed, within: 30d, with: {value: {at_least: 200}}}}",
    "{all: [{tag: subscriber}, {event: {name: email.opened, at_most: 0, within: 3mo}}]}",
    "{all: [{tag: subscriber}, {event: {name: email.clicked, at_least: 3, within: 2mo}}]}",
    "{all: [{country: [DE, FR]}, {event: {name: order.placed, within: 90d}}]}",
    "{all: [{country: CN}, {field: {name: plan, is: office}}]}",
    "{all: [{score: {at_least: 60}}, {event: {name: order.placed, at_most: 0}}]}",
    "{all: [{field: {name: lifetime_value, at_least: 1500}}, {not: {event: {name: order.placed, within: 6mo}}}]}",
    "{event: {name: page.viewed, at_least: 20, within: 30d}}",
    "{all: [{stage: new}, {event: {name: page.viewed, at_least: 5, within: 14d}}, {not: {tag: subscriber}}]}",
    "{any: [{event: {name: email.clicked, within: 7d}}, {event: {name: cart.updated, within: 7d}}]}",
    "{not: {event: {name: page.viewed, within: 1y}}}",
    "{all: [{field: {name: plan, is: home}}, {event: {name: order.placed, at_least: 2, at_most: 2}}]}",
    "{all: [{field: {name: company, contains: 'company 77'}}, {event: {name: page.viewed, within: 30d}}]}",
    "{all: [{country: US}, {any: [{score: {at_least: 80}}, {event: {name: order.placed, at_least: 8}}]}]}",
    "{event: {name: email.opened, within: 1d}}",
    "{all: [{consent: email}, {event: {name: email.opened, at_least: 2, within: 30d}}]}",
    "{all: [{tag: subscriber}, {not: {any: [{event: {name: order.placed, within: 60d}}, {country: SG}]}}]}",
]
"""Whom segments mean that people write: with the shipped ones, what a company has."""

_DRAW = """
CREATE OR REPLACE FUNCTION pg_temp.draw(n bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE
    RETURN (hashint8extended(n, salt) & 1048575) / 1048576.0
"""
_CUSTOMERS = """
INSERT INTO customers (external_id, email, first_name, country, locale, stage, score, tags, properties,
                       created_at, updated_at)
SELECT 'c' || n, 'c' || n || '@example.com', 'Name ' || n,
       (ARRAY['US', 'CN', 'DE', 'GB', 'FR', 'SG'])[1 + floor(6 * pg_temp.draw(n, 1) ^ 2)::int], 'en',
       CASE WHEN pg_temp.draw(n, 2) < 0.7 THEN 'new' ELSE 'customer' END, (100 * pg_temp.draw(n, 3) ^ 3)::int,
       CASE WHEN pg_temp.draw(n, 4) < 0.1 THEN '{subscriber}'::text[] ELSE '{}' END,
       jsonb_build_object(
           'plan', (ARRAY['home', 'team', 'office'])[1 + floor(3 * pg_temp.draw(n, 5) ^ 2)::int],
           'company', 'Company ' || n %% 50000, 'lifetime_value', (2000 * pg_temp.draw(n, 6) ^ 4)::int),
       %(now)s - interval '2 years', %(now)s - interval '1 year'
FROM generate_series(1, %(customers)s::bigint) n
"""
_EVENTS = """
INSERT INTO events (customer_id, name, occurred_at, received_at, key, value, properties, routed_at)
SELECT 1 + (floor(%(customers)s * pg_temp.draw(n, 11) ^ 2)::bigint * 7919) %% %(customers)s, name, at, at, 'k' || n,
       CASE WHEN name = 'order.placed' THEN 5 + (300 * pg_temp.draw(n, 12) ^ 3)::int END,
       jsonb_build_object('source', 'web', 'page', n %% 977), at
FROM (SELECT n, %(now)s - interval '2 years' * (1 - n / %(events)s::double precision) AS at,
             (ARRAY['page.viewed', 'page.viewed', 'page.viewed', 'page.viewed', 'email.opened', 'email.opened',
                    'order.placed', 'order.placed', 'cart.updated', 'email.clicked']
             )[1 + floor(10 * pg_temp.draw(n, 13))::int] AS name
      FROM generate_series(1, %(events)s::bigint) n)
"""
_MORE = """
INSERT INTO events (customer_id, name, occurred_at, received_at, key, value, properties, routed_at)
SELECT 1 + (floor(%(customers)s * pg_temp.draw(n, 21) ^ 2)::bigint * 7919) %% %(customers)s, name, %(now)s, %(now)s,
       'more' || n, CASE WHEN name = 'order.placed' THEN 20 END, '{}', %(now)s
FROM (SELECT n, (ARRAY['page.viewed', 'page.viewed', 'page.viewed', 'page.viewed', 'email.opened', 'email.opened',
                       'order.placed', 'order.placed', 'cart.updated', 'email.clicked']
             )[1 + floor(10 * pg_temp.draw(n, 22))::int] AS name
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) n)
"""


def fill(db: psycopg.Connection, customers: int, events: int) -> None:
    """Fill an empty migrated database. Indexes are built afterwards, as that is faster and comes to the same."""
    numbers = {"customers": customers, "events": events, "now": NOW}
    db.execute(_DRAW)
    db.execute("SET session_replication_role = replica")  # the foreign keys hold by construction
    for table, statement in (("customers", _CUSTOMERS), ("events", _EVENTS)):
        indexes = db.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
            [table],
        ).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        db.execute(statement, numbers)
        db.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            db.execute(definition)
    db.execute("SET session_replication_role = DEFAULT")
    db.commit()
    db.autocommit = True
    db.execute("VACUUM ANALYZE")
    db.execute("CHECKPOINT")
    db.autocommit = False


def happen(db: psycopg.Connection, customers: int, events: int, batch: int = 0) -> None:
    """So many new events, a moment after the last; those of another batch are other ones."""
    db.execute(_DRAW)
    db.execute(_MORE, {"customers": customers, "first": batch * events + 1, "last": (batch + 1) * events, "now": NOW})
    db.commit()
