"""The nurture of leads for the office. Clocks in Europe go forward on 29 March 2026; Easter is on 5 April."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import at, happens, runs, sent, spread, touches

LONDON, LOS_ANGELES, SINGAPORE, BERLIN = "Europe/London", "America/Los_Angeles", "Asia/Singapore", "Europe/Berlin"


async def test_nurture(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["nurture"],
        start="2026-03-23T00:00:00+00:00",
        days=45,
        customers=[
            {"external_id": "fay", "country": "GB", "time_zone": LONDON},
            {"external_id": "gus", "country": "US", "time_zone": LOS_ANGELES, "sms_consent": "no"},
            {"external_id": "hua", "country": "CN", "time_zone": "Asia/Shanghai", "email_consent": "no"},
            {"external_id": "ivo", "country": "SG", "time_zone": SINGAPORE},
            {"external_id": "jan", "country": "DE", "time_zone": BERLIN},
        ],
        events=[
            happens("fay", "guide.downloaded", at("2026-03-27 22:30", LONDON)),
            happens("fay", "email.clicked", at("2026-03-28 09:00", LONDON), message="email/office_guide"),
            happens("fay", "email.clicked", at("2026-03-30 20:00", LONDON), message="email/office_costs"),
            happens("fay", "task.done", at("2026-04-01 11:00", LONDON), outcome="won"),
            happens("gus", "tasting.requested", at("2026-03-30 10:00", LOS_ANGELES)),
            happens("hua", "guide.downloaded", at("2026-03-30 10:00", "Asia/Shanghai")),
            happens("ivo", "tasting.requested", at("2026-03-24 20:00", SINGAPORE)),
            happens("ivo", "order.placed", at("2026-03-25 12:00", SINGAPORE), value=32),
            happens("ivo", "order.placed", at("2026-03-30 13:00", SINGAPORE), value=228),
            happens("jan", "tasting.requested", at("2026-03-26 10:00", BERLIN)),
            happens("jan", "email.clicked", at("2026-03-26 11:00", BERLIN), message="email/office_guide"),
            happens("jan", "email.clicked", at("2026-03-28 12:30", BERLIN), message="email/office_costs"),
            happens("jan", "task.done", at("2026-03-31 09:00", BERLIN), outcome="lost"),
        ],
    )

    # The guide goes at once, late on a Friday. Qualified on a Monday evening: introduced on Tuesday, won on Wednesday.
    assert touches(lines, "fay") == [
        sent("email/office_guide", at("2026-03-27 22:30", LONDON)),
        sent("email/office_costs", at("2026-03-30 09:00", LONDON)),
        sent(
            "email/meet_your_roaster",
            spread("2026-03-31 08:30", LONDON, "15m", "window", "nurture", "introduce", "fay"),
        ),
        sent("email/onboarding", at("2026-04-01 11:00", LONDON)),
    ]
    assert runs(lines, "fay") == [("nurture", "won", at("2026-04-06 11:00", LONDON))]

    # Never answers: 35 points for the tasting are all there is.
    assert touches(lines, "gus") == [
        sent("email/office_guide", at("2026-03-30 10:00", LOS_ANGELES)),
        sent("email/office_costs", at("2026-04-04 10:00", LOS_ANGELES)),
        sent("email/studio_story", at("2026-04-15 10:00", LOS_ANGELES)),
    ]
    assert runs(lines, "gus") == [("nurture", "cold", at("2026-04-20 10:00", LOS_ANGELES))]

    # Asked for the guide and has not agreed to mails: no journey, and the site shows the guide anyway.
    assert touches(lines, "hua") == []
    assert runs(lines, "hua") == []

    # A bag for the kitchen at home ends nothing, an order for the office does.
    assert touches(lines, "ivo") == [
        sent("email/office_guide", at("2026-03-24 20:00", SINGAPORE)),
        sent("email/office_costs", spread("2026-03-30 08:00", SINGAPORE, "30m", "window", "nurture", "costs", "ivo")),
    ]
    assert runs(lines, "ivo") == [("nurture", "converted", at("2026-03-30 13:00", SINGAPORE))]

    # Qualified on a Saturday, introduced on Monday, lost on Tuesday. Five working days after that, the holidays of
    # Easter between them, is Thursday of the next week.
    assert touches(lines, "jan") == [
        sent("email/office_guide", at("2026-03-26 10:00", BERLIN)),
        sent("email/office_costs", at("2026-03-28 11:00", BERLIN)),
        sent(
            "email/meet_your_roaster",
            spread("2026-03-30 08:30", BERLIN, "15m", "window", "nurture", "introduce", "jan"),
        ),
        sent("email/no_hard_feelings", at("2026-04-09 10:00", BERLIN)),
    ]
    assert runs(lines, "jan") == [("nurture", "lost", at("2026-04-09 10:00", BERLIN))]


async def test_sales_may_be_faster_than_the_mail_that_announces_it(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["nurture"],
        start="2026-03-23T00:00:00+00:00",
        days=20,
        customers=[{"external_id": "fay", "country": "GB", "time_zone": LONDON}],
        events=[
            happens("fay", "tasting.requested", at("2026-03-26 10:00", LONDON)),
            happens("fay", "email.clicked", at("2026-03-26 11:00", LONDON), message="email/office_guide"),
            happens("fay", "email.clicked", at("2026-03-28 12:00", LONDON), message="email/office_costs"),
            happens("fay", "task.done", at("2026-03-28 15:00", LONDON), outcome="won"),
            happens("fay", "email.clicked", at("2026-03-30 12:00", LONDON), message="email/onboarding"),
        ],
    )
    # The introduction waits for Monday; that the lead was won on Saturday has been heard all the same.
    introduced = spread("2026-03-30 08:30", LONDON, "15m", "window", "nurture", "introduce", "fay")
    assert touches(lines, "fay")[2:] == [
        sent("email/meet_your_roaster", introduced),
        sent("email/onboarding", introduced),
    ]
    assert runs(lines, "fay") == [("nurture", "won", at("2026-03-30 12:00", LONDON))]
