"""After an order. Public holidays in the spring of 2026: 1 May, 4 May in Britain, 14 May in Germany."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import NO_MAIL, at, happens, runs, sent, skipped, touches

BERLIN, NEW_YORK, LONDON, SINGAPORE = "Europe/Berlin", "America/New_York", "Europe/London", "Asia/Singapore"
THANKS, REVIEW, ORDER = "email/order_thanks", "email/review_request", "order.placed"
START = "2026-04-27T00:00:00+00:00"


async def test_post_purchase(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["post_purchase"],
        start=START,
        days=40,
        customers=[
            {"external_id": "kai", "country": "DE", "time_zone": BERLIN},
            {"external_id": "lia", "country": "US", "time_zone": NEW_YORK, "email_consent": "no"},
            {"external_id": "moe", "country": "GB", "time_zone": LONDON},
            {"external_id": "oli", "country": "GB", "time_zone": LONDON},
        ],
        events=[
            happens("kai", ORDER, at("2026-04-28 22:00", BERLIN), value=32, order="O1"),
            happens("kai", "review.posted", at("2026-05-08 11:00", BERLIN), order="O1", stars=5),
            happens("kai", ORDER, at("2026-05-09 10:00", BERLIN), value=32, order="O2"),
            happens("lia", ORDER, at("2026-04-27 08:00", NEW_YORK), value=32, order="O3"),
            happens("lia", "review.posted", at("2026-05-08 08:00", NEW_YORK), order="O99", stars=1),
            happens("moe", ORDER, at("2026-04-27 10:00", LONDON), value=32, order="O4"),
            happens("moe", "order.cancelled", at("2026-04-28 10:00", LONDON), order="O98"),
            happens("moe", "review.posted", at("2026-05-07 12:00", LONDON), order="O4", stars=3),
            happens("oli", ORDER, at("2026-04-27 10:00", LONDON), value=32, order="O5"),
            happens("oli", "order.cancelled", at("2026-04-28 10:00", LONDON), order="O5"),
            happens("oli", ORDER, at("2026-04-29 10:00", LONDON), value=0, order="O6"),
        ],
    )

    # Confirmed late at night, and six working days later at ten: 29 and 30 April, 4 to 7 May. The second order is
    # confirmed too, and not asked about: 11 to 13, 15, 18 and 19 May.
    assert touches(lines, "kai") == [
        sent(THANKS, at("2026-04-28 22:00", BERLIN)),
        sent(REVIEW, at("2026-05-07 10:00", BERLIN)),
        sent(THANKS, at("2026-05-09 10:00", BERLIN)),
    ]
    assert runs(lines, "kai") == [
        ("post_purchase", "thanked", at("2026-05-08 11:00", BERLIN)),
        ("post_purchase", "thanked", at("2026-05-19 10:00", BERLIN)),
    ]

    # Wants no mail, and hears of her order all the same. What she says about another one is not waited for.
    assert touches(lines, "lia") == [
        sent(THANKS, at("2026-04-27 08:00", NEW_YORK)),
        skipped(REVIEW, at("2026-05-05 10:00", NEW_YORK), NO_MAIL),
    ]
    assert runs(lines, "lia") == [("post_purchase", "thanked", at("2026-05-15 10:00", NEW_YORK))]

    # 28 to 30 April, 1, 5 and 6 May. Another order's cancellation is nothing to this one.
    assert touches(lines, "moe") == [
        sent(THANKS, at("2026-04-27 10:00", LONDON)),
        sent(REVIEW, at("2026-05-06 10:00", LONDON)),
    ]
    assert runs(lines, "moe") == [("post_purchase", "unhappy", at("2026-05-07 12:00", LONDON))]

    # Cancels; and a free sample is no order.
    assert touches(lines, "oli") == [sent(THANKS, at("2026-04-27 10:00", LONDON))]
    assert runs(lines, "oli") == [("post_purchase", "cancelled", at("2026-04-28 10:00", LONDON))]


async def test_an_office_that_orders_by_the_bag_is_handed_on(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["post_purchase", "nurture"],
        start=START,
        days=25,
        customers=[{"external_id": "nia", "country": "SG", "time_zone": SINGAPORE, "company": "Linden Press",
                    "sms_consent": "no"}],
        events=[
            happens("nia", ORDER, "-60d", value=32, order="O1"),
            happens("nia", ORDER, "-30d", value=32, order="O2"),
            happens("nia", ORDER, at("2026-04-27 11:00", SINGAPORE), value=32, order="O3"),
        ],
    )  # fmt: skip
    # Six working days around the first of May, ten days for a review that does not come; then the other journey, in
    # the same moment.
    handed_on = at("2026-05-16 10:00", SINGAPORE)
    assert touches(lines, "nia") == [
        sent(THANKS, at("2026-04-27 11:00", SINGAPORE)),
        sent(REVIEW, at("2026-05-06 10:00", SINGAPORE)),
        sent("email/office_guide", handed_on),
        sent("email/office_costs", at("2026-05-21 10:00", SINGAPORE)),
    ]
    assert runs(lines, "nia") == [("post_purchase", "handed_on", handed_on), ("nurture", None, None)]


async def test_a_review_waits_for_the_window_as_well(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["post_purchase"],
        start=START,
        days=40,
        customers=[{"external_id": "sal", "country": "SA", "time_zone": "Asia/Riyadh"}],
        events=[happens("sal", ORDER, at("2026-05-07 12:00", "Asia/Riyadh"), value=32, order="O1")],
    )
    # In Saudi Arabia Sunday is a working day: 10 to 14 May and 17 May, a Sunday, on which nothing goes.
    asked = [touch for touch in touches(lines, "sal") if touch[0] == REVIEW]
    assert len(asked) == 1
    assert at("2026-05-18 09:00", "Asia/Riyadh") <= asked[0][1] < at("2026-05-18 09:30", "Asia/Riyadh")
