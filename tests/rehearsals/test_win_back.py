"""Winning back. Clocks go back on 25 October 2026 in Europe and on 1 November in New York."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import NO_MAIL, at, days_later, happens, runs, sent, skipped, spread, touches

BERLIN, NEW_YORK, SHANGHAI, LONDON = "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Europe/London"


async def test_win_back(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["win_back"],
        start="2026-10-20T08:00:00+00:00",
        days=30,
        customers=[
            {"external_id": "oz", "country": "DE", "time_zone": BERLIN, "lifetime_value": "90", "sms_consent": "no"},
            {"external_id": "pam", "country": "US", "time_zone": NEW_YORK, "lifetime_value": "1200"},
            {"external_id": "quin", "time_zone": LONDON, "email_consent": "no", "sms_consent": "no"},
            {"external_id": "rex", "country": "CN", "time_zone": SHANGHAI, "locale": "zh-CN", "phone": "+8616600000001",
             "email_consent": "no", "lifetime_value": "1200"},
        ],
        events=[
            happens("oz", "order.placed", at("2026-06-25 12:00", BERLIN), value=32),
            happens("oz", "email.opened", at("2026-10-27 12:00", BERLIN), message="email/long_time"),
            happens("pam", "customer.dormant", at("2026-10-29 18:00", NEW_YORK)),
            happens("pam", "email.clicked", at("2026-10-31 14:00", NEW_YORK), message="email/long_time"),
            happens("pam", "order.placed", at("2026-11-02 09:00", NEW_YORK), value=48),
            happens("quin", "customer.dormant", at("2026-10-29 18:00", LONDON)),
            happens("rex", "customer.dormant", at("2026-10-22 18:00", SHANGHAI)),
            happens("rex", "sms.replied", at("2026-10-27 10:00", SHANGHAI), message="sms/long_time", text="好的"),
            happens("rex", "task.done", at("2026-10-30 11:00", SHANGHAI), outcome="nurture"),
        ],
    )  # fmt: skip

    # Four months after his last order he is dormant, which is found at midnight (UTC) after the 25th; the mail waits
    # for nine o'clock. He reads and does not answer.
    first = spread("2026-10-26 09:00", BERLIN, "1h", "window", "win_back", "long-time", "oz")
    assert touches(lines, "oz") == [
        sent("email/long_time", first),
        sent("email/whats_new", days_later(first, 4, BERLIN)),
        sent("email/last_hello", days_later(first, 10, BERLIN)),
    ]
    assert runs(lines, "oz") == [("win_back", "sleeping", days_later(first, 17, BERLIN))]

    # Comes by on a Saturday afternoon, and a day later is the same hour by a clock that went back; then she orders.
    assert touches(lines, "pam") == [
        sent("email/long_time", at("2026-10-29 18:00", NEW_YORK)),
        sent("email/your_usual", at("2026-11-01 14:00", NEW_YORK)),
    ]
    assert runs(lines, "pam") == [("win_back", "returned", at("2026-11-02 09:00", NEW_YORK))]

    # Wants to hear from us by no way at all.
    assert touches(lines, "quin") == []
    assert runs(lines, "quin") == []

    # Only texts. One of the best customers, so he is called.
    assert touches(lines, "rex") == [
        skipped("email/long_time", at("2026-10-22 18:00", SHANGHAI), NO_MAIL),
        sent("sms/long_time", at("2026-10-26 18:00", SHANGHAI)),
    ]
    assert runs(lines, "rex") == [("win_back", "later", at("2026-10-30 11:00", SHANGHAI))]


async def test_who_begins_a_season_is_won_back_without_an_order(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["win_back", "renewal"],
        start="2026-10-20T08:00:00+00:00",
        days=10,
        customers=[
            {
                "external_id": "sue",
                "country": "GB",
                "time_zone": LONDON,
                "sms_consent": "no",
                "renewal_date": "2026-12-01",
            }
        ],
        events=[
            happens("sue", "order.placed", "-130d", value=32),
            happens("sue", "subscription.started", at("2026-10-21 11:00", LONDON)),
        ],
    )
    # The tag that makes her no longer dormant is seen at the next midnight (UTC).
    assert touches(lines, "sue") == [
        sent("email/long_time", at("2026-10-20 09:00", LONDON)),
        sent("email/season_start", at("2026-10-24 11:00", LONDON)),
    ]
    assert runs(lines, "sue")[0] == ("win_back", "subscribed", at("2026-10-22 00:00"))
