"""The renewal of a season. Clocks go forward on 8 March 2026 in New York and on 29 March in Berlin."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import NO_MAIL, at, happens, runs, sent, skipped, spread, touches

BERLIN, NEW_YORK, KOLKATA, LONDON = "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Europe/London"


async def test_renewal(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["renewal"],
        start="2026-03-02T00:00:00+00:00",
        days=60,
        customers=[
            {"external_id": "kim", "country": "DE", "time_zone": BERLIN, "plan": "home", "renewal_date": "2026-04-13"},
            {"external_id": "lou", "country": "US", "time_zone": NEW_YORK, "plan": "office",
             "renewal_date": "2026-04-14", "email_consent": "no", "phone": "+12125550102"},
            {"external_id": "mia", "country": "IN", "time_zone": KOLKATA, "plan": "home", "tags": "subscriber",
             "renewal_date": "2026-03-26", "phone": "+917000000001"},
            {"external_id": "ned", "country": "GB", "time_zone": LONDON, "plan": "team", "renewal_date": "2026-04-15"},
            {"external_id": "oli", "country": "GB", "time_zone": LONDON, "renewal_date": "2026-04-15"},
            {"external_id": "pat", "country": "GB", "time_zone": LONDON},
        ],
        events=[
            happens("kim", "subscription.started", at("2026-03-02 13:00", BERLIN)),
            happens("kim", "email.clicked", at("2026-03-06 09:00", BERLIN), message="email/season_start"),
            happens("kim", "email.clicked", at("2026-03-31 12:00", BERLIN), message="email/renewal_notice"),
            happens("kim", "subscription.renewed", at("2026-04-11 17:00", BERLIN), value=48),
            happens("lou", "subscription.started", at("2026-03-03 10:00", NEW_YORK)),
            happens("mia", "email.clicked", at("2026-03-24 11:30", KOLKATA), message="email/renewal_last"),
            happens("ned", "subscription.started", at("2026-03-04 23:30", LONDON)),
            happens("pat", "subscription.started", at("2026-03-04 10:00", LONDON)),
            happens("ned", "subscription.cancelled", at("2026-03-08 12:00", LONDON)),
        ],
    )  # fmt: skip

    # By the book, and renewed on the day of the last call.
    assert touches(lines, "kim") == [
        sent("email/season_start", at("2026-03-05 13:00", BERLIN)),
        sent("email/renewal_notice", at("2026-03-30 09:00", BERLIN)),
        sent("email/renewal_last", at("2026-04-11 10:00", BERLIN)),
    ]
    assert runs(lines, "kim") == [("renewal", "renewed", at("2026-04-11 17:00", BERLIN))]

    # Wants no mail: of all of these only the notice goes, which is about what they pay.
    assert touches(lines, "lou") == [
        skipped("email/season_start", at("2026-03-06 10:00", NEW_YORK), NO_MAIL),
        sent("sms/grind_question", at("2026-03-11 10:00", NEW_YORK)),
        sent("email/renewal_notice", at("2026-03-31 09:00", NEW_YORK)),
        skipped("email/renewal_last", at("2026-04-12 10:00", NEW_YORK), NO_MAIL),
    ]
    assert runs(lines, "lou") == [("renewal", "lapsed", at("2026-04-16 10:00", NEW_YORK))]

    # Came from elsewhere in the middle of a season: only the end of it concerns her. A text may go from nine o'clock
    # on, nine o'clock included.
    assert touches(lines, "mia") == [
        sent("email/renewal_notice", at("2026-03-12 09:00", KOLKATA)),
        sent("sms/renewal_reminder", at("2026-03-18 09:00", KOLKATA)),
        sent("email/renewal_last", at("2026-03-24 10:00", KOLKATA)),
    ]
    assert runs(lines, "mia") == [("renewal", "interrupted", at("2026-03-28 10:00", KOLKATA))]

    # Begins at night, so the first mail waits for the window; cancels a little later.
    morning = spread("2026-03-08 08:00", LONDON, "15m", "window", "renewal", "season-start", "ned")
    assert touches(lines, "ned") == [sent("email/season_start", morning)]
    assert runs(lines, "ned") == [("renewal", "cancelled", at("2026-03-08 12:00", LONDON))]

    # One has a date and no subscription, the other a subscription and no date.
    for nobody in ("oli", "pat"):
        assert touches(lines, nobody) == []
        assert runs(lines, nobody) == []


async def test_who_renewed_early_is_not_reminded_while_the_shop_is_slow_to_move_the_date(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["renewal"],
        start="2026-03-02T00:00:00+00:00",
        days=60,
        customers=[
            {"external_id": "kim", "country": "DE", "time_zone": BERLIN, "renewal_date": "2026-04-13",
             "sms_consent": "no"},
        ],
        events=[
            happens("kim", "subscription.started", at("2026-03-02 13:00", BERLIN)),
            happens("kim", "subscription.renewed", at("2026-03-12 13:00", BERLIN), value=48),
        ],
    )  # fmt: skip
    assert touches(lines, "kim") == [sent("email/season_start", at("2026-03-05 13:00", BERLIN))]
    assert runs(lines, "kim") == [("renewal", "renewed", at("2026-03-12 13:00", BERLIN))]
