"""Rehearsals for tests of journeys: `await rehearse(["welcome"], customers=[...], events=[...])`.

All of a run share one Temporal server and one PostgreSQL; each rehearsal has a namespace and a database of its own.
Import the fixture `rehearse` into the conftest.py of the tests that use it.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.publishing import load_files
from journeys import segments
from journeys.fields import load_fields
from records.database import create_engine
from tests.temporal import Namespaces
from workers.rehearsal.hearing import Hearing
from workers.rehearsal.rehearsing import Plan, Report
from workers.rehearsal.rehearsing import rehearse as run
from workers.rehearsal.scratch import Scratch
from workers.rehearsal.ways_in import needed
from workers.server.devserver import DevServer
from workers.server.postgres import EmbeddedPostgres
from workers.settings import Settings

ROOT = Path(__file__).parents[1]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday, four weeks before the clocks of Europe change."""
_numbers = count(1)
Row = Mapping[str, Any]


@dataclass
class Rehearse:
    """Rehearses journeys. `report` is what the last rehearsal came to."""

    server: DevServer
    namespaces: Namespaces
    postgres: EmbeddedPostgres
    migrated: str
    folder: Path
    report: Report | None = None

    async def __call__(
        self,
        journeys: Sequence[str],
        *,
        customers: Sequence[Row],
        events: Sequence[Row] = (),
        start: datetime | str = START,
        days: int = 60,
        sending: str | None = None,
        **settings: Any,
    ) -> list[dict[str, Any]]:
        """The lines of the rehearsal: one a touch, then one a run.

        `journeys` are names of shipped maps, or maps as text. A customer without consents consents to both channels,
        and one without an address gets one. The definitions are the shipped ones; `sending` is the text of another
        sending.yaml.
        """
        folder = self.folder / f"rehearsal-{next(_numbers)}"
        definitions = folder / "definitions"
        shutil.copytree(ROOT / "definitions", definitions)
        if sending is not None:
            (definitions / "sending.yaml").write_text(sending, encoding="utf-8")
        files = [_file(definitions, one) for one in journeys]
        fields = load_fields(definitions / "fields.yaml")
        maps = load_files(files, fields)
        of = Settings(home=folder, **{"definitions": definitions, "templates": ROOT / "templates", **settings})
        people = [_contact(row) for row in customers]
        begin = datetime.fromisoformat(start) if isinstance(start, str) else start
        asked = needed(maps, segments.load_all(definitions / "segments", fields))
        plan = Plan(
            maps, asked, _table(folder / "customers.csv", people),
            _table(folder / "events.csv", events, "customer", "event", "at") if events else None,
            begin.astimezone(UTC), days,
        )  # fmt: skip
        async with self._place(folder) as place:
            self.report = await run(of, plan, place)
        return list(self.report.rehearsed.documents())

    @asynccontextmanager
    async def _place(self, folder: Path) -> AsyncIterator[Scratch]:
        name = f"rehearsal_{next(_numbers)}"
        engine = create_engine(self.postgres.create_database(name, template=self.migrated), pool_size=20)
        hearing = Hearing(engine)
        try:
            namespace = await self.namespaces.next()
            client = await Client.connect(self.server.address, namespace=namespace, interceptors=[hearing])
            yield Scratch(folder, engine, client, hearing)
        finally:
            await engine.dispose()
            self.postgres.drop_database(name)


@pytest.fixture
def rehearse(
    server: DevServer, namespaces: Namespaces, postgres: EmbeddedPostgres, migrated: str, tmp_path: Path
) -> Rehearse:
    """Rehearses journeys on the servers of this run."""
    return Rehearse(server, namespaces, postgres, migrated, tmp_path)


def _file(definitions: Path, journey: str) -> Path:
    if "\n" not in journey:
        return definitions / "journeys" / f"{journey}.yaml"
    path = definitions.parent / f"map-{next(_numbers)}.yaml"
    path.write_text(journey, encoding="utf-8")
    return path


def _contact(row: Row) -> Row:
    name = str(row.get("external_id") or row.get("email"))
    given = {"email": f"{name.lower()}@contacts.example", "email_consent": "yes", "sms_consent": "yes"}
    return {**given, **row}


def _table(path: Path, rows: Sequence[Row], *columns: str) -> Path:
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict) else value
