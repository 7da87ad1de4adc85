"""Templates: the right language, the right names, and errors that a marketer can act on."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.messages.rendering import CustomerView, Templates, render_line
from journeys.errors import WaymarkError

LAYOUT = (
    "<html>{% block content %}{% endblock %}\n"
    '{% block footer %}<a href="{{ links.unsubscribe }}">Unsubscribe</a> {{ workspace.name }}{% endblock %}</html>'
)
HTML = (
    '{% extends "layouts/email.html" %}\n'
    '{% block content %}<p>Hello {{ customer.first_name or "there" }}</p>{% endblock %}'
)
TEXT = 'Hello {{ customer.first_name or "there" }}\n\nUnsubscribe: {{ links.unsubscribe }}\n'
SHIPPED = Path(__file__).parent.parent.parent / "templates"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "layouts/email.html", LAYOUT)
    write(tmp_path, "email/welcome/en/subject.txt", "Welcome, {{ customer.first_name }}!\n")
    write(tmp_path, "email/welcome/en/body.html", HTML)
    write(tmp_path, "email/welcome/en/body.txt", TEXT)
    write(tmp_path, "email/welcome/zh/subject.txt", "欢迎你，{{ customer.first_name }}！\n")
    write(tmp_path, "email/welcome/zh/body.html", HTML)
    write(tmp_path, "email/welcome/zh/body.txt", TEXT)
    write(tmp_path, "sms/nudge/en.txt", "Hi {{ customer.first_name }}: {{ event.cart_url }}\n")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def context(event: dict[str, Any] | None = None, **customer: Any) -> dict[str, Any]:
    return {
        "customer": CustomerView({"first_name": "Ada"} | customer, {"plan"}),
        "links": {"unsubscribe": "https://shop.example/u/1?a=1&b=2"},
        "workspace": {"name": "Shop", "address": "1 Street", "url": "https://shop.example"},
        "journey": {"title": "Welcome series"},
        "event": event or {},
    }


def problems(folder: Path, message: str = "email/welcome") -> list[str]:
    return [f"{p.file}:{p.line}: {p.text}" for p in Templates(folder).problems(message, {"plan"})]


def test_a_mail_has_a_subject_a_page_and_a_text(folder: Path) -> None:
    email = Templates(folder).render_email("email/welcome", "en", context())
    assert email.subject == "Welcome, Ada!"
    assert "<p>Hello Ada</p>" in email.html
    assert email.text == "Hello Ada\n\nUnsubscribe: https://shop.example/u/1?a=1&b=2\n"


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("zh-CN", "zh"), ("zh_TW", "zh"), ("ZH", "zh"), ("zh-Hans-CN", "zh"), ("fr", "en"), ("", "en"), (None, "en"),
     ("../..", "en"), ("en-GB", "en")],
)  # fmt: skip
def test_the_nearest_language_is_chosen(folder: Path, wanted: str | None, chosen: str) -> None:
    assert Templates(folder).render_email("welcome", wanted, context()).locale == chosen


def test_another_default_language_can_be_set(folder: Path) -> None:
    assert Templates(folder, "zh-CN").render_email("welcome", "fr", context()).subject == "欢迎你，Ada！"


def test_values_are_escaped_in_html_and_nowhere_else(folder: Path) -> None:
    email = Templates(folder).render_email("welcome", "en", context(first_name="<b>&"))
    assert "Hello &lt;b&gt;&amp;" in email.html
    assert "a=1&amp;b=2" in email.html
    assert "Hello <b>&" in email.text


@given(st.text())
def test_no_name_can_put_a_line_break_into_the_subject(name: str) -> None:
    assert len(render_line("Hello {{ customer.first_name }}", context(first_name=name)).splitlines()) <= 1


def test_a_name_with_a_line_break_stays_in_the_subject_line(folder: Path) -> None:
    email = Templates(folder).render_email("welcome", "en", context(first_name="Ada\r\nBcc: x@y.example"))
    assert email.subject == "Welcome, Ada Bcc: x@y.example!"


def test_a_text_message_is_filled_in(folder: Path) -> None:
    sms = Templates(folder).render_sms("sms/nudge", "fr", context({"cart_url": "https://c"}))
    assert (sms.text, sms.locale) == ("Hi Ada: https://c", "en")


def test_what_the_event_does_not_say_is_an_error_with_the_way_out(folder: Path) -> None:
    with pytest.raises(WaymarkError, match=r"sms/nudge/en\.txt:1: there is no 'cart_url' here this time.*default"):
        Templates(folder).render_sms("nudge", "en", context())


def test_an_empty_field_is_none_and_an_undeclared_one_an_error(folder: Path) -> None:
    write(folder, "sms/nudge/en.txt", "Plan:\n{{ customer.plan or 'none' }} {{ customer.plann }}")
    with pytest.raises(WaymarkError, match=r"en\.txt:2: a customer has no field 'plann'; did you mean 'plan'\?"):
        Templates(folder).render_sms("nudge", "en", context())


def test_a_customer_always_has_tags_and_a_name() -> None:
    nobody = {"customer": CustomerView({})}
    assert render_line("{{ 'vip' in customer.tags }} {{ customer.name or '?' }}", nobody) == "False ?"
    assert (
        render_line("{{ customer.name }}", {"customer": CustomerView({"first_name": "Ada", "last_name": "L"})})
        == "Ada L"
    )


def test_an_error_in_a_layout_names_the_layout(folder: Path) -> None:
    write(folder, "layouts/email.html", LAYOUT.replace("workspace.name", "workspace.nmae"))
    with pytest.raises(WaymarkError, match=r"layouts/email\.html:2: there is no 'nmae'"):
        Templates(folder).render_email("welcome", "en", context())


def test_a_message_that_is_not_there_is_an_error_with_a_hint(folder: Path) -> None:
    with pytest.raises(WaymarkError, match=r"There is no template .*email/farewell in en") as caught:
        Templates(folder).render_email("farewell", "zh", context())
    assert caught.value.hint


@pytest.mark.parametrize("name", ["../welcome", "", "/etc/passwd", "a/b"])
def test_a_message_name_cannot_leave_the_folder(folder: Path, name: str) -> None:
    assert not Templates(folder).exists("email", name)
    with pytest.raises(WaymarkError, match="There is no template"):
        Templates(folder).render_email(name, "en", context())


def test_a_changed_file_is_read_again(folder: Path) -> None:
    templates = Templates(folder)
    templates.render_sms("nudge", "en", context({"cart_url": "x"}))
    write(folder, "sms/nudge/en.txt", "Changed")
    os.utime(folder / "sms/nudge/en.txt", (1, 1))
    assert templates.render_sms("nudge", "en", context()).text == "Changed"


def test_existence_locales_and_messages_are_known(folder: Path) -> None:
    templates = Templates(folder)
    assert templates.exists("email", "welcome")
    assert templates.exists("sms", "sms/nudge")
    assert not templates.exists("sms", "welcome")
    assert templates.locales("email/welcome") == ["en", "zh"]
    assert templates.locales("sms/nudge") == ["en"]
    assert templates.messages("email") == ["email/welcome"]


def test_the_names_that_a_message_uses_are_found_through_its_layout(folder: Path) -> None:
    assert Templates(folder).variables("email/welcome") == {
        "customer.first_name",
        "links.unsubscribe",
        "workspace.name",
    }


def test_names_that_a_template_makes_itself_are_not_its_variables(folder: Path) -> None:
    write(folder, "layouts/parts.html", "{% macro button(url) %}<a href='{{ url }}'>{{ caller() }}</a>{% endmacro %}")
    write(
        folder,
        "email/welcome/en/body.html",
        '{% extends "layouts/email.html" %}{% from "layouts/parts.html" import button %}{% set greeting = "Hi" %}'
        "{% block content %}{{ greeting }}{% for item in event.items %}{{ item.title }} {{ loop.index }}{% endfor %}"
        "{% call button(customer['plan']) %}x{% endcall %}{{ super() }}{% endblock %}",
    )
    assert Templates(folder).variables("email/welcome") == {
        "customer.first_name", "customer.plan", "event.items", "links.unsubscribe", "workspace.name",
    }  # fmt: skip
    assert problems(folder) == []


def test_a_sound_message_has_no_problems(folder: Path) -> None:
    assert problems(folder) == []
    assert problems(folder, "sms/nudge") == []


@pytest.mark.parametrize("file", ["subject.txt", "body.html", "body.txt"])
def test_a_missing_file_is_a_problem(folder: Path, file: str) -> None:
    (folder / "email/welcome/zh" / file).unlink()
    assert problems(folder) == [f"{folder.name}/email/welcome/zh/{file}:1: the file is missing"]


def test_a_syntax_error_is_a_problem_with_its_line(folder: Path) -> None:
    write(folder, "email/welcome/en/body.txt", "Hello\n{% if customer.plan %}\nnever closed {{ links.unsubscribe }}")
    (problem,) = problems(folder)
    assert problem.startswith(f"{folder.name}/email/welcome/en/body.txt:3:")


def test_an_unknown_filter_is_a_problem(folder: Path) -> None:
    write(folder, "sms/nudge/en.txt", "Hello\n{{ customer.plan | shout }}")
    (problem,) = problems(folder, "sms/nudge")
    assert "en.txt:2: No filter named 'shout'" in problem


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("customer.frist_name", "customer has no 'frist_name'", "first_name"),
        ("custmer.first_name", "there is nothing called 'custmer'", "customer"),
        ("links.unsubscibe", "links has no 'unsubscibe'", "unsubscribe"),
        ("workspace.phone", "workspace has no 'phone'", "name, address, url"),
        ("unsubscribe_url", "there is nothing called 'unsubscribe_url'", ""),
    ],
)
def test_a_wrong_name_is_a_problem_with_the_nearest_right_one(folder: Path, name: str, text: str, hint: str) -> None:
    write(folder, "sms/nudge/en.txt", "Hello\n\n{{ %s }}" % name)  # noqa: UP031
    (problem,) = Templates(folder).problems("sms/nudge", {"plan"})
    assert (problem.line, problem.text) == (3, text)
    assert hint in (problem.hint or "")


def test_a_subject_of_two_lines_is_a_problem(folder: Path) -> None:
    write(folder, "email/welcome/en/subject.txt", "Welcome\nto us\n")
    assert problems(folder) == [f"{folder.name}/email/welcome/en/subject.txt:2: the subject has more than one line"]


@pytest.mark.parametrize("file", ["body.html", "body.txt"])
def test_a_mail_without_a_way_to_unsubscribe_is_a_problem(folder: Path, file: str) -> None:
    write(folder, f"email/welcome/en/{file}", "Hello, and no way out")
    (problem,) = problems(folder)
    assert problem.endswith(f"{file}:1: the mail offers no way to unsubscribe")


def test_a_layout_whose_footer_is_replaced_loses_its_unsubscribe_link(folder: Path) -> None:
    write(folder, "email/welcome/en/body.html", HTML + "{% block footer %}Bye{% endblock %}")
    (problem,) = problems(folder)
    assert problem.endswith("the mail offers no way to unsubscribe")


def test_a_missing_layout_is_a_problem_with_the_nearest_one(folder: Path) -> None:
    write(folder, "email/welcome/en/body.html", HTML.replace("email.html", "emial.html"))
    (problem,) = Templates(folder).problems("email/welcome", {"plan"})
    assert (problem.text, problem.hint) == ("there is no 'layouts/emial.html'", "did you mean 'layouts/email.html'?")


def test_a_missing_message_is_a_problem_with_the_nearest_one(folder: Path) -> None:
    (problem,) = Templates(folder).problems("email/wellcome", set())
    assert problem.text == "there is no email 'wellcome' in en"
    assert problem.hint == "did you mean 'email/welcome'?"


def test_an_empty_text_message_is_a_problem(folder: Path) -> None:
    write(folder, "sms/nudge/en.txt", " \n")
    assert problems(folder, "sms/nudge") == [f"{folder.name}/sms/nudge/en.txt:1: there is nothing in it"]


def test_a_file_in_another_encoding_is_a_problem(folder: Path) -> None:
    (folder / "sms/nudge/en.txt").write_bytes("Grüße".encode("latin-1"))
    assert problems(folder, "sms/nudge") == [f"{folder.name}/sms/nudge/en.txt:1: the file is not UTF-8"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ customer.__class__ }}",
        "{{ customer.fields }}",
        "{{ self.__init__.__globals__ }}",
        "{{ customer.tags.__class__ }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{% set many = range(9999) | list %}{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'a' * 10**9 }}",
        "{{ [0] * 10**9 }}",
        "{{ 9999 ** 9999 }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 'a'.ljust(10**8) }}",
        "{{ 'a' | indent(10**8, true) }}",
        "{{ 1 / 0 }}",
        "{% import 'os' as os %}",
        "{{ evil() }}",
        "{% if",
    ],
)
def test_a_hostile_or_broken_template_is_refused_clearly(template: str) -> None:
    with pytest.raises(WaymarkError, match=r": .+"):
        render_line(template, context())


@pytest.mark.parametrize(
    "word",
    ["'{:9999}'.format(1)", "'{:{}}'.format(1, 9999)", "'{x:9999}'.format_map({'x': 1})", "'{:<9999}'['format'](1)"],
)
def test_a_width_without_measure_is_refused_before_it_is_written_out(word: str) -> None:
    with pytest.raises(WaymarkError, match="the width in a format is too large"):
        render_line("{{ " + word + " }}", context())


def test_a_price_can_still_be_formatted() -> None:
    assert render_line("{{ '%.2f' | format(event.total) }} {{ '-' * 3 }}", context({"total": 3})) == "3.00 ---"
    assert render_line("{{ '{:.2f} {}'.format(event.total, '-') }}", context({"total": 3})) == "3.00 -"


@pytest.mark.parametrize("message", [*Templates(SHIPPED).messages("email"), *Templates(SHIPPED).messages("sms")])
def test_every_message_that_ships_is_sound(message: str) -> None:
    fields = {"company", "plan", "renewal_date", "last_order_at", "lifetime_value"}
    assert Templates(SHIPPED).problems(message, fields) == []
