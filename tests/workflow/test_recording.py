"""What was sent is written down once, also when the connection to the database breaks in the middle of the writing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.workflow.stage import Stage
from workers.server.postgres import EmbeddedPostgres

TWO_MAILS = """
journey: two_mails
title: Two mails
enter: api
steps:
  - send: email/welcome
  - score: {points: 5, because: welcomed}
  - send: email/brew_guide
  - wait: 2d
"""


class Scissors:
    """Cut the connection that records a delivery: after the touch was written, before the run was, so many times."""

    def __init__(self, server: psycopg.Connection, engine: AsyncEngine, times: int) -> None:
        self.left = times
        self._server = server
        self._recording: set[int] = set()
        listen(engine.sync_engine, "before_cursor_execute", self._watch)

    def _watch(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        driver: Any = connection.connection.driver_connection
        backend = driver.info.backend_pid
        if statement.startswith("UPDATE touches"):
            self._recording.add(backend)
        elif statement.startswith("UPDATE enrolments") and backend in self._recording and self.left:
            self.left -= 1
            self._server.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])


@pytest.fixture
def scissors(postgres: EmbeddedPostgres, engine: AsyncEngine) -> Iterator[Scissors]:
    with psycopg.connect(postgres.url(), autocommit=True) as server:
        yield Scissors(server, engine, times=3)


async def test_a_connection_that_breaks_while_a_delivery_is_recorded_neither_loses_nor_skips_anything(
    stage: Stage, scissors: Scissors
) -> None:
    await stage.publish(TWO_MAILS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "two_mails")
    assert scissors.left == 0
    assert [(touch.message, touch.status) for touch in await stage.touches(ann)] == [
        ("email/welcome", "sent"),
        ("email/brew_guide", "sent"),
    ]
    assert [kind for kind, _ in await stage.path(run.id)] == ["send", "score", "send"]
    assert (await stage.run(run.id)).step == "wait-2d"
    assert len(stage.mailbox.messages) == 2
