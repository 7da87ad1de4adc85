"""What a relay's reply means for the message, the address and the channel (RFC 5321, RFC 3463, RFC 7504)."""

import re
from dataclasses import dataclass
from typing import Literal

from activities.channels.channel import ChannelError, Refused, TryLater

Stage = Literal["greeting", "login", "sender", "recipient", "data", "content"]

_ENHANCED = re.compile(r"^\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
# The mailbox or its domain does not exist, has moved away, or is closed (RFC 3463 and its registry).
_DEAD = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
_OUR_SENDER = {"5.1.7", "5.1.8"}
# Of the codes about content and policy those that speak of the recipient all the same: a mailing list, a closed
# mailbox, a new owner (RFC 7293), an address beyond ASCII (RFC 6531), whom Exchange lets only some write to.
_RECIPIENTS = {"5.6.7", "5.7.2", "5.7.13", "5.7.17", "5.7.18"}
_RECIPIENTS |= {"5.7.124", "5.7.133", "5.7.134", "5.7.135", "5.7.136"}
_ABOUT_ALL = ("5.3.", "5.5.", "5.6.", "5.7.", "5.4.5")
"""System, protocol, content and policy (RFC 3463, 3.4, 3.6 to 3.8), and congestion: a quota of ours is used up."""
_DEAD_WORDS = re.compile(
    r"(user|mailbox|recipient|address|account)\s+(is\s+)?(unknown|invalid|not found|disabled|closed)"
    r"|(unknown|no such|invalid|non-?existent)\s+(local\s+)?(user|mailbox|recipient|address|account|person)"
    r"|(does\s+not|doesn't)\s+exist|not\s+a\s+valid\s+(mailbox|user|recipient)",
    re.IGNORECASE,
)
_POLICY_WORDS = re.compile(
    r"spam|block|black ?list|dnsbl|\brbl\b|policy|reputation|\bspf\b|dkim|dmarc|denied|rate|too many|sender|relay",
    re.IGNORECASE,
)
_MAILBOX_WORDS = re.compile(
    f"{_DEAD_WORDS.pattern}|mailbox (is )?(full|unavailable)|over ?quota"
    r"|recipient (address )?(rejected|refused|denied)|(does\s+not|doesn't)\s+have\s+an?\s(\S+\s)?(account|mailbox)",
    re.IGNORECASE,
)
_FULL_WORDS = re.compile(
    r"(?<!daily )(?<!hourly )(?<!sending )(?<!message )quota (has been )?exceeded|storage allocation"
    r"|exceed(ed|s)?\s((the|its|his|her|their|user|mailbox|storage|disk)\s)+(quota|limit)"
    r"|over\s(the|its|his|her|their)\squota|in-?box (is )?full|full mailbox",
    re.IGNORECASE,
)
_FILTER_WORDS = re.compile(
    r"spam|virus|black ?list|block ?list|dnsbl|\brbl\b|reputation|blocked using|spf\b|dkim|dmarc", re.IGNORECASE
)
_SENDER_WORDS = re.compile(r"sender (address )?(rejected|denied|refused|not)|not owned by user", re.IGNORECASE)
_RELAY_WORDS = re.compile(
    r"(relay(ing)?\s+(access\s+)?(denied|not (permitted|allowed)))|unable to relay|not permitted to relay"
    r"|authentication (is )?required|must issue a starttls",
    re.IGNORECASE,
)
_LOGIN_CODES = {530, 534, 535, 538}


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a relay: the code and its words, on one line."""

    code: int
    text: str

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code in front of the words, such as `5.1.1` (RFC 2034)."""
        match = _ENHANCED.match(self.text)
        return ".".join(match.groups()) if match else None

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.text.split())}"[:300]


def meaning(stage: Stage, reply: Reply) -> ChannelError:
    """The error for a reply that is not a success. 4xx always means later; 5xx depends on who is at fault."""
    said = f"the relay said {reply} to the {stage}"
    if not 500 <= reply.code <= 599:
        return TryLater(said)
    if stage == "greeting":
        return TryLater(said, hint="Is this the right relay and port, and may this machine use it?")
    if stage == "login" or reply.code in _LOGIN_CODES:
        return TryLater(said, configuration=True, hint="Check the user name and password in WAYMARK_SMTP_URL.")
    if stage == "sender":
        return _about_sender(said, reply)
    if stage == "recipient":
        return _about_recipient(said, reply)
    return Refused(said, message=concerns_message(stage, reply))


def _about_sender(said: str, reply: Reply) -> ChannelError:
    if reply.code == 552 or reply.enhanced in {"5.3.4", "5.2.3"}:
        return Refused(f"{said}: the message is too large", message=True)
    return _sender_fault(said)


def _about_recipient(said: str, reply: Reply) -> ChannelError:
    # Relays delay their verdict on sender and client until the first recipient, so it can arrive here.
    if reply.enhanced in _OUR_SENDER or _SENDER_WORDS.search(reply.text):
        return _sender_fault(said)
    if _RELAY_WORDS.search(reply.text) and "callout" not in reply.text.lower():
        return TryLater(
            said,
            configuration=True,
            hint="The relay takes no mail for others from us: log in through WAYMARK_SMTP_URL, or allow us there.",
        )
    return Refused(said, suppress=is_dead(reply), message=concerns_message("recipient", reply))


def _sender_fault(said: str) -> TryLater:
    return TryLater(said, configuration=True, hint="The relay does not accept our sender: check WAYMARK_MAIL_FROM.")


def concerns_message(stage: Stage, reply: Reply) -> bool:
    """Is a permanent reply about the message or its sender, and not about whom it is for?

    The enhanced code decides where there is one, but for words that plainly name a mailbox. Without it, what is said
    to the recipient is about the recipient, unless the words are those of a policy; what is said to the content, after
    the recipient was welcome, is about the content.
    """
    code = reply.enhanced
    if code in _OUR_SENDER:
        return True
    if _MAILBOX_WORDS.search(reply.text) and not _FILTER_WORDS.search(reply.text):
        return False
    if code is not None and code != "5.0.0":
        return code.startswith(_ABOUT_ALL) and code not in _RECIPIENTS
    return bool(_FILTER_WORDS.search(reply.text)) or (stage != "recipient" and not _FULL_WORDS.search(reply.text))


def is_dead(reply: Reply) -> bool:
    """Does a permanent reply to RCPT mean that the mailbox does not exist?

    The enhanced code decides where there is one. Without it the words must say so plainly and nothing in them
    may hint at policy: suppressing a living customer is worse than asking a dead mailbox again.
    """
    if reply.enhanced is not None:
        return reply.enhanced in _DEAD
    if reply.code == 556:
        return True
    plain = reply.code in {550, 551, 553} and _DEAD_WORDS.search(reply.text)
    return bool(plain) and not _POLICY_WORDS.search(reply.text)
