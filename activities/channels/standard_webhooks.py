"""The signature of outgoing calls after Standard Webhooks 1.0.0 (https://www.standardwebhooks.com).

Receivers check it with the libraries that the standard has for most languages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
LEAST, MOST = 24, 64
"""How many bytes a secret may have, by the standard."""


class UnusableSecret(ValueError):
    """A secret that is not `whsec_` and base64. The text says what is allowed and never quotes the secret."""


def read_secret(text: str) -> bytes:
    """The key in a secret as it is written: `whsec_` and the base64 of 24 to 64 bytes. Raises `UnusableSecret`."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not LEAST <= len(key) <= MOST:
        raise UnusableSecret(f"must be {PREFIX} and the base64 of {LEAST} to {MOST} bytes")
    return key


def write_secret(key: bytes) -> str:
    """The key as people hand it on: the other way of `read_secret`."""
    return PREFIX + base64.b64encode(key).decode()


def sign(key: bytes, call_id: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers that sign one attempt of a call.

    `call_id` is the same at every attempt and has no dots; `at` is the attempt's own time, in seconds since 1970,
    because receivers refuse what is older than a few minutes.
    """
    signed = f"{call_id}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": call_id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}
