"""The welcome series. Clocks in Europe go forward on 29 March 2026."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import at, happens, runs, sent, spread, touches

BERLIN, NEW_YORK, SHANGHAI, LONDON = "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Europe/London"


async def test_welcome(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["welcome"],
        start="2026-03-23T00:00:00+00:00",
        days=40,
        customers=[
            {"external_id": "ann", "country": "DE", "time_zone": BERLIN},
            {"external_id": "ben", "country": "GB", "time_zone": LONDON, "email_consent": "no"},
            {"external_id": "cy", "country": "US", "time_zone": NEW_YORK, "phone": "+12125550101",
             "company": "Linden Press"},
            {"external_id": "di", "country": "CN", "time_zone": SHANGHAI, "locale": "zh-CN"},
            {"external_id": "kai", "country": "GB", "time_zone": LONDON, "sms_consent": "no"},
            {"external_id": "gil", "country": "GB", "time_zone": LONDON},
        ],
        events=[
            happens("ann", "customer.signed_up", at("2026-03-25 18:00", BERLIN)),
            happens("ann", "email.clicked", at("2026-03-26 20:00", BERLIN), message="email/welcome"),
            happens("ann", "email.clicked", at("2026-04-05 10:00", BERLIN), message="email/first_order"),
            happens("ben", "customer.signed_up", at("2026-03-25 18:00", LONDON)),
            happens("cy", "customer.signed_up", at("2026-03-23 23:30", NEW_YORK)),
            happens("cy", "sms.replied", at("2026-03-28 12:00", NEW_YORK), message="sms/taster_nudge", text="Please"),
            happens("di", "customer.signed_up", at("2026-03-24 10:00", SHANGHAI)),
            happens("di", "email.clicked", at("2026-03-25 11:00", SHANGHAI), message="email/welcome"),
            happens("di", "order.placed", at("2026-03-28 13:00", SHANGHAI), value=48),
            happens("kai", "customer.signed_up", at("2026-03-26 07:00", LONDON)),
            happens("kai", "email.opened", at("2026-03-26 09:00", LONDON), message="email/welcome"),
            happens("kai", "email.clicked", at("2026-04-02 16:59", LONDON), message="email/first_order"),
            happens("gil", "customer.signed_up", at("2026-03-26 21:59", LONDON)),
            happens("gil", "email.opened", at("2026-03-26 22:30", LONDON), message="email/welcome"),
            happens("gil", "email.unsubscribed", at("2026-03-30 09:00", LONDON), message="email/welcome"),
        ],
    )  # fmt: skip

    # Claims the taster, does not brew, looks at a bag on a Sunday: reminded on the next Friday, that being her arm.
    assert touches(lines, "ann") == [
        sent("email/welcome", at("2026-03-25 18:00", BERLIN)),
        sent("email/brew_guide", at("2026-03-30 20:00", BERLIN)),
        sent("email/first_order", at("2026-04-04 20:00", BERLIN)),
        sent("email/order_reminder", at("2026-04-10 17:00", BERLIN)),
    ]
    assert runs(lines, "ann") == [("welcome", "warm", at("2026-04-13 17:00", BERLIN))]

    # Nothing may be sent to him, so he never comes in.
    assert touches(lines, "ben") == []
    assert runs(lines, "ben") == []

    # Signs up at night and is greeted at once; the text waits for eight o'clock, and its answer is a claim.
    nudge = spread("2026-03-27 08:00", NEW_YORK, "15m", "window", "welcome", "nudge", "cy")
    assert touches(lines, "cy") == [
        sent("email/welcome", at("2026-03-23 23:30", NEW_YORK)),
        sent("sms/taster_nudge", nudge),
        sent("email/first_order_team", at("2026-03-31 12:00", NEW_YORK)),
    ]
    assert runs(lines, "cy") == [("welcome", "tasted", at("2026-04-05 12:00", NEW_YORK))]

    # Orders while the box is still in the post.
    assert touches(lines, "di") == [sent("email/welcome", at("2026-03-24 10:00", SHANGHAI))]
    assert runs(lines, "di") == [("welcome", "converted", at("2026-03-28 13:00", SHANGHAI))]

    # Reads and does not claim. Clicks a Thursday before five: a day later is Friday, his arm is the Sunday.
    assert touches(lines, "kai") == [
        sent("email/welcome", at("2026-03-26 07:00", LONDON)),
        sent("email/taster_answers", at("2026-03-29 07:00", LONDON)),
        sent("email/first_order", at("2026-04-01 07:00", LONDON)),
        sent("email/order_reminder", at("2026-04-05 17:00", LONDON)),
    ]
    assert runs(lines, "kai") == [("welcome", "warm", at("2026-04-08 17:00", LONDON))]

    # A minute before ten it is not too late, three days later neither; whoever unsubscribes leaves at once.
    assert touches(lines, "gil") == [
        sent("email/welcome", at("2026-03-26 21:59", LONDON)),
        sent("email/taster_answers", at("2026-03-29 21:59", LONDON)),
    ]
    assert runs(lines, "gil") == [("welcome", "unsubscribed", at("2026-03-30 09:00", LONDON))]


async def test_a_consent_that_is_withdrawn_in_the_middle_is_heeded(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["welcome"],
        start="2026-03-23T00:00:00+00:00",
        days=20,
        customers=[{"external_id": "ann", "country": "DE", "time_zone": BERLIN, "phone": "+4917139200001"}],
        events=[
            happens("ann", "customer.signed_up", at("2026-03-27 12:00", BERLIN)),
            happens("ann", "sms.unsubscribed", at("2026-03-30 11:59", BERLIN)),
        ],
    )
    # The branch sees that no text may go; nothing asks for one.
    assert touches(lines, "ann") == [
        sent("email/welcome", at("2026-03-27 12:00", BERLIN)),
        sent("email/first_order", at("2026-04-02 12:00", BERLIN)),
    ]
    assert runs(lines, "ann") == [("welcome", "quiet", at("2026-04-07 12:00", BERLIN))]
