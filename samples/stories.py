"""What the people of the sample do: one function for each journey, which goes the way of its map.

A story moves its own clock as the map would (a wait passes, a click goes on at once), so everything happens after
the message that it answers. Nobody knows at which hour the demo starts, so a message may be held until the morning:
its answer leaves it `LATE` hours. Habits say which turns somebody takes; a habit that is not named is not had.
"""

from __future__ import annotations

from life import DAY, LATE, Life

WEEKEND = 68
"""Hours after which a message that goes on working days has gone for certain."""
Habits = frozenset[str]


def welcome(life: Life, does: Habits) -> None:
    """Signs up. Habits: claims, brews, opens, replies, likes (clicks the first order), orders, orders early."""
    team = bool(life.person.company)
    life.do("customer.signed_up", source=life.dice.choice(["website", "friend", "café", "fair"]))
    if life.person.email_consent != "yes":
        return None
    if "claims" in does:
        life.clicks("email/welcome", LATE, 66)
        if "orders early" in does:
            return life.orders(32, 24, 72)
        life.days(4)
        if "brews" in does:
            life.clicks("email/brew_guide")
        else:
            life.days(2)
    elif "opens" in does:
        life.opens("email/welcome", LATE, 60)
        life.days(3)
        life.may_open("email/taster_answers")
    else:
        life.days(3)
        if "replies" in does:
            life.replies("sms/taster_nudge", life.dice.choice(["YES", "Yes please", "yes!"]))
        elif life.person.sms_consent == "yes":
            life.days(2)
    life.days(3)
    if "likes" not in does:
        return life.may_open("email/first_order_team" if team else "email/first_order")
    life.clicks("email/first_order_team" if team else "email/first_order", LATE, 90)
    if "orders" in does:
        return life.orders(228 if team else life.dice.choice([16, 32, 48]), 4, 90)
    life.days(9)  # a day, and up to a week until the Friday or the Sunday
    return life.may_open("email/order_reminder")


def nurture(life: Life, does: Habits) -> None:
    """Asks for coffee at work. Habits: tasting, reads, opens, calculates, replies, warm (comes with points), orders,
    won, lost, later (what sales says), sets up, story."""
    life.do("tasting.requested" if "tasting" in does else "guide.downloaded", people=life.dice.randint(8, 60))
    score = 35 if "tasting" in does else 20
    if "warm" in does:
        score += 15
    if "reads" in does:
        life.clicks("email/office_guide", 2, 44)
        score += 15
    else:
        if "opens" in does:
            life.opens("email/office_guide", 2)
            score += 5
        life.days(3)
    if score < 60:
        life.days(2)
        if "orders" in does:
            return life.orders(228, 4, 60)
        if "calculates" in does:
            life.clicks("email/office_costs", LATE, 80)
            score += 25
        else:
            life.days(4)
            if "replies" in does:
                life.replies("sms/office_question", str(life.dice.randint(8, 60)))
                score += 25
            elif life.person.sms_consent == "yes":
                life.days(2)
    if score >= 60:
        life.may_open("email/meet_your_roaster", WEEKEND, 100)
        verdict = next((one for one in ("won", "lost", "later") if one in does), None)
        if verdict is None:
            life.days(14)
        else:
            life.now = life.after(WEEKEND, 150)
            life.do("task.done", outcome={"later": "nurture"}.get(verdict, verdict))
        if verdict == "won":
            if "sets up" in does:
                life.clicks("email/onboarding", 2, 60)
            return None
        if verdict == "lost":
            return None
    life.days(7)
    if "story" in does:
        life.clicks("email/studio_story", WEEKEND, 112)
    return None


def renewal(life: Life, does: Habits) -> None:
    """Subscribes. Habits: grinds, replies, reads (clicks the notice), opens, cancels, renews early, renews soon (after
    the first reminder), renews late (after the last), tries (clicks the last call), browses (leaves a basket), buys
    (a bag between the boxes, and reviews it).

    A date is met at a wall time, so how far it is from the start depends on the hour of the start and on the zone:
    up to 26 hours sooner or 18 later than reckoned here. What answers it keeps that far from both ends.
    """
    plan = life.person.plan
    value = {"home": 48, "team": 228}.get(plan, 684)
    due = int(life.person.renewal_date[1:-1]) * DAY
    life.do("subscription.started", value=str(value), plan=plan, season="autumn")
    life.days(3)
    if "grinds" in does:
        life.clicks("email/season_start", LATE, 90)
    else:
        life.days(5)
        if "replies" in does:
            life.replies("sms/grind_question", life.dice.choice("123"))
    if "browses" in does or "buys" in does:
        cart = life.browses(20, 40)
        if "buys" in does:
            life.orders(life.dice.choice([16, 32]), 0.2, 3, cart=cart)
            order = f"O{life.person.external_id[1:]}"
            life.do("review.posted", at=life.now + 15 * DAY, order=order, stars=life.dice.choice([2, 4, 5]))
    if "cancels" in does:
        life.now = life.after(60, 140)
        return life.do("subscription.cancelled", plan=plan)

    def renews(least: float, most: float) -> None:
        life.now = life.after(least, most)
        life.do("subscription.renewed", value=str(value), plan=plan)

    if "renews early" in does:
        return renews(30, 90)
    life.now = due - 14 * DAY
    if "reads" in does:
        life.clicks("email/renewal_notice", 20, 90)
        if "renews soon" in does:
            return renews(0.2, 48)
    elif "opens" in does:
        life.opens("email/renewal_notice", 20, 90)
    if "renews soon" in does:
        life.now = due - 8 * DAY
        return renews(20, 72)
    life.now = due - 2 * DAY
    if "tries" in does:
        life.clicks("email/renewal_last", 20, 44)
    if "renews late" in does:
        return renews(1, 10) if "tries" in does else renews(22, 54)
    return None


def win_back(life: Life, does: Habits) -> None:
    """Is reported as dormant. Habits: comes (clicks), usual, opens, replies, orders, won, lost, later (what the call
    comes to), stays."""
    life.do("customer.dormant", months=life.dice.randint(4, 9))
    if "comes" in does:
        life.clicks("email/long_time", LATE, 70)
        life.days(1)
        if "usual" in does:
            life.clicks("email/your_usual", LATE, 70)
            if "orders" in does:
                return life.orders(life.dice.choice([16, 32, 48]), 0.2, 24)
        else:
            life.days(4)
    elif "opens" in does:
        life.opens("email/long_time", LATE, 70)
        life.days(4)
        life.may_open("email/whats_new")
        life.days(4)
    else:
        life.days(4)
        if "replies" in does:
            life.replies("sms/long_time", life.dice.choice(["YES", "yes", "OK"]))
            if "orders" in does:
                return life.orders(32, 1, 40)
        elif life.person.sms_consent == "yes":
            life.days(3)
    life.days(2)
    if float(life.person.lifetime_value) >= 800:
        verdict = next((one for one in ("won", "lost", "later") if one in does), None)
        if verdict is not None:
            life.now = life.after(20, 200)
            return life.do("task.done", outcome={"later": "nurture"}.get(verdict, verdict))
        life.days(10)
    if "stays" in does:
        life.clicks("email/last_hello", LATE, 140)
    return None
