"""The document that a webhook carries: what the step names and nothing else, filled in or refused with its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from activities.channels.channel import Message
from activities.messages.calling import LARGEST, body_problems, compose_call
from activities.messages.rendering import Unrenderable
from journeys.steps.sends import WebhookCall
from records.people.customers import Customer

AT = datetime(2026, 3, 1, 10, 30, tzinfo=timezone(timedelta(hours=1)))
ADA = Customer(
    id=7, external_id="c-7", email="ada@acme.example", phone=None, first_name="Ada", last_name="Lovelace",
    country="GB", locale="en-GB", time_zone=None, stage="lead", score=12, qualified_at=None, tags=["vip"],
    properties={"company": "Analytical Engines", "secret_note": "not declared"}, created_at=AT, updated_at=AT,
    lifecycle=None, fit=0, grade=None, scored_at=None, owner=None,
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab ü中"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3),
)


def call(**said: Any) -> WebhookCall:
    return WebhookCall(**{"url": "https://crm.example/hook", **said})


def composed(event: dict[str, Any] | None = None, **said: Any) -> Message:
    return compose_call(
        call(**said), ADA, event or {}, journey="welcome", version=3, step="call_crm", key="wm-1", at=AT,
        fields=["company"],
    )  # fmt: skip


def data(event: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(composed(event, **said).text)["data"]
    return found


def test_a_call_says_who_where_and_when() -> None:
    message = composed({"cart": [1]}, timeout=20)
    assert json.loads(message.text) == {
        "type": "journey.webhook",
        "timestamp": "2026-03-01T09:30:00Z",
        "data": {
            "customer": {"id": 7, "external_id": "c-7"},
            "journey": "welcome",
            "version": 3,
            "step": "call_crm",
            "event": {"cart": [1]},
        },
    }
    assert (message.key, message.address, message.at, message.timeout) == ("wm-1", "https://crm.example/hook", AT, 20)


def test_only_the_named_fields_of_the_customer_leave() -> None:
    assert data(fields=["email", "company", "tags", "phone"])["customer"] == {
        "id": 7,
        "external_id": "c-7",
        "email": "ada@acme.example",
        "company": "Analytical Engines",
        "tags": ["vip"],
        "phone": None,
    }


def test_templates_are_filled_in_wherever_they_stand() -> None:
    body = {"note": "Hello {{ customer.first_name }}!", "deep": [{"company": "{{ customer.company }}"}, 4, None, True]}
    found = data(body=body)
    assert found["note"] == "Hello Ada!"
    assert found["deep"] == [{"company": "Analytical Engines"}, 4, None, True]


@given(JSON)
def test_an_expression_alone_is_the_value_itself(value: Any) -> None:
    assert data({"cart": value}, body={"cart": "{{ event.cart }}"})["cart"] == value


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ customer.score }}", 12),
        ("{{ customer.score + 1 }}", 13),
        ("{{ -customer.score }}", -12),
        ("{{ - customer.score }}", -12),
        ("{{- customer.score -}}", 12),
        ("  {{ customer.score }}\n", 12),
        ("{{ customer.score }}!", "12!"),
        ("{{ customer.score }}{{ customer.score }}", "1212"),
        ("{{ customer.phone }}", None),
        ("{{ event.missing | default(0) }}", 0),
        ("{{ event['items'] | map(attribute='sku') }}", ["a", "b"]),
        ("{{ '}}' }}", "}}"),
        ("{{ {'a': 1} }}", {"a": 1}),
        ("{% if customer.score > 10 %}hot{% else %}cold{% endif %}", "hot"),
        ("no template", "no template"),
        ("<b>&</b> {{ '<' }}", "<b>&</b> <"),
    ],
)
def test_a_string_becomes_a_value_or_text(template: str, value: Any) -> None:
    assert data({"items": [{"sku": "a"}, {"sku": "b"}]}, body={"x": template})["x"] == value


def test_nobody_takes_the_place_of_what_every_call_has() -> None:
    assert data(body={"customer": "mallory", "step": "x"})["customer"] == {"id": 7, "external_id": "c-7"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"a": {"b": ["{{ event.cart }}"]}}, r"webhook body\.a\.b\[0\]: there is no 'cart' here this time"),
        ({"a": "{{ event.cart }} items"}, r"webhook body\.a: there is no 'cart'"),
        ({"a": "{{ customer.secret_note }}"}, "customer has no field 'secret_note'"),
        ({"a": "{{ customer }}"}, "name one of its fields"),
        ({"a": "{{ nobody }}"}, "nothing called 'nobody'"),
        ({"a": "{{ 1 / 0 }}"}, "division by zero"),
        ({"a": "{{ customer.__class__ }}"}, "no field '__class__'"),
        ({"a": "{{ ''.__class__.__mro__ }}"}, "__class__"),
        ({"a": "{{ 'x' * 3000000 }}"}, "repetition is too long"),
        ({"a": "{{ 9 ** 9999 }}"}, "power is too large"),
        ({"a": "{{ range }}"}, "is a function"),
        ({"a": "{{ event.items }}"}, "is a function, not a value: a property of that name is event\\['items'\\]"),
        ({"a": "{% include 'x' %}"}, r"webhook body\.a"),
        ({"a": float("inf")}, "cannot be written as JSON"),
        ({"a": "{{ '\\ud800' }}"}, "cannot be written as JSON"),
        ({"a": "{{ 'x' * 300000 }}"}, f"at most {LARGEST:,}"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_with_its_place(body: dict[str, Any], said: str) -> None:
    with pytest.raises(Unrenderable, match=said):
        composed(body=body)


def test_a_field_that_nobody_has_is_refused() -> None:
    with pytest.raises(Unrenderable, match="customer has no 'compny'; did you mean 'company'"):
        composed(fields=["compny"])


def test_a_good_step_has_no_problems() -> None:
    good = call(
        fields=["email", "company"],
        body={"note": "Hi {{ customer.first_name }}", "cart": "{{ event.cart.total }}", "n": [1, {"x": "{{ 1 }}"}]},
    )
    assert body_problems(good, ["company"]) == []


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"fields": ["frst_name"]}, "fields: customer has no 'frst_name'; did you mean 'first_name'?"),
        ({"body": {"a": ["{{ customer.frst_name }}"]}}, "body.a[0]: customer has no 'frst_name'; did you mean"),
        ({"body": {"a": {"b": "{{ custmer.email }}"}}}, "body.a.b: there is nothing called 'custmer'; did you mean"),
        ({"body": {"a": "{{ workspace.name }}"}}, "body.a: there is nothing called 'workspace'; known are: customer"),
        ({"body": {"a": "{{ customer.email "}}, "body.a: unexpected end of template"),
        ({"body": {"a": "{{ event.x | shout }}"}}, "body.a: No filter named 'shout'"),
        ({"body": {"a": "{% include 'x' %}"}}, "body.a: there are no other templates here"),
        ({"body": {"event": 1}}, "body.event: every call has 'event' already"),
    ],
)
def test_a_problem_is_found_before_publishing(said: dict[str, Any], problem: str) -> None:
    [found] = body_problems(call(**said), ["company"])
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://{{ customer.country }}.crm.example/", "url: the address of a webhook is the same for everybody"),
        ("https://ada:secret@crm.example/", "url: a web address here holds no name"),
        ("ftp://crm.example/", "url: 'ftp://crm.example/' is no web address"),
    ],
)
def test_an_address_that_is_none_is_found_before_publishing(url: str, problem: str) -> None:
    [found] = body_problems(WebhookCall.model_construct(url=url, fields=[], body={}, timeout=10), [])
    assert found.startswith(problem)


def test_what_is_filled_in_a_thousand_times_is_the_same_every_time() -> None:
    first = composed({"a": 1}, body={"x": "{{ event.a }}"})
    assert all(composed({"a": 1}, body={"x": "{{ event.a }}"}) == first for _ in range(10))
    assert first.at.astimezone(UTC).hour == 9


def test_the_document_in_the_guide_is_what_arrives() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "call-another-system.md").read_text(encoding="utf-8")
    [step] = YAML(typ="safe").load(guide.split("```yaml\n")[1].split("```")[0])["steps"]
    message = compose_call(
        WebhookCall(**step["webhook"]), ADA, {"total": 40.5, "items": ["light roast"]},
        journey="rescue", version=3, step=step["id"], key="wm-1", at=AT, fields=["company"],
    )  # fmt: skip
    assert json.loads(message.text) == json.loads(guide.split("```json\n")[1].split("```")[0])
