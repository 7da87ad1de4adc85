"""The names that tie the records, the workflows and the messages together. Opaque ids only: no personal data."""

from __future__ import annotations

import hashlib


def workflow_id(journey: str, customer: int, entry: int) -> str:
    """The Temporal workflow id of one run: its journey, its customer's number, and the how-manieth entry it is."""
    return f"journey/{journey}/{customer}/{entry}"


def touch_key(enrolment: int, step: str, visit: int) -> str:
    """The one key of a touch, the same at every attempt: local part of the Message-ID and idempotency key.

    It is a digest, so that a Message-ID tells nobody how many customers there are.
    """
    digest = hashlib.sha256(f"{enrolment}/{step}/{visit}".encode()).hexdigest()[:32]
    return f"wm-{digest}"
