"""Lists of events over HTTP: each is answered for, stored by one transaction, and heard of by journeys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.entering.ingesting import Ingesting
from console import events
from console.parts import Parts
from records.people import customers
from records.runs import enrolments
from tests.integration.test_console import ada, browser, client, happened, http, parts, welcome

__all__ = ["ada", "client", "http", "parts", "welcome"]


async def put(http: httpx.AsyncClient, *items: Any) -> list[dict[str, Any]]:
    answer = await http.post("/v1/events", content=json.dumps(items))
    assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def seen(key: str, **more: Any) -> dict[str, Any]:
    return {"customer": "c1", "name": "page.seen", "key": key, **more}


async def test_a_list_is_stored_once_however_often_it_is_sent(
    http: httpx.AsyncClient, ada: int, engine: AsyncEngine
) -> None:
    items = [seen("k1"), seen("k2"), seen("k1")]
    first = await put(http, *items)
    assert [one["status"] for one in first] == ["accepted", "accepted", "duplicate"]
    assert [one["status"] for one in await put(http, *items)] == ["duplicate"] * 3
    assert len(await happened(engine, ada)) == 2


async def test_events_may_be_sent_one_a_line(http: httpx.AsyncClient, ada: int) -> None:
    lines = [json.dumps(seen("k1")), '{"customer": ', "", json.dumps(seen("k2"))]
    answer = await http.post(
        "/v1/events", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson; charset=utf-8"}
    )
    assert [one["status"] for one in answer.json()["events"]] == ["accepted", "rejected", "accepted"]


async def test_journeys_hear_of_a_list_and_what_concerns_nobody_is_done_with(
    http: httpx.AsyncClient, ada: int, welcome: str, engine: AsyncEngine
) -> None:
    await put(http, seen("k1"), {"customer": ada, "name": "customer.signed_up", "key": "k2"})
    async with engine.connect() as db:
        [run] = await enrolments.listing(db, customer_id=ada)
        assert (await db.execute(text("SELECT count(*) FROM events WHERE routed_at IS NULL"))).scalar_one() == 0
    assert (run.journey, run.launched_at is not None) == ("welcome", True)


async def test_a_list_whose_routing_is_cut_off_stays_stored_and_unrouted(
    http: httpx.AsyncClient, ada: int, welcome: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise RuntimeError("the machine died")

    monkeypatch.setattr(Ingesting, "route", dies)
    [answer] = await put(http, {"customer": ada, "name": "customer.signed_up"})
    async with engine.connect() as db:
        waiting = list((await db.execute(text("SELECT id FROM events WHERE routed_at IS NULL"))).scalars())
    assert waiting == [answer["event"]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *[({"value": value}, "value") for value in (-1, -0.5, 1e12, 10**400, True, "NaN", "many", [1], "1,234")],
        *[({"at": moment}, "at") for moment in list[Any]((
            "1970-01-01T00:00:00Z", "2300-01-01T00:00:00Z", 0, 1e300, "2026-01-01", "2026-01-01T00:00:00", True, {},
        ))],
        *[({"properties": one}, "properties") for one in ({"x": "\x00"}, {"x": "y" * 60_000}, "x", {"\ud800": 1})],
        *[({"customer": one}, "customer") for one in ("nobody", "", None, 10**30, [1], "x" * 400, "\x00", True)],
        *[({"name": one}, "name") for one in ("Order", "", 5, None, "order.placed\n\n.", "x" * 101)],
        ({"key": 5}, "key"), ({"kye": "x"}, "kye"), ({"\ud800": "x"}, "?"),
    ],
)  # fmt: skip
async def test_bad_input_in_a_list_is_answered_by_field_and_keeps_no_other_out(
    http: httpx.AsyncClient, ada: int, engine: AsyncEngine, wrong: dict[str, Any], field: str
) -> None:
    before, bad, after = await put(http, seen("before"), {**seen("bad"), **wrong}, seen("after"))
    assert (before["status"], bad["status"], after["status"]) == ("accepted", "rejected", "accepted")
    assert list(bad["errors"]) == [field]
    assert bad["detail"]
    assert len(await happened(engine, ada)) == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e-5"])
async def test_numbers_that_json_does_not_know_are_refused(http: httpx.AsyncClient, ada: int, number: str) -> None:
    for item in (f'"value": {number}', f'"properties": {{"x": {number}}}'):
        if number == "-1e-5" and "properties" in item:
            continue
        body = f'{{"customer": "c1", "name": "page.seen", {item}}}'
        answer = await http.post("/v1/events", content=body.encode())
        assert answer.status_code == 422, body


async def test_the_setting_says_whether_somebody_unknown_is_made(parts: Parts, ada: int, engine: AsyncEngine) -> None:
    unknown = [{"customer": name, "name": "page.seen"} for name in ("n1", "bob@acme.example", "n1", "id:999", "b@d@e")]
    async with browser(parts) as http:
        assert [one["status"] for one in await put(http, *unknown)] == ["rejected"] * 5
        assert (await http.post("/v1/events", json=unknown[0])).status_code == 404
    async with browser(replace(parts, unknown="create")) as http:
        assert [one["status"] for one in await put(http, *unknown)] == ["accepted"] * 3 + ["rejected"] * 2
        assert (await http.post("/v1/events", json={"customer": "n2", "name": "page.seen"})).status_code == 202
    async with engine.connect() as db:
        assert [(await customers.find(db, name)).external_id for name in ("n1", "n2")] == ["n1", "n2"]
        assert (await customers.find(db, "bob@acme.example")).external_id is None


async def test_a_name_that_means_two_customers_is_refused(http: httpx.AsyncClient, ada: int) -> None:
    await http.post("/v1/customers", json={"external_id": str(ada), "email": "eve@acme.example"})
    first, second = await put(http, seen("a", customer=str(ada)), seen("b", customer=f"external_id:{ada}"))
    assert (first["status"], second["status"]) == ("rejected", "accepted")
    assert "names two customers" in first["detail"]


async def test_more_than_a_thousand_are_refused_as_a_whole(http: httpx.AsyncClient, ada: int) -> None:
    lines = "\n".join([json.dumps(seen("k"))] * (events.MOST_EVENTS + 1))
    headers = {"Content-Type": "application/x-ndjson"}
    assert (await http.post("/v1/events", content=lines, headers=headers)).status_code == 413
