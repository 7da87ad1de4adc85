"""The console over a real database and a real Temporal server: the API, the links in messages, the callbacks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.calendar import Calendar
from activities.channels.signature import HEADER, sign
from activities.deliveries.receipts import Receipts
from activities.entering.audience import Audience, Router
from activities.entering.entrance import Entrance
from activities.messages.links import Links
from activities.publishing import publish
from activities.sales.desk import Desk
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from activities.turns.programs import Programs
from console.app import create_app
from console.parts import Parts
from journeys.fields import Field
from journeys.loading import parse
from records.messages import ledger
from records.messages.ledger import Slot
from records.people import consents, timeline, upserts
from records.people.contacts import Contact
from records.runs import enrolments, entries
from records.sales import tasks
from tests.temporal import new_namespace
from workers.server.devserver import DevServer

URL = "http://waymark.test"
TOKEN = "the-auth-token"
LINKS = Links("a-secret-of-some-length", URL)
WELCOME = """
journey: welcome
title: Welcome
enter: [{on: customer.signed_up}, api]
steps:
  - send: email/welcome
"""


@pytest.fixture
async def client(server: DevServer) -> Client:
    """A client of a namespace of its own, in which nobody works."""
    return await Client.connect(server.address, namespace=await new_namespace(server))


@pytest.fixture
async def parts(engine: AsyncEngine, client: Client) -> Parts:
    programs = Programs()
    router = Router(engine, client, programs, Entrance(programs, "UTC"), Calendar())
    audience = Audience(engine, router)
    office = Office(engine, None, Calendar(), "UTC")
    keepers = Keepers(office, client)
    return Parts(
        database=engine,
        audience=audience,
        receipts=Receipts(engine, audience),
        links=LINKS,
        fields={"plan": Field("plan", "text", "Plan"), "renewal_date": Field("renewal_date", "date", "Renewal date")},
        desk=Desk(office, router, keepers),
        url=URL,
        workspace="Acme & Co",
        locale="en",
        twilio_auth_token=TOKEN,
    )


def browser(parts: Parts) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(parts), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=URL)


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(parts) as one:
        yield one


@pytest.fixture
async def ada(engine: AsyncEngine) -> int:
    contact = Contact(
        external_id="c1", email="ada@acme.example", phone="+12025550143", first_name="Ada", locale="zh-CN",
        consents={"email": True, "sms": True},
    )  # fmt: skip
    async with engine.begin() as db:
        return (await upserts.upsert(db, contact, now=datetime.now(UTC))).id


@pytest.fixture
async def welcome(engine: AsyncEngine) -> str:
    async with engine.begin() as db:
        await publish(db, [parse(WELCOME)], now=datetime.now(UTC), by="test")
    return "welcome"


@pytest.fixture
async def touch(engine: AsyncEngine, ada: int, welcome: str) -> str:
    """The key of a mail that Ada received."""
    return await sent(engine, ada, "email", "email/welcome")


async def sent(engine: AsyncEngine, customer: int, channel: str, message: str) -> str:
    now = datetime.now(UTC)
    async with engine.begin() as db:
        run = await entries.enrol(
            db, customer_id=customer, journey="welcome", version=1, re_enter="always", source="api", now=now
        )
        assert isinstance(run, enrolments.Enrolment)
        slot, key = Slot(run.id, "hello", 1), f"wm-{channel}-{run.id}"
        row: dict[str, Any] = {
            "customer_id": customer, "journey": "welcome", "version": 1, "channel": channel, "message": message,
            "key": key, "claimed_at": now, "address": "x", "attempts": 1, "subject": None, "locale": "en",
            "because": None, "settled_at": None,
        }  # fmt: skip
        await ledger.claim(db, slot, row)
        await ledger.settle(db, slot, "sent", at=now, provider_id=f"SM{run.id}")
    return key


async def happened(engine: AsyncEngine, customer: int) -> list[tuple[str, dict[str, Any]]]:
    async with engine.connect() as db:
        entries = await timeline.timeline(db, customer)
    return [(entry.title, entry.detail["properties"]) for entry in entries if entry.kind == "event"]


async def may_write(engine: AsyncEngine, customer: int, channel: str) -> bool:
    async with engine.connect() as db:
        return await consents.granted(db, customer, channel)


# The API


async def test_a_customer_is_created_then_completed(http: httpx.AsyncClient) -> None:
    body = {"external_id": "c9", "email": "Bo@Acme.example", "plan": "home", "consents": {"email": True}}
    created = await http.post("/v1/customers", json=body)
    assert created.status_code == 201
    assert created.json()["customer"]["email"] == "bo@acme.example"
    updated = await http.post("/v1/customers", json={"external_id": "c9", "first_name": "Bo"})
    assert (updated.status_code, updated.json()["outcome"]) == (200, "updated")
    found = (await http.get("/v1/customers/c9")).json()
    assert (found["first_name"], found["properties"]) == ("Bo", {"plan": "home"})


async def test_a_wrong_customer_is_refused_with_every_field(http: httpx.AsyncClient) -> None:
    body = {"email": "nobody", "country": "Germny", "plann": "home", "renewal_date": 7}
    answer = await http.post("/v1/customers", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()["errors"]) == {"email", "country", "plann", "renewal_date"}
    assert "'plan'" in answer.json()["errors"]["plann"]


async def test_a_new_customer_needs_an_address(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/customers", json={"external_id": "new", "first_name": "Bo"})
    assert answer.status_code == 422
    assert "no address" in answer.json()["detail"]


async def test_an_unknown_customer_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/customers/nobody")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert answer.json()["hint"]


async def test_an_event_is_kept_once_and_enrols(
    http: httpx.AsyncClient, ada: int, welcome: str, engine: AsyncEngine
) -> None:
    event = {"customer": "c1", "name": "customer.signed_up", "key": "k1", "properties": {"source": "web"}}
    first = await http.post("/v1/events", json=event)
    assert (first.status_code, first.json()["enrolled"]) == (202, ["welcome"])
    assert (await http.post("/v1/events", json=event)).json() == {"status": "duplicate"}
    assert await happened(engine, ada) == [("customer.signed_up", {"source": "web"})]


async def test_a_timeline_is_gone_through_page_by_page(http: httpx.AsyncClient, ada: int) -> None:
    days = [f"2026-02-0{day}T09:00:00Z" for day in (1, 2, 3)]
    for day in days:
        await http.post("/v1/events", json={"customer": "c1", "name": "page.seen", "at": day, "key": day})
    seen, before = [], days[-1]
    while page := (await http.get("/v1/customers/c1/timeline", params={"limit": 1, "before": before})).json()[
        "timeline"
    ]:
        before = page[0]["at"]
        seen += page
    assert [one["at"] for one in seen] == [days[1], days[0]]
    for wrong in ("yesterday", "2026-02-01T09:00:00"):
        assert (await http.get("/v1/customers/c1/timeline", params={"before": wrong})).status_code == 422


async def test_in_a_list_of_events_a_bad_one_does_not_lose_the_others(http: httpx.AsyncClient, ada: int) -> None:
    answer = await http.post(
        "/v1/events",
        json=[
            {"customer": "c1", "name": "page.seen"},
            {"customer": "nobody", "name": "page.seen"},
            {"customer": "c1", "name": "Page Seen"},
            "text",
            {"customer": ada, "name": "page.seen", "value": 2.5, "at": "2026-01-01T00:00:00Z"},
        ],
    )
    found = [one["status"] for one in answer.json()["events"]]
    assert found == ["accepted", "rejected", "rejected", "rejected", "accepted"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"at": "2026-01-01T00:00:00"}, "at"),
        ({"at": "2026-02-30T00:00:00Z"}, "at"),
        ({"at": "2199-01-01T00:00:00Z"}, "at"),
        ({"value": "much"}, "value"),
        ({"name": "order placed"}, "name"),
        ({"propertys": {}}, "propertys"),
        ({"properties": [1]}, "properties"),
        ({"key": "k" * 300}, "key"),
    ],
)
async def test_a_wrong_event_is_refused_by_field(
    http: httpx.AsyncClient, ada: int, wrong: dict[str, Any], field: str
) -> None:
    answer = await http.post("/v1/events", json={"customer": "c1", "name": "order.placed", **wrong})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


async def test_a_customer_enters_a_journey_once(http: httpx.AsyncClient, ada: int, welcome: str) -> None:
    first = await http.post("/v1/journeys/welcome/enrolments", json={"customer": "c1"})
    assert (first.status_code, first.json()["enrolment"]["journey"]) == (201, "welcome")
    again = await http.post("/v1/journeys/welcome/enrolments", json={"customer": "c1"})
    assert again.status_code == 409
    assert (await http.get("/v1/journeys")).json()["journeys"][0]["enrolled"] == 1


async def test_a_task_is_claimed_by_one_and_its_outcome_is_an_event(
    http: httpx.AsyncClient, ada: int, engine: AsyncEngine
) -> None:
    async with engine.begin() as db:
        task = await tasks.create(db, customer_id=ada, queue="sales", title="Call Ada", now=datetime.now(UTC))
    assert (await http.post(f"/v1/tasks/{task}/claim", json={"rep": "mei"})).status_code == 200
    taken = await http.post(f"/v1/tasks/{task}/claim", json={"rep": "tom"})
    assert taken.status_code == 409
    assert "mei" in taken.json()["detail"]
    done = await http.post(f"/v1/tasks/{task}/done", json={"rep": "mei", "outcome": "won", "note": "10 bags"})
    assert done.json()["task"]["outcome"] == "won"
    assert await happened(engine, ada) == [("task.done", {"task": task, "queue": "sales", "outcome": "won"})]
    assert [one["id"] for one in (await http.get("/v1/tasks?status=done")).json()["tasks"]] == [task]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/tasks/1/claim", {}, 422),
        ("/v1/tasks/999/claim", {"rep": "mei"}, 404),
        ("/v1/tasks/1/done", {"rep": "mei", "outcome": "maybe"}, 422),
        ("/v1/journeys/none/enrolments", {"customer": "c1"}, 409),
        ("/v1/events", [{}] * 1001, 413),
        ("/v1/nothing", {}, 404),
    ],
)
async def test_each_kind_of_error_has_its_status(
    http: httpx.AsyncClient, ada: int, path: str, body: object, status: int
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_no_json_is_told_so(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/events", content=b'{"customer": ')
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad request")


async def test_with_an_api_key_nobody_enters_without_it(parts: Parts, ada: int, touch: str) -> None:
    async with browser(replace(parts, api_key="the-key")) as http:
        assert (await http.get("/v1/customers/c1")).status_code == 401
        assert (await http.get("/v1/customers/c1", headers={"Authorization": "Bearer wrong"})).status_code == 401
        right = await http.get("/v1/customers/c1", headers={"Authorization": "Bearer the-key"})
        assert right.status_code == 200
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get(path(LINKS.pixel(touch)))).status_code == 200


# The links in messages


def path(url: str) -> str:
    return url.removeprefix(URL)


async def test_opening_the_unsubscribe_page_unsubscribes_nobody(
    http: httpx.AsyncClient, ada: int, touch: str, engine: AsyncEngine
) -> None:
    link = path(LINKS.unsubscribe(customer_id=ada, channel="email", touch_key=touch))
    page = await http.get(link)
    assert page.status_code == 200
    assert 'lang="zh"' in page.text
    assert "Acme &amp; Co" in page.text
    assert '<form method="post">' in page.text
    assert await may_write(engine, ada, "email")


async def test_the_button_and_the_one_click_post_unsubscribe_once(
    http: httpx.AsyncClient, ada: int, touch: str, engine: AsyncEngine
) -> None:
    link = path(LINKS.unsubscribe(customer_id=ada, channel="email", touch_key=touch))
    for body in ({"List-Unsubscribe": "One-Click"}, {}):
        assert (await http.post(link, data=body)).status_code == 200
    assert not await may_write(engine, ada, "email")
    assert await may_write(engine, ada, "sms")
    assert await happened(engine, ada) == [("email.unsubscribed", {"message": "email/welcome"})]


async def test_a_tracked_link_leads_to_the_signed_address_and_counts_once(
    http: httpx.AsyncClient, ada: int, touch: str, engine: AsyncEngine
) -> None:
    target = "https://acme.example/taster?a=1&b=2"
    for _ in range(2):
        answer = await http.get(path(LINKS.click(target, touch)))
        assert (answer.status_code, answer.headers["location"]) == (302, target)
    assert await happened(engine, ada) == [("email.clicked", {"message": "email/welcome", "url": target})]


async def test_a_pixel_tells_of_an_opened_mail_once(
    http: httpx.AsyncClient, ada: int, touch: str, engine: AsyncEngine
) -> None:
    for _ in range(2):
        answer = await http.get(path(LINKS.pixel(touch)))
        assert answer.headers["content-type"] == "image/gif"
    assert await happened(engine, ada) == [("email.opened", {"message": "email/welcome"})]


@pytest.mark.parametrize("secret", ["another-secret-entirely", "a-secret-of-some-length"])
async def test_a_link_that_was_not_signed_here_does_nothing(
    http: httpx.AsyncClient, ada: int, touch: str, engine: AsyncEngine, secret: str
) -> None:
    forged = Links(secret, URL)
    cut = 0 if secret.startswith("another") else 3
    for link in (
        forged.click("https://evil.example", touch),
        forged.unsubscribe(customer_id=ada, channel="email", touch_key=touch),
    ):
        answer = await http.get(path(link)[: -cut or None])
        assert answer.status_code == 404
        assert "location" not in answer.headers
    assert (await http.post(path(link)[: -cut or None])).status_code == 404
    assert (await http.get("/o/nonsense.gif")).headers["content-type"] == "image/gif"
    assert await happened(engine, ada) == []
    assert await may_write(engine, ada, "email")


async def test_one_kind_of_token_is_no_other_kind(http: httpx.AsyncClient, ada: int, touch: str) -> None:
    token = LINKS.click("https://acme.example", touch).rsplit("/", 1)[1]
    assert (await http.post(f"/u/{token}")).status_code == 404


# The provider's callbacks


async def twilio(http: httpx.AsyncClient, where: str, form: dict[str, str], token: str = TOKEN) -> httpx.Response:
    return await http.post(where, data=form, headers={HEADER: sign(token, URL + where, form)})


@pytest.mark.parametrize(("status", "event"), [("delivered", "sms.delivered"), ("undelivered", "sms.failed")])
async def test_a_delivery_report_is_an_event_of_the_touch_once(
    http: httpx.AsyncClient, ada: int, welcome: str, engine: AsyncEngine, status: str, event: str
) -> None:
    key = await sent(engine, ada, "sms", "sms/nudge")
    form = {"MessageSid": "SMx", "MessageStatus": status}
    for _ in range(2):
        assert (await twilio(http, f"/callbacks/twilio/status?key={key}", form)).status_code == 204
    await twilio(http, f"/callbacks/twilio/status?key={key}", {**form, "MessageStatus": "sent"})
    assert await happened(engine, ada) == [(event, {"message": "sms/nudge"})]


async def test_a_reply_belongs_to_the_last_text(
    http: httpx.AsyncClient, ada: int, welcome: str, engine: AsyncEngine
) -> None:
    await sent(engine, ada, "sms", "sms/nudge")
    form = {"From": "+12025550143", "Body": "Yes please", "MessageSid": "SM1"}
    for _ in range(2):
        assert (await twilio(http, "/callbacks/twilio/inbound", form)).status_code == 200
    assert await happened(engine, ada) == [("sms.replied", {"text": "Yes please", "message": "sms/nudge"})]


@pytest.mark.parametrize("word", ["STOP", "stop.", "退订"])
async def test_stop_withdraws_the_consent_for_texts_and_is_no_reply(
    http: httpx.AsyncClient, ada: int, engine: AsyncEngine, word: str
) -> None:
    form = {"From": "+12025550143", "Body": word, "MessageSid": "SM1"}
    await twilio(http, "/callbacks/twilio/inbound", form)
    assert not await may_write(engine, ada, "sms")
    assert await may_write(engine, ada, "email")
    assert [name for name, _ in await happened(engine, ada)] == ["sms.unsubscribed"]


async def test_a_text_from_a_stranger_is_taken_and_dropped(http: httpx.AsyncClient) -> None:
    form = {"From": "+4930901820", "Body": "Hello", "MessageSid": "SM1"}
    assert (await twilio(http, "/callbacks/twilio/inbound", form)).status_code == 200


async def test_a_callback_without_the_providers_signature_is_refused(
    http: httpx.AsyncClient, ada: int, engine: AsyncEngine
) -> None:
    form = {"From": "+12025550143", "Body": "STOP", "MessageSid": "SM1"}
    assert (await twilio(http, "/callbacks/twilio/inbound", form, token="wrong")).status_code == 403
    assert (await http.post("/callbacks/twilio/inbound", data=form)).status_code == 403
    assert await may_write(engine, ada, "sms")
