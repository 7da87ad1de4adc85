"""A journey on the real engine: what is sent when, what waits, and what ends it."""

from __future__ import annotations

from datetime import timedelta

from tests.workflow.stage import Stage

DAY = timedelta(days=1)


WELCOME = """
journey: hello
title: Hello
enter: {on: customer.signed_up}
exit: [{on: order.placed, as: converted}]
steps:
  - send: email/welcome
  - wait: 2d
  - send: email/brew_guide
  - wait_for: {on: email.clicked, message: email/brew_guide, up_to: 3d}
    then: [{score: {points: 10, because: clicked}}, {finish: clicked}]
    else: [{tag: quiet}]
  - finish: silent
"""


async def test_a_contact_is_carried_from_mail_to_mail_and_leaves_by_the_way_it_took(stage: Stage) -> None:
    await stage.publish(WELCOME)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", timedelta())
    await stage.event(ann, "email.clicked", 3 * DAY, message="email/brew_guide")
    run = await stage.run(1)
    assert run.outcome == "clicked"
    assert [touch.message for touch in await stage.touches(ann)] == ["email/welcome", "email/brew_guide"]
