"""The few pages that customers see, in their language."""

from html import escape
from typing import Final

WORDS: Final = {
    "en": {
        "title": "Unsubscribe",
        "ask_email": "Do you want to receive no more emails from {workspace}?",
        "ask_sms": "Do you want to receive no more text messages from {workspace}?",
        "button": "Unsubscribe",
        "done_title": "You are unsubscribed",
        "done": "{workspace} will not write to you here any more. A message that is under way may still arrive.",
        "broken_title": "This link does not work",
        "broken": "Perhaps it was cut off. Open it from the message again, or simply reply to the message.",
    },
    "zh": {
        "title": "退订",
        "ask_email": "您确定不再接收来自 {workspace} 的邮件吗？",
        "ask_sms": "您确定不再接收来自 {workspace} 的短信吗？",
        "button": "确认退订",
        "done_title": "退订成功",
        "done": "{workspace} 今后不会再通过此方式联系您。已在发送途中的消息可能仍会送达。",
        "broken_title": "链接无效",
        "broken": "链接可能不完整。请从原消息中重新打开，或直接回复该消息。",
    },
}
"""Every sentence in every language; another language is another entry."""

_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title><style>
body{{font:17px/1.6 system-ui,sans-serif;color:#1f2933;background:#f5f7f9;margin:0}}
main{{max-width:30rem;margin:14vh auto;padding:2rem 2.5rem;background:#fff;border-radius:12px}}
h1{{font-size:1.35rem;margin:0 0 .5rem}}
button{{font:inherit;color:#fff;background:#1f4e79;border:0;border-radius:8px;padding:.6rem 1.4rem;cursor:pointer}}
button:focus-visible{{outline:3px solid #8ab4e0}}
</style></head><body><main><h1>{title}</h1>{content}</main></body></html>
"""


def language_of(locale: str | None, accepted: str | None, default: str) -> str:
    """The language to speak: the customer's, else the first that the browser accepts and we know, else ours."""
    accepted_tags = [part.partition(";")[0].strip() for part in (accepted or "").split(",")]
    for tag in [locale or "", *accepted_tags, default]:
        language = tag.replace("_", "-").partition("-")[0].lower()
        if language in WORDS:
            return language
    return "en"


def ask(language: str, workspace: str, channel: str) -> str:
    """The page that asks before it unsubscribes: mail scanners follow links, and press no buttons."""
    words = WORDS[language]
    button = f'<form method="post"><button>{words["button"]}</button></form>'
    question = words["ask_sms" if channel == "sms" else "ask_email"].format(workspace=escape(workspace))
    return _page(language, words["title"], f"<p>{question}</p>{button}")


def done(language: str, workspace: str) -> str:
    """The page after unsubscribing."""
    words = WORDS[language]
    return _page(language, words["done_title"], f"<p>{words['done'].format(workspace=escape(workspace))}</p>")


def broken(language: str) -> str:
    """The page for a link that nobody signed."""
    return _page(language, WORDS[language]["broken_title"], f"<p>{WORDS[language]['broken']}</p>")


def _page(language: str, title: str, content: str) -> str:
    return _PAGE.format(language=language, title=escape(title), content=content)
