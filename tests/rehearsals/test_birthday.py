"""Birthdays. 2027 has no 29 February; clocks go forward on 14 March in California."""

from tests.rehearsal import Rehearse
from tests.rehearsals.expected import LETTERS, at, happens, runs, sent, skipped, touches

LONDON, LOS_ANGELES, SHANGHAI = "Europe/London", "America/Los_Angeles", "Asia/Shanghai"


async def test_birthday(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["birthday", LETTERS],
        start="2027-02-20T00:00:00+00:00",
        days=40,
        customers=[
            {"external_id": "tea", "country": "GB", "time_zone": LONDON, "birthday": "1988-02-29",
             "phone": "+442079460001"},
            {"external_id": "uma", "country": "US", "time_zone": LOS_ANGELES, "birthday": "1990-03-10",
             "phone": "+12125550103"},
            {"external_id": "vic", "time_zone": LONDON, "birthday": "1990-03-10", "email_consent": "no"},
            {"external_id": "wei", "country": "CN", "time_zone": SHANGHAI, "birthday": "1995-03-01",
             "locale": "zh-CN"},
            {"external_id": "yan", "country": "CN", "time_zone": SHANGHAI, "birthday": "1995-03-02",
             "locale": "zh-CN"},
            {"external_id": "zoe", "time_zone": LONDON, "birthday": "1990-03-10", "stage": "sleeping"},
        ],
        events=[
            happens("uma", "sms.replied", at("2027-03-16 11:00", LOS_ANGELES), message="sms/birthday_present",
                    text="Please"),
            happens("wei", "email.clicked", at("2027-03-01 10:00", SHANGHAI), message="email/birthday"),
            happens("yan", "letters.wanted", at("2027-03-01 10:00", SHANGHAI)),
        ],
    )  # fmt: skip

    # Born on 29 February, greeted on the 28th. Says nothing, and is reminded once.
    assert touches(lines, "tea") == [
        sent("email/birthday", at("2027-02-28 08:30", LONDON)),
        sent("sms/birthday_present", at("2027-03-05 16:00", LONDON)),
    ]
    assert runs(lines, "tea") == [("birthday", "greeted", at("2027-03-14 16:00", LONDON))]

    # Clocks change between the greeting and the text; both are at their hour.
    assert touches(lines, "uma") == [
        sent("email/birthday", at("2027-03-10 08:30", LOS_ANGELES)),
        sent("sms/birthday_present", at("2027-03-15 16:00", LOS_ANGELES)),
    ]
    assert runs(lines, "uma") == [("birthday", "with_present", at("2027-03-16 11:00", LOS_ANGELES))]

    # No consent, or asleep: no greeting.
    for nobody in ("vic", "zoe"):
        assert touches(lines, nobody) == []
        assert runs(lines, nobody) == []

    assert touches(lines, "wei") == [sent("email/birthday", at("2027-03-01 08:30", SHANGHAI))]
    assert runs(lines, "wei") == [("birthday", "with_present", at("2027-03-01 10:00", SHANGHAI))]

    # Has had three mails in the week: no greeting on another day, and no reminder of a present never offered.
    assert touches(lines, "yan", "birthday") == [
        skipped("email/birthday", at("2027-03-02 08:30", SHANGHAI), "capped: 3 mails within 1 week")
    ]
    assert runs(lines, "yan")[-1] == ("birthday", "greeted", at("2027-03-07 08:30", SHANGHAI))


async def test_each_year_brings_a_greeting(rehearse: Rehearse) -> None:
    lines = await rehearse(
        ["birthday"],
        start="2027-02-01T00:00:00+00:00",
        days=400,
        customers=[{"external_id": "tea", "country": "GB", "time_zone": LONDON, "birthday": "1988-02-29"}],
    )
    assert [touch[:3] for touch in touches(lines, "tea") if touch[0] == "email/birthday"] == [
        ("email/birthday", at("2027-02-28 08:30", LONDON), "sent"),
        ("email/birthday", at("2028-02-29 08:30", LONDON), "sent"),
    ]
