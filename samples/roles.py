"""Who plays what: so many people a role, so that several go every way of every map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from life import Life
from stories import Habits, nurture, renewal, welcome, win_back


@dataclass(frozen=True)
class Role:
    """So many people who live the same story. `habits` are separated by commas; None is left to the dice."""

    story: Callable[[Life, Habits], None]
    count: int
    habits: str = ""
    sms: bool | None = None
    email: bool = True
    company: bool | None = None
    plan: str = ""
    worth: tuple[int, int] | None = None

    def play(self, life: Life) -> None:
        """Let it happen."""
        self.story(life, frozenset(habit.strip() for habit in self.habits.split(",")))


SMALL, LARGE = (40, 600), (820, 2400)

ROLES = (
    Role(welcome, 6, "claims, brews, likes, orders", company=False),
    Role(welcome, 5, "claims, brews, likes, orders", company=True),
    Role(welcome, 4, "claims, brews, likes", company=False),
    Role(welcome, 4, "claims, brews, likes", company=True),
    Role(welcome, 5, "claims, brews"),
    Role(welcome, 6, "claims"),
    Role(welcome, 4, "claims, orders early"),
    Role(welcome, 4, "opens, likes, orders"),
    Role(welcome, 3, "opens, likes", company=True),
    Role(welcome, 5, "opens"),
    Role(welcome, 6, "replies", sms=True),
    Role(welcome, 3, "replies, likes", sms=True),
    Role(welcome, 5, "", sms=True),
    Role(welcome, 6, "", sms=False),
    Role(welcome, 4, "", email=False),
    Role(nurture, 4, "reads, calculates, won, sets up", company=True),
    Role(nurture, 4, "tasting, opens, calculates, won", company=True),
    Role(nurture, 3, "reads, calculates, lost", company=True),
    Role(nurture, 2, "tasting, calculates, lost", company=True),
    Role(nurture, 3, "reads, calculates, later, story", company=True),
    Role(nurture, 2, "tasting, reads, replies, later", company=True, sms=True),
    Role(nurture, 4, "reads, replies", company=True, sms=True),
    Role(nurture, 3, "tasting, reads, calculates, story", company=True),
    Role(nurture, 4, "opens, calculates, story", company=True),
    Role(nurture, 4, "opens, story", company=True, sms=False),
    Role(nurture, 4, "reads", sms=True),
    Role(nurture, 4, "", sms=False),
    Role(nurture, 3, "opens", sms=True),
    Role(nurture, 4, "reads, orders", company=True),
    Role(renewal, 4, "grinds, browses, reads, renews soon", plan="home", worth=SMALL),
    Role(renewal, 4, "replies, reads, renews soon", plan="team", sms=True, worth=SMALL),
    Role(renewal, 3, "grinds, buys, reads, tries, renews late", plan="home", worth=SMALL),
    Role(renewal, 3, "reads", plan="home", sms=True, worth=SMALL),
    Role(renewal, 4, "grinds, renews soon", plan="office", worth=LARGE),
    Role(renewal, 2, "", plan="office", sms=False, worth=LARGE),
    Role(renewal, 3, "grinds, buys, opens, renews soon", plan="team", worth=LARGE),
    Role(renewal, 3, "opens, tries", plan="home", sms=False, worth=SMALL),
    Role(renewal, 3, "renews late", plan="home", sms=True, worth=SMALL),
    Role(renewal, 3, "tries", plan="team", sms=True, worth=SMALL),
    Role(renewal, 4, "", plan="home", sms=False, worth=SMALL),
    Role(renewal, 2, "grinds, renews early", plan="home", worth=SMALL),
    Role(renewal, 2, "grinds, cancels", plan="team", worth=SMALL),
    Role(win_back, 4, "comes, usual, orders", worth=SMALL),
    Role(win_back, 3, "comes, usual, stays", worth=SMALL),
    Role(win_back, 3, "comes", worth=SMALL),
    Role(win_back, 3, "opens, stays", worth=SMALL),
    Role(win_back, 3, "opens", worth=SMALL),
    Role(win_back, 3, "replies, orders", sms=True, worth=SMALL),
    Role(win_back, 2, "replies", sms=True, worth=SMALL),
    Role(win_back, 3, "", sms=True, worth=SMALL),
    Role(win_back, 3, "", sms=False, worth=SMALL),
    Role(win_back, 3, "comes, usual, won", worth=LARGE),
    Role(win_back, 3, "opens, later", worth=LARGE),
    Role(win_back, 3, "comes, lost", worth=LARGE),
    Role(win_back, 3, "opens, stays", worth=LARGE),
    Role(win_back, 3, "comes, usual", worth=LARGE),
)

ALSO_AT_WORK = Role(nurture, 6, "tasting, reads, warm")
"""Some who claim a taster box at home ask for a tasting at work the day after, and bring their points along."""
