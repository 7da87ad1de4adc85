"""What a relay's refusal is about: the message and its sender, or whom it was for."""

from __future__ import annotations

import pytest

from activities.channels.replies import Reply, Stage, concerns_message

OF_ALL = [
    ("content", 554, "5.7.1 message rejected as spam"),
    ("content", 552, "message exceeds our limit"),
    ("content", 554, "transaction failed"),
    ("content", 550, "5.7.26 unauthenticated mail"),
    ("content", 550, "5.6.0 malformed"),
    ("content", 552, "5.3.4 too big for the system"),
    ("data", 554, "5.5.1 no"),
    ("recipient", 550, "5.7.1 message refused by policy"),
    ("recipient", 554, "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"),
    ("recipient", 550, "5.1.8 bad sender domain"),
    ("content", 550, "5.4.5 Daily user sending quota exceeded"),
    ("content", 550, "Daily message quota exceeded"),
]
OF_ONE = [
    ("recipient", 550, "5.1.1 no such user"),
    ("recipient", 550, "no such user"),
    ("recipient", 552, "5.2.2 mailbox full"),
    ("recipient", 550, "5.4.1 Recipient address rejected: Access denied"),
    ("recipient", 554, "5.7.1 <ada@example.com>: Recipient address rejected: Access denied"),
    ("recipient", 550, "5.5.0 Requested action not taken: mailbox unavailable"),
    ("recipient", 550, "5.7.17 mailbox owner has changed"),
    ("recipient", 554, "5.0.0 no"),
    ("content", 552, "5.2.2 mailbox full"),
    ("content", 550, "5.1.1 user unknown"),
    ("content", 552, "Mailbox full"),
    ("content", 552, "User has exceeded their storage limit"),
    ("content", 552, "Requested mail action aborted: exceeded storage allocation"),
    ("content", 554, "delivery error: dd This user doesn't have a yahoo.com account (ada@yahoo.com) [0]"),
    ("recipient", 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; not permitted to write to this group"),
    ("content", 550, "5.6.7 non-ASCII addresses not permitted for that recipient"),
]


@pytest.mark.parametrize(("stage", "code", "text"), OF_ALL)
def test_some_refusals_are_about_the_message_or_its_sender(stage: Stage, code: int, text: str) -> None:
    assert concerns_message(stage, Reply(code, text))


@pytest.mark.parametrize(("stage", "code", "text"), OF_ONE)
def test_others_are_about_whom_it_was_for(stage: Stage, code: int, text: str) -> None:
    assert not concerns_message(stage, Reply(code, text))
