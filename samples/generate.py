"""Writes the sample: customers.csv and events.csv, the same bytes every time.

    python samples/generate.py [FOLDER]

Days and times count from the start of the demo (`+40d`, `+1d2h30m`). Among two hundred contacts that import well
stand rows that do not, as in every file that people really send; `DIRTY` says what is wrong with each.
"""

from __future__ import annotations

import csv
import io
import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from life import DAY, Happening, Life
from people import Person, people
from roles import ALSO_AT_WORK, ROLES, Role
from stories import renewal, welcome, win_back

SEED = 20
LEAP = 28
"""Who was born on a 29 February."""
CUSTOMER_COLUMNS = (
    "external_id,email,phone,first_name,last_name,country,locale,time_zone,stage,tags,email_consent,sms_consent,"
    "company,plan,renewal_date,last_order_at,lifetime_value,birthday,consent_date"
)
EVENT_COLUMNS = "customer,event,at,message,value,properties"

DIRTY = (
    ("no address", "K2001,,,Gordon,Pym,GB,en-GB,Europe/London,new,,yes,no,,,,,,,"),
    (
        "malformed mail address",
        "K2002,maria.lind.at.post.example,,Maria,Lind,DE,en-GB,Europe/Berlin,new,,yes,no,,,,,,,",
    ),
    ("impossible phone", "K2003,tom.birch@post.example,+44 12,Tom,Birch,GB,en-GB,Europe/London,new,,yes,yes,,,,,,,"),
    (
        "impossible date",
        "K2004,ada.finch@post.example,,Ada,Finch,US,en-US,America/Chicago,customer,,yes,no,,home,2026-02-30,-20d,96,,",
    ),
    ("unknown country", "K2005,leo.marsh@post.example,,Leo,Marsh,Atlantis,en-GB,Europe/London,new,,yes,no,,,,,,,"),
    (
        "several mail addresses in one cell",
        'K2006,"iris@post.example, iris.vane.post.example",,Iris,Vane,US,en-US,America/New_York,new,,yes,no,,,,,,,',
    ),
    (
        "phone number that Excel has rounded",
        "K2007,ned.coyle@post.example,1.60455E+10,Ned,Coyle,CA,en-CA,America/Toronto,new,,yes,no,,,,,,,",
    ),
    ("unknown time zone", "K2008,olga.reed@post.example,,Olga,Reed,AU,en-AU,Australia/Atlantis,new,,yes,no,,,,,,,"),
    (
        "too many columns: a comma without quotes",
        "K2009,sam.hale@post.example,,Sam,Hale,GB,en-GB,Europe/London,new,,yes,no,Baker, Hale & Co,,,,,1979-04-11,-9d",
    ),
    ("too few columns: cut off", "K2010,june.west@post.example,,June,West,US,en-US"),
    (
        "a quote that never closes",
        'K2011,kit.moor@post.example,,Kit,Moor,IN,en-IN,Asia/Kolkata,new,,yes,no,"Moor Textiles,,,,,,',
    ),
    (
        "consent that is neither yes nor no",
        "K2012,rex.dunn@post.example,,Rex,Dunn,SG,en-SG,Asia/Singapore,new,,ask again in May,no,,,,,,,",
    ),
    (
        "a number in words",
        "K2013,una.holt@post.example,,Una,Holt,US,en-US,America/Denver,customer,,yes,no,,home,,-9d,lots,,",
    ),
    ("no language tag", "K2014,pia.lund@post.example,,Pia,Lund,DE,english please,Europe/Berlin,new,,yes,no,,,,,,,"),
)
"""What is wrong, and the row. Two of them repeat what stands in rows above them."""


def cast(dice: random.Random) -> list[tuple[Person, list[Happening]]]:
    """Everybody, with what happens to them."""
    roles = [one for one in ROLES for _ in range(one.count)]
    dice.shuffle(roles)
    also = ALSO_AT_WORK.count
    cast: list[tuple[Person, list[Happening]]] = []
    for person, part in zip(people(dice), roles, strict=True):
        _dress(person, part, dice)
        life = Life(person, dice, now=dice.randint(0, 2 * DAY))
        at_work_too = part.story is welcome and part.habits == "claims" and also > 0
        if at_work_too:
            also -= 1
            life.now = dice.randint(0, 240)
        part.play(life)
        if at_work_too:
            claimed = next(one.at for one in life.happenings if one.event == "email.clicked")
            life.now = claimed + dice.randint(60, 300)
            ALSO_AT_WORK.play(life)
        cast.append((person, life.happenings))
    _dates(person for person, _ in cast)
    return cast


def _dates(everybody: Iterator[Person]) -> None:
    """Birthdays of two in three, one of them on 29 February; and when some said yes to mails."""
    dice = random.Random(SEED + 1)  # noqa: S311 (repeatable, not secret)
    for number, person in enumerate(everybody):
        if number == LEAP:
            person.birthday = "1988-02-29"
        elif dice.random() < 2 / 3:
            born = date(dice.randint(1955, 2003), 1, 1) + timedelta(days=dice.randint(0, 364))
            person.birthday = born.isoformat()
        if person.email_consent == "yes" and dice.random() < 1 / 4:
            person.consent_date = f"-{dice.randint(30, 760)}d"


def _dress(person: Person, part: Role, dice: random.Random) -> None:
    """What the records say of somebody with this part."""
    person.email_consent = "yes" if part.email else dice.choice(["no", ""])
    by_sms = part.sms if part.sms is not None else dice.random() < 0.4
    person.sms_consent = "yes" if by_sms else "no"
    if not by_sms and dice.random() < 0.5:
        person.phone = ""
    with_company = part.company if part.company is not None else dice.random() < 0.3
    if part.plan in ("team", "office"):
        with_company = True
    elif part.plan == "home":
        with_company = False
    if not with_company:
        person.company, person.email = "", person.email.partition("@")[0] + "@post.example"
    if part.story is renewal:
        person.stage, person.plan = "customer", part.plan
        person.renewal_date, person.last_order_at = f"+{dice.randint(36, 41)}d", f"-{dice.randint(1, 12)}d"
    elif part.story is win_back:
        person.stage, person.plan = "customer", dice.choice(["home", "team" if with_company else "home"])
        person.last_order_at = f"-{dice.randint(121, 280)}d"
    if part.worth:
        person.lifetime_value = str(dice.randint(*part.worth))
        if part.worth[0] >= 800:
            person.tags = ["regular"]
    elif with_company and dice.random() < 0.2:
        person.tags = ["trade-fair"]


def customers_csv(persons: list[Person]) -> str:
    """The file of customers; every dirty row stands behind some fifteen clean ones."""
    lines = list(_lines([CUSTOMER_COLUMNS.split(","), *(person.row() for person in persons)]))
    every = len(persons) // len(DIRTY)
    for number, (_, row) in reversed([*enumerate(DIRTY, 1)]):
        lines.insert(1 + number * every, row)
    return "".join(f"{line}\n" for line in lines)


def events_csv(happenings: list[Happening]) -> str:
    """The file of events, in the order in which they happen."""
    rows = (happening.row() for happening in sorted(happenings))
    return "".join(f"{line}\n" for line in _lines([EVENT_COLUMNS.split(","), *rows]))


def _lines(rows: list[list[str]]) -> Iterator[str]:
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(row)
        yield line.getvalue()


def main() -> None:
    """Write both files into the folder of the first argument, or beside this program."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    everybody = cast(random.Random(SEED))  # noqa: S311 (repeatable, not secret)
    customers = customers_csv([person for person, _ in everybody])
    events = events_csv([one for _, happenings in everybody for one in happenings])
    (folder / "customers.csv").write_text(customers, encoding="utf-8", newline="\n")
    (folder / "events.csv").write_text(events, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
