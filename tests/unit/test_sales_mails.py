"""Mails to those who sell: in their language, with who it is, why now, what to do and how to answer; none unescaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from babel import Locale

from activities.messages.composing import Workspace
from activities.sales.briefing import Briefing, Given
from activities.sales.salesday import Day, RepDay, Whole
from activities.sales.salesmail import SalesMails
from activities.sales.words import FOLDER, Library
from journeys.errors import WaymarkError
from journeys.source import Source
from journeys.team import Rep, Team
from journeys.worktime import WorkWeek
from records.people.customers import Customer
from records.sales.assignments import Step
from records.sales.days import Line
from records.sales.notices import Kind, Notice
from records.sales.pipeline import Month, StageSum
from records.sales.tasks import Task

TEMPLATES = Path(__file__).parents[2] / "templates"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DUE = datetime(2026, 3, 3, 9, tzinfo=UTC)
SHANGHAI = Team().week(Rep(name="Mei", email="m@a.example", time_zone="Asia/Shanghai"), "UTC")


def phrases(language: str) -> dict[str, str]:
    return Source.read(TEMPLATES / FOLDER / f"{language}.yaml").data


def notice(kind: Kind, to: str = "Mei Lin") -> Notice:
    return Notice(1, f"{kind}/7", kind, 7, to, "mei@acme.example", "pending", None, 0, NOW, NOW, None)


def task(**columns: object) -> Task:
    row = dict.fromkeys(Task.__dataclass_fields__) | {
        "id": 7, "customer_id": 3, "queue": "sales", "title": "Qualified lead: <Ann>", "because": "asked by the map",
        "details": {"reached": {"score": 65, "threshold": 60, "because": "asked for a tasting"}}, "status": "open",
        "priority": 5, "due_at": DUE, "created_at": NOW, "assigned_to": "Mei Lin", "marketing": "go_on",
        "customer": "Ann <b>Lee</b>",
    }  # fmt: skip
    return Task(**(row | columns))  # type: ignore[arg-type]


def briefing(**columns: object) -> Briefing:
    row = dict.fromkeys(Customer.__dataclass_fields__) | {
        "id": 3, "email": "ann@linden.example", "phone": "+498912345", "country": "DE", "stage": "qualified",
        "score": 65, "tags": [], "properties": {"company": "Linden & Sons"}, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    points = [Given(35, "asked for a tasting", NOW), Given(30, "company size", None)]
    return Briefing(task(**columns), Customer(**row), 65, points)  # type: ignore[arg-type]


def written(
    kind: Kind, language: str | None = "en", week: WorkWeek = SHANGHAI, steps: Sequence[Step] = (), **columns: object
) -> tuple[str, str, str]:
    mails = SalesMails([TEMPLATES], Workspace("Kettlewick", "1 Street", "https://k.example"), "en")
    known = replace(briefing(**columns), steps=list(steps))
    mail = mails.of_task(notice(kind), known, language, week, NOW)
    assert mail.subject is not None
    return mail.subject, mail.text, mail.html or ""


@pytest.mark.parametrize("language", ["zh"])
def test_every_phrase_is_there_in_every_language_with_the_same_places(language: str) -> None:
    def places(said: dict[str, str]) -> dict[str, set[str]]:
        return {key: set(re.findall(r"{(\w+)}", phrase)) for key, phrase in said.items()}

    assert places(phrases(language)) == places(phrases("en"))


def test_a_mail_says_who_it_is_why_now_what_to_do_and_how_to_answer() -> None:
    subject, text, html = written("reminder")
    assert subject == "Due soon: Qualified lead: <Ann>"
    for said in (
        "due on Tuesday, 3 March 2026 at 17:00 (Asia/Shanghai)", "+498912345", "ann@linden.example", "Linden & Sons",
        "The score reached 60 by: asked for a tasting.", "+35  asked for a tasting (2 Mar)", "+30  company size",
        "Claim it, get in touch", "waymark tasks claim 7 --rep 'Mei Lin'", "waymark customers show 3",
        "Country: Germany",
        "waymark tasks done 7 --rep 'Mei Lin' --outcome won",
    ):  # fmt: skip
        assert said in text
    assert "Ann &lt;b&gt;Lee&lt;/b&gt;" in html
    assert "Linden &amp; Sons" in html
    assert 'href="tel:+498912345"' in html
    assert not re.search(r"<b>Lee|<Ann>", html)


def test_who_has_claimed_it_is_not_told_to_and_what_a_map_asked_for_says_so() -> None:
    _, text, _ = written("reminder", claimed_by="Mei Lin", status="claimed", details={})
    assert "tasks claim" not in text
    assert "You have claimed it" in text
    assert "Why now\n  asked by the map" in text


def test_who_gets_a_lead_is_told_who_it_is_why_now_and_until_when() -> None:
    subject, text, html = written("assigned")
    assert subject == "New: Qualified lead: <Ann>"
    for said in (
        "task 7 is new, and it is yours. It is due on Tuesday, 3 March 2026 at 17:00 (Asia/Shanghai).",
        "Linden & Sons", "The score reached 60 by: asked for a tasting.", "waymark tasks claim 7 --rep 'Mei Lin'",
    ):  # fmt: skip
        assert said in text
    assert "task 7 is new" in html
    assert written("assigned", "zh")[0] == "新任务：Qualified lead: <Ann>"


@pytest.mark.parametrize(
    ("because", "english", "chinese"),
    [
        ("Tom did not claim it in time", "It was with Tom, who did not claim it in time.", "但 Tom 未及时认领"),
        ("Tom sells no more", "It was with Tom, who sells no more.", "但 Tom 已不再做销售"),
        ("by hand", "It was with Tom.", "此前由 Tom 负责。"),
        ("speaks <French>", "It was with Tom. The reason: speaks <French>.", "原因：speaks <French>"),
    ],
)
def test_whose_it_was_is_said_to_whom_it_is_given(because: str, english: str, chinese: str) -> None:
    steps = [Step(5, 7, "assigned", "Tom", "round robin", NOW), Step(7, 7, "reassigned", "Mei Lin", because, NOW)]
    _, text, html = written("reassigned", steps=steps)
    assert f"{english}\n" in text
    assert "<French>" not in html
    assert chinese in written("reassigned", "zh", steps=steps)[1]
    assert "It was with" not in written("reassigned", steps=steps[1:])[1]


@pytest.mark.parametrize(
    ("language", "currency", "said"),
    [("en", "EUR", ("€1,200", "€99.50")), ("zh", "CNY", ("¥1,200", "¥99.50")), ("de", "EUR", ("1.200 €", "99,50 €")),
     ("en", "CHF", ("CHF 1,200", "CHF 99.50")), ("zh", "CHF", ("CHF 1,200", "CHF 99.50")),
     ("en", None, ("1,200", "99.50"))],
)  # fmt: skip
def test_amounts_are_in_the_workspace_s_currency_as_the_reader_writes_it(
    language: str, currency: str | None, said: tuple[str, str]
) -> None:
    words = replace(Library([TEMPLATES], "en", currency).words(language), locale=Locale.parse(language))
    assert tuple(words.amount(Decimal(one)).replace("\xa0", " ") for one in ("1200", "99.50")) == said


def test_the_manager_is_told_who_has_it_and_how_to_give_it_to_another() -> None:
    assert "It is with: Mei Lin." in written("escalation")[1]
    assert "It is with: nobody." in written("escalation", assigned_to=None)[1]
    assert "waymark tasks reassign 7 --to NAME" in written("escalation")[1]


def test_chinese_readers_get_chinese_and_others_the_nearest_that_there_is(tmp_path: Path) -> None:
    for language in ("zh", "zh-CN", "zh-Hans-CN"):
        subject, text, html = written("reminder", language)
        assert subject == "即将到期：Qualified lead: <Ann>"
        assert "国家: 德国" in text
        assert "2026年3月3日星期二 17:00（Asia/Shanghai）" in text
        assert 'lang="zh"' in html
    assert written("reminder", "xx")[0].startswith("Due soon")
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "de.yaml").write_text('reminder_subject: "Bald fällig: {title}"\n')
    mails = SalesMails([tmp_path, TEMPLATES], Workspace("K", "", ""), "en")
    german = mails.of_task(notice("reminder"), briefing(), "de-AT", SHANGHAI, NOW)
    assert german.subject == "Bald fällig: Qualified lead: <Ann>"
    assert "Dienstag, 3. März 2026" in german.text
    assert Library([tmp_path, TEMPLATES], "en").languages() == ["de", "en", "zh"]
    (tmp_path / FOLDER / "de.yaml").write_text("reminder_subject: [a]\n")
    with pytest.raises(WaymarkError, match=r"de.yaml:1:1: is no phrase"):
        mails.of_task(notice("reminder"), briefing(), "de", SHANGHAI, NOW)


IN_ENGLISH = [
    "Mei: 2 new, 1 claimed, 1 done, 1 (900) won, 1 open, 1 late", "Overdue (1)",
    "March 2026 × 2: 1,500.50, weighted 550",
    "no day named × 1: 80, weighted 8", "offer × 2: 1,300, weighted 650", "Ann · Mei · lost · too dear",
    "nobody has the territory FR",
]  # fmt: skip
IN_CHINESE = [
    "Mei: 2 新增、1 认领、1 完成、1 (900) 成交、1 未完、1 逾期", "已逾期 (1)", "2026年3月 × 2: 1,500.50，加权 550",
    "失败 · too dear",
]  # fmt: skip


@pytest.mark.parametrize(("language", "said"), [("en", IN_ENGLISH), ("zh", IN_CHINESE)])
def test_the_manager_reads_the_day_in_figures_and_lists(language: str, said: list[str]) -> None:
    line = Line(7, "Ring", "Ann", "sales", "Mei", NOW, NOW, None, NOW, None, None, None, None, None, None)
    lost = Line(8, "Ring", "Ann", "sales", "Mei", NOW, NOW, None, DUE, NOW, "lost", "too dear", "lost", None, None)
    nobodys = Line(9, "Ring", "Bob", "sales", None, NOW, None, None, DUE, None, None, None, None, None, None)
    whole = Whole(
        [RepDay("Mei", 2, 1, 1, 1, Decimal(900), 1, 1)], [nobodys], {9: "nobody has the territory FR"}, [line], [],
        [Month("2026-03", 2, Decimal("1500.50"), Decimal(550)), Month(None, 1, Decimal(80), Decimal(8))],
    )  # fmt: skip
    sums = [StageSum("offer", 2, Decimal(1300), Decimal(650))]
    day = Day(None, date(2026, 3, 2), "UTC", date(2026, 3, 3), [line], [], [lost], [line], [nobodys], sums, whole)
    mails = SalesMails([TEMPLATES], Workspace("Kettlewick", "", ""), "en")
    mail = mails.of_day(notice("day", "Ada"), day, language, SHANGHAI, NOW)
    for part in said:
        assert part in mail.text
    of_mei = replace(day, rep="Mei", whole=None)
    mail = mails.of_day(notice("day"), of_mei, "en", SHANGHAI, NOW)
    assert "New today (1): 7\n" in mail.text
    assert mail.text.count("  7  Ring") == 1
    assert "{" not in f"{mail.text}{mail.subject}"
