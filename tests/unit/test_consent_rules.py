"""Who may be sent what: the rule of the channel, what the person said, and what became of the address."""

from __future__ import annotations

from typing import Literal

import pytest

from records.messages.ledger import Recipient

GONE = "the address is suppressed: "
NEVER_ASKED, WITHDRAWN = "no consent to email", "consent to email was withdrawn"


def refusal(granted: bool | None, suppressed: str | None, rule: str, transactional: bool) -> str | None:
    recipient = Recipient({}, "ann@customers.example", granted, suppressed)
    return recipient.refusal("email", rule, transactional=transactional)


@pytest.mark.parametrize("rule", ["opt_in", "opt_out"])
@pytest.mark.parametrize("granted", [True, False, None])
@pytest.mark.parametrize("transactional", [True, False])
def test_a_message_needs_the_consent_that_the_rule_of_its_channel_asks_for(
    granted: bool | None, rule: Literal["opt_in", "opt_out"], transactional: bool
) -> None:
    expected = {True: None, False: WITHDRAWN, None: NEVER_ASKED if rule == "opt_in" else None}[granted]
    assert refusal(granted, None, rule, transactional) == (None if transactional else expected)


@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize("reason", ["bounced", "complained", "manual"])
def test_an_address_that_is_closed_gets_nothing_at_all(reason: str, transactional: bool) -> None:
    assert refusal(True, reason, "opt_out", transactional) == GONE + reason


def test_whoever_unsubscribed_gets_receipts_and_nothing_else() -> None:
    assert refusal(True, "unsubscribed", "opt_out", transactional=False) == f"{GONE}unsubscribed"
    assert refusal(False, "unsubscribed", "opt_in", transactional=True) is None


def test_without_an_address_nothing_can_go() -> None:
    assert Recipient({}, None, True, None).refusal("sms", "opt_out", transactional=True) == "no phone number"
