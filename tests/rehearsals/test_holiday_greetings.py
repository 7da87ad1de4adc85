"""Holiday greetings: sent out at one moment, read on everybody's own morning."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import LETTERS, at, days_later, happens, runs, sent, touches

LONDON, SYDNEY, LOS_ANGELES, SHANGHAI = "Europe/London", "Australia/Sydney", "America/Los_Angeles", "Asia/Shanghai"
OF_ALL = {"stage": "customer"}


async def test_holiday_greetings(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["holiday_greetings", LETTERS],
        start="2026-12-10T00:00:00+00:00",
        days=30,
        customers=[
            {"external_id": "ada", "country": "GB", "time_zone": LONDON, "company": "Linden Press", **OF_ALL},
            {"external_id": "ben", "country": "AU", "time_zone": SYDNEY, **OF_ALL},
            {"external_id": "chen", "country": "CN", "time_zone": SHANGHAI, "locale": "zh-CN", **OF_ALL},
            {"external_id": "dan", "country": "US", "time_zone": LOS_ANGELES, **OF_ALL},
            {"external_id": "eva", "country": "GB", "time_zone": LONDON, "stage": "new"},
            {"external_id": "fin", "country": "GB", "time_zone": LONDON, "email_consent": "no", **OF_ALL},
            {"external_id": "gil", "country": "GB", "time_zone": LONDON, **OF_ALL},
        ],
        events=[
            happens("ada", "email.clicked", at("2026-12-18 08:00", LONDON), message="email/holiday_card"),
            happens("chen", "email.clicked", at("2026-12-30 10:00", SHANGHAI), message="email/holiday_card"),
            happens("dan", "email.unsubscribed", at("2026-12-14 10:00", LOS_ANGELES), message="email/holiday_card"),
            happens("gil", "letters.wanted", at("2026-12-10 10:00", LONDON)),
        ],
    )

    # Sent out from noon to three on a Sunday, in London, it is read on Monday. A click on Friday: sales on Monday.
    assert touches(lines, "ada") == [sent("email/holiday_card", at("2026-12-14 09:30", LONDON))]
    assert runs(lines, "ada") == [("holiday_greetings", "company_gifts", at("2026-12-21 09:00", LONDON))]

    # By then it is past eleven at night in Sydney.
    assert touches(lines, "ben") == [sent("email/holiday_card", at("2026-12-14 09:30", SYDNEY))]
    assert runs(lines, "ben") == [("holiday_greetings", "greeted", at("2026-12-18 09:30", SYDNEY))]

    # And before breakfast in California, so that it is read on the Sunday.
    assert touches(lines, "dan") == [sent("email/holiday_card", at("2026-12-13 09:30", LOS_ANGELES))]
    assert runs(lines, "dan") == [("holiday_greetings", "unsubscribed", at("2026-12-14 10:00", LOS_ANGELES))]

    # Readers of Chinese get theirs for the new year.
    assert touches(lines, "chen") == [sent("email/holiday_card", at("2026-12-29 09:30", SHANGHAI))]
    assert runs(lines, "chen") == [("holiday_greetings", "gifts", at("2026-12-30 10:00", SHANGHAI))]

    for nobody in ("eva", "fin"):
        assert touches(lines, nobody) == []
        assert runs(lines, nobody) == []

    # Three mails on the Thursday before: the card waits until the first of them is a week old.
    free = days_later(at("2026-12-10 10:00", LONDON), 7, LONDON)
    assert touches(lines, "gil", "holiday_greetings") == [sent("email/holiday_card", free)]
    assert runs(lines, "gil")[-1] == ("holiday_greetings", "greeted", days_later(free, 4, LONDON))
