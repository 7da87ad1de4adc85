"""Mails from stencils say the same as mails that are composed one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.broadcasts.press import Press
from activities.channels.letters import Letter
from activities.channels.mime import Mailbox, Unsendable
from activities.messages.composing import Composer, Workspace
from activities.messages.links import Links
from activities.messages.rendering import Templates, Unrenderable
from journeys.fields import load_fields
from records.people.customers import Customer

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
KEY = "wmb-0123456789abcdef0123456789abcdef"
SENDER = Mailbox.parse_named("Kettlewick <hello@kettlewick.example>")
ABOUT: dict[str, Any] = {"journey": {"title": "Season"}, "event": {}}
FIELDS = frozenset(load_fields(ROOT / "definitions/fields.yaml"))
ANN = Customer(
    7, "c-7", "ann@customers.example", None, "Ann", "Lee", "DE", "en", None, "new", 5, None, ["x"], {}, NOW, NOW,
    None, 0, None, None, None,
)  # fmt: skip
SHIPPED = Templates(ROOT / "templates").messages("email")


def composer(folder: Path) -> Composer:
    links = Links("a secret", "https://mail.kettlewick.example")
    return Composer(Templates(folder), links, Workspace("Kettlewick", "1 Mill Road", "https://k.example"), FIELDS)


def shipped() -> Composer:
    return composer(ROOT / "templates")


def read(letter: Letter) -> tuple[dict[str, str], list[str]]:
    """What a recipient reads: the headers, and both bodies."""
    assert all(len(line) <= 998 for line in letter.content.split(b"\r\n"))
    plain = letter.content.replace(b"\r\n..", b"\r\n.")
    mail = message_from_bytes(plain, policy=policy.default)
    headers = {name: str(value) for name, value in mail.items() if name != "Content-Type"}
    return headers, [cast("EmailMessage", part).get_content() for part in mail.iter_parts()]


def same(of: Composer, message: str, customer: Customer, subject: str | None = None) -> bool:
    """Whether both ways give the same mail, or neither does; returns whether it came from a stencil."""
    press = Press(of, SENDER, ABOUT)
    address = customer.email or ""
    own = None if subject is None else lambda locale: subject
    try:
        slow = Letter.of(of.message(message, customer, address, KEY, NOW, ABOUT, own), SENDER)
    except (Unrenderable, Unsendable) as error:
        with pytest.raises(type(error)):
            press.letter(message, own, customer, address, KEY, NOW)
        return False
    assert read(press.letter(message, own, customer, address, KEY, NOW)) == read(slow)
    return any(stencil.body for cut in press._stencils.values() for stencil in cut)


def template(folder: Path, page: str, text: str = "Hello\n", subject: str = "News") -> Composer:
    """A composer whose one message, `email/m`, has this HTML."""
    mail = folder / "email/m/en"
    mail.mkdir(parents=True)
    for name, content in (("body.html", page), ("body.txt", text), ("subject.txt", subject)):
        (mail / name).write_text(content, encoding="utf-8")
    return composer(folder)


@pytest.mark.parametrize("message", SHIPPED)
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_every_shipped_mail_reads_the_same_from_a_stencil(message: str, locale: str) -> None:
    for customer in (ANN, replace(ANN, first_name=None, last_name=None), replace(ANN, first_name="Zoë & <b>=.")):
        same(shipped(), message, replace(customer, locale=locale))


def test_most_shipped_mails_come_from_stencils() -> None:
    assert sum(same(shipped(), message, ANN) for message in SHIPPED) >= 0.8 * len(SHIPPED)


@given(st.text(max_size=120), st.text(max_size=40))
def test_any_name_reads_the_same(first: str, last: str) -> None:
    encodable = first.encode("utf-8", "ignore").decode(), last.encode("utf-8", "ignore").decode()
    customer = replace(ANN, first_name=encodable[0] or None, last_name=encodable[1] or None)
    same(shipped(), "email/whats_new", customer, "{{ customer.first_name or 'Hello' }}, the season is in")


@pytest.mark.parametrize(
    "page",
    [
        "{{ customer.first_name | upper }}",
        "{{ customer.first_name | truncate(3) }}",
        "{{ customer.first_name | length }}",
        "{{ customer.first_name | default('x') | replace('A', 'B') }}",
        "{{ customer.score | int + 1 }}",
        "{{ customer.score * 2 }}",
        "{% if customer.first_name == 'Ann' %}you{% else %}other{% endif %}",
        "{% if customer.score > 3 %}many{% endif %}",
        "{% if customer.last_name is none %}none{% endif %}",
        "{% if 'x' in customer.tags %}tagged{% endif %}",
        "{% for tag in customer.tags %}{{ tag }}{% endfor %}",
        "{{ 'Dear ' ~ customer.first_name }}",
        "{{ 'Dear %s' % customer.first_name }}",
        "{{ 'Dear {}'.format(customer.first_name) }}",
        "{{ customer.first_name[0] }}",
        "{{ customer.first_name.upper() }}",
        "{% set name %}{{ customer.first_name }}{% endset %}{{ name | upper }}",
        "{% filter upper %}{{ customer.first_name }}{% endfilter %}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(customer.first_name) | upper }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{% set y = m(customer.first_name) %}{{ y | length }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{% if m(customer.first_name) == 'Ann' %}yes{% endif %}",
        "{{ {'Ann': 'x'}[customer.first_name] | default('y') }}",
        "{{ [customer.first_name] | join('-') }}",
        "{% autoescape false %}{{ customer.first_name }}{% endautoescape %}",
        "{{ customer.first_name | safe }}",
        "<a href='{{ customer.first_name }}'>x</a>",
        "<a href='https://{{ customer.first_name }}.example/'>x</a>",
    ],
)
def test_what_computes_with_the_person_is_composed_for_each(page: str, tmp_path: Path) -> None:
    of = template(tmp_path, f"<p>{page}</p>{{{{ links.unsubscribe }}}}")
    for customer in (ANN, replace(ANN, first_name="Bartholomew", score=1, tags=[])):
        assert not same(of, "email/m", customer)


@pytest.mark.parametrize(
    "page",
    [
        "{{ customer.first_name or 'you' }}",
        "{% if customer.last_name %}{{ customer.last_name }}{% else %}nobody{% endif %}",
        "{{ customer.score }} {{ customer.tags }} {{ customer.locale }} {{ customer.phone }}",
        "{{ customer.phone | default('none', true) }}",
        "{% set name = customer.first_name or 'you' %}{{ name }}{{ name }}",
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(customer.first_name) }}",
        "<a href='https://k.example/?c={{ customer.id }}&amp;n={{ customer.first_name }}'>x</a>",
        '<a href="https://k.example/a">x</a> <a href="mailto:a@b.c">y</a> <a href="{{ links.unsubscribe }}">z</a>',
        "{{ customer.first_name }}\n.dot\n..\n.{{ customer.first_name }}\n" + "long = line " * 40,
        "</body></html>after {{ customer.first_name }}",
    ],
)
def test_what_only_shows_the_person_comes_from_a_stencil(page: str, tmp_path: Path) -> None:
    of = template(tmp_path, f"<p>{page}</p>{{{{ links.unsubscribe }}}}", "Hi {{ customer.first_name }}\n\n\n.x\n")
    for customer in (ANN, replace(ANN, first_name=".=Zoë<&\"'>" + "é" * 90, last_name=None, score=0, phone="+49301")):
        assert same(of, "email/m", customer)


@given(st.text(min_size=1, max_size=300))
def test_any_text_around_a_name_arrives_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    around = text.encode("utf-8", "ignore").decode().replace("{", "(").replace("\ue000", "") or "x"
    of = template(tmp_path_factory.mktemp("t"), f"<p>{around}{{{{ customer.first_name }}}}{around}</p>")
    same(of, "email/m", ANN)
