"""Asking for consent again. Clocks go forward on 8 March 2026 in New York and on 29 March in Europe."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import LETTERS, at, days_later, happens, runs, sent, spread, touches

BERLIN, NEW_YORK, LONDON, SHANGHAI = "Europe/Berlin", "America/New_York", "Europe/London", "Asia/Shanghai"
ASKED, LAST = "email/still_welcome", "email/still_welcome_last"


def entered(day: str, zone: str, customer: str) -> str:
    """When somebody whose two years are over on this day comes in: at ten, with two hours of spread."""
    return spread(f"{day} 10:00", zone, "2h", "spread", "re_permission", f"date/consent_date/{day}", customer)


async def test_re_permission(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["re_permission", LETTERS],
        start="2026-02-20T00:00:00+00:00",
        days=60,
        customers=[
            {"external_id": "pia", "country": "DE", "time_zone": BERLIN, "consent_date": "2024-03-30"},
            {"external_id": "ron", "country": "US", "time_zone": NEW_YORK, "consent_date": "2024-03-05"},
            {"external_id": "sam", "country": "GB", "time_zone": LONDON, "consent_date": "2024-03-07"},
            {"external_id": "tom", "country": "GB", "time_zone": LONDON, "consent_date": "2024-03-07"},
            {"external_id": "uli", "country": "GB", "time_zone": LONDON, "consent_date": "2024-03-07",
             "email_consent": "no"},
            {"external_id": "val", "country": "CN", "time_zone": SHANGHAI, "consent_date": "2024-02-29",
             "locale": "zh-CN"},
            {"external_id": "yan", "country": "CN", "time_zone": SHANGHAI, "consent_date": "2024-03-05",
             "locale": "zh-CN"},
        ],
        events=[
            happens("pia", "email.clicked", at("2026-03-31 12:00", BERLIN), message=ASKED),
            happens("ron", "email.opened", at("2026-03-20 12:00", NEW_YORK), message=LAST),
            happens("sam", "email.unsubscribed", at("2026-03-10 12:00", LONDON), message=ASKED),
            happens("tom", "order.placed", "-100d", value=20),
            happens("val", "email.clicked", at("2026-03-18 20:00", SHANGHAI), message=ASKED),
            happens("yan", "letters.wanted", at("2026-03-04 08:00", SHANGHAI)),
        ],
    )  # fmt: skip

    # Says yes the day after.
    asked = entered("2026-03-30", BERLIN, "pia")
    assert touches(lines, "pia") == [sent(ASKED, asked)]
    assert runs(lines, "pia") == [("re_permission", "confirmed", at("2026-03-31 12:00", BERLIN))]

    # Reads and says nothing. Clocks change in between; the hour stays.
    asked = entered("2026-03-05", NEW_YORK, "ron")
    assert touches(lines, "ron") == [sent(ASKED, asked), sent(LAST, days_later(asked, 14, NEW_YORK))]
    assert runs(lines, "ron") == [("re_permission", "let_go", days_later(asked, 21, NEW_YORK))]

    # Two years end on a Saturday: asked on Monday. Says no.
    monday = spread("2026-03-09 09:00", LONDON, "2h", "window", "re_permission", "question", "sam")
    assert touches(lines, "sam") == [sent(ASKED, monday)]
    assert runs(lines, "sam") == [("re_permission", "unsubscribed", at("2026-03-10 12:00", LONDON))]

    # Ordered in the last year; has no consent that could be asked for again.
    for nobody in ("tom", "uli"):
        assert touches(lines, nobody) == []
        assert runs(lines, nobody) == []

    # 29 February and two years is the 28th, a Saturday. Says yes by the first mail once the second has come.
    monday = spread("2026-03-02 09:00", SHANGHAI, "2h", "window", "re_permission", "question", "val")
    assert touches(lines, "val") == [sent(ASKED, monday), sent(LAST, days_later(monday, 14, SHANGHAI))]
    assert runs(lines, "val") == [("re_permission", "confirmed", at("2026-03-18 20:00", SHANGHAI))]

    # Has had three letters the day before: the question waits until the first is a week old, at eight in the morning,
    # and then for nine.
    free = spread("2026-03-11 09:00", SHANGHAI, "2h", "window", "re_permission", "question", "yan")
    assert touches(lines, "yan", "re_permission") == [
        sent(ASKED, free),
        sent(LAST, days_later(free, 14, SHANGHAI)),
    ]
    assert runs(lines, "yan")[-1] == ("re_permission", "let_go", days_later(free, 21, SHANGHAI))
