"""Abandoned carts. Clocks in Europe go back on 25 October 2026."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import LETTERS, at, happens, later, runs, sent, skipped, spread, touches

BERLIN, LONDON, SINGAPORE = "Europe/Berlin", "Europe/London", "Asia/Singapore"
START = "2026-10-23T00:00:00+00:00"
CART, MAIL, TEXT = "cart.updated", "email/cart_waiting", "sms/cart_waiting"


async def test_abandoned_cart(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["abandoned_cart"],
        start=START,
        days=12,
        customers=[
            {"external_id": "gil", "country": "DE", "time_zone": BERLIN, "phone": "+4917139200001"},
            {"external_id": "ed", "country": "GB", "time_zone": LONDON},
            {"external_id": "ina", "time_zone": LONDON},
            {"external_id": "joy", "country": "SG", "time_zone": SINGAPORE, "company": "Linden Press"},
            {"external_id": "kai", "time_zone": LONDON, "email_consent": "no", "sms_consent": "no"},
            {"external_id": "lia", "country": "GB", "time_zone": LONDON, "phone": "+442079460001"},
            {"external_id": "moe", "country": "GB", "time_zone": LONDON},
        ],
        events=[
            happens("gil", CART, at("2026-10-24 10:00", BERLIN), cart="C1", amount=24),
            happens("gil", CART, at("2026-10-24 11:30", BERLIN), cart="C1", amount=40),
            happens("gil", CART, at("2026-10-24 12:00", BERLIN), cart="C9", amount=90),
            happens("ed", CART, at("2026-10-23 18:00", LONDON), cart="C2", amount=48),
            happens("ed", "order.placed", at("2026-10-24 11:00", LONDON), value=20, cart="C7"),
            happens("ed", "order.placed", at("2026-10-24 12:00", LONDON), value=48, cart="C2"),
            happens("ina", CART, at("2026-10-23 12:00", LONDON), cart="C3", amount=14.99),
            happens("joy", CART, at("2026-10-26 09:00", SINGAPORE), cart="C4", amount=250),
            happens("joy", "email.clicked", at("2026-10-26 20:00", SINGAPORE), message=MAIL),
            happens("kai", CART, at("2026-10-26 09:00", LONDON), cart="C5", amount=250),
            happens("lia", CART, at("2026-10-26 09:00", LONDON), cart="C6", amount=30),
            happens("lia", "sms.replied", at("2026-10-30 15:00", LONDON), message=TEXT, text="Which one is mild?"),
            happens("moe", CART, at("2026-10-26 09:00", LONDON), cart="C8", amount=30),
            happens("moe", CART, at("2026-10-26 10:00", LONDON), cart="C8", amount=0),
            happens("moe", "cart.emptied", at("2026-10-26 10:00", LONDON), cart="C8"),
        ],
    )

    # Four hours after the last change of this basket, whatever happens to another one; twice, and then by text. Two
    # days later it is the same hour on a clock that went back.
    assert touches(lines, "gil") == [
        sent(MAIL, at("2026-10-24 15:30", BERLIN)),
        sent(MAIL, at("2026-10-26 15:30", BERLIN)),
        sent(TEXT, at("2026-10-28 15:30", BERLIN)),
    ]
    assert [line["visit"] for line in lines if line.get("step") == "reminder" and line["customer"] == "gil"] == [1, 2]
    assert runs(lines, "gil") == [("abandoned_cart", "left", at("2026-10-29 15:30", BERLIN))]

    # Ten at night is too late, so the morning. Buying another basket is not buying this one.
    assert touches(lines, "ed") == [
        sent(MAIL, spread("2026-10-24 08:00", LONDON, "30m", "window", "abandoned_cart", "reminder", "ed"))
    ]
    assert runs(lines, "ed") == [("abandoned_cart", "bought", at("2026-10-24 12:00", LONDON))]

    # A cent too little; nobody whom we may write to.
    for nobody in ("ina", "kai"):
        assert touches(lines, nobody) == []
        assert runs(lines, nobody) == []

    # A large basket of a company: sales hears of it. She looks again and is left in peace.
    assert touches(lines, "joy") == [sent(MAIL, at("2026-10-26 13:00", SINGAPORE))]
    assert runs(lines, "joy") == [("abandoned_cart", "looked_again", at("2026-10-27 20:00", SINGAPORE))]

    # Answers the text.
    assert touches(lines, "lia") == [
        sent(MAIL, at("2026-10-26 13:00", LONDON)),
        sent(MAIL, at("2026-10-28 13:00", LONDON)),
        sent(TEXT, at("2026-10-30 13:00", LONDON)),
    ]
    assert runs(lines, "lia") == [("abandoned_cart", "answered", at("2026-10-30 15:00", LONDON))]

    # Empties it.
    assert touches(lines, "moe") == []
    assert runs(lines, "moe") == [("abandoned_cart", "emptied", at("2026-10-26 10:00", LONDON))]


async def test_who_is_kept_out_gets_nothing_and_walks_the_same_way(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["abandoned_cart"],
        start=START,
        days=12,
        customers=[{"external_id": "hal", "country": "GB", "time_zone": LONDON, "phone": "+442079460002"}],
        events=[happens("hal", CART, at("2026-10-26 09:00", LONDON), cart="C1", amount=30)],
    )
    # Chance has chosen him: one in ten is.
    assert touches(lines, "hal") == [
        skipped(MAIL, at("2026-10-26 13:00", LONDON), "holdout"),
        skipped(MAIL, at("2026-10-28 13:00", LONDON), "holdout"),
        skipped(TEXT, at("2026-10-30 13:00", LONDON), "holdout"),
    ]
    assert runs(lines, "hal") == [("abandoned_cart", "left", at("2026-10-31 13:00", LONDON))]


async def test_all_journeys_share_what_a_week_allows_and_a_text_at_night_is_left_out(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["abandoned_cart", LETTERS],
        start=START,
        days=12,
        customers=[{"external_id": "gil", "country": "DE", "time_zone": BERLIN, "phone": "+4917139200001"}],
        events=[
            happens("gil", "letters.wanted", at("2026-10-24 09:00", BERLIN)),
            happens("gil", CART, at("2026-10-24 16:30", BERLIN), cart="C1", amount=24),
        ],
    )
    # Three mails that morning are all that a week allows. It is half past eight in the evening for the text as well.
    assert touches(lines, "gil", "abandoned_cart") == [
        skipped(MAIL, at("2026-10-24 20:30", BERLIN), "capped: 3 mails within 1 week"),
        skipped(MAIL, at("2026-10-26 20:30", BERLIN), "capped: 3 mails within 1 week"),
        skipped(TEXT, at("2026-10-28 20:30", BERLIN), "quiet hours"),
    ]
    assert runs(lines, "gil")[-1] == ("abandoned_cart", "left", at("2026-10-29 20:30", BERLIN))


async def test_as_long_as_somebody_is_choosing_nobody_interrupts(rehearse: Rehearse) -> None:
    first = at("2026-10-26 09:00", LONDON)
    changes = [later(first, hours=hours) for hours in (0, 4, 8, 11)]
    lines = await rehearse(
        ["abandoned_cart"],
        start=START,
        days=12,
        customers=[{"external_id": "ed", "country": "GB", "time_zone": LONDON, "sms_consent": "no"}],
        events=[happens("ed", CART, moment, cart="C1", amount=30) for moment in changes],
    )
    # A change exactly four hours after the one before still counts. The last is at eight, so midnight: in the morning.
    first_reminder = spread("2026-10-27 08:00", LONDON, "30m", "window", "abandoned_cart", "reminder", "ed")
    assert touches(lines, "ed") == [sent(MAIL, first_reminder), sent(MAIL, later(first_reminder, days=2))]
    assert runs(lines, "ed") == [("abandoned_cart", "left", later(first_reminder, days=4))]
