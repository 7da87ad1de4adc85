"""Twilio's request signatures: X-Twilio-Signature is a base64 HMAC-SHA1 over the address and the sorted form."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit

Form = Mapping[str, str] | Iterable[tuple[str, str]]

HEADER = "X-Twilio-Signature"
_USUAL_PORTS = {"https": 443, "http": 80}


def sign(auth_token: str, url: str, form: Form) -> str:
    """The signature of a form posted to `url`, which is the full address with its query."""
    pairs = form.items() if isinstance(form, Mapping) else form
    signed = url + "".join(f"{name}{value}" for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_valid(auth_token: str, signature: str, url: str, form: Form) -> bool:
    """Did the holder of `auth_token` post this form to `url`? Compares in constant time.

    `url` must be the address that Twilio was told, not the one behind a proxy. Twilio sometimes signs it with
    the usual port written out and sometimes without, so both are good.
    """
    pairs = list(form.items() if isinstance(form, Mapping) else form)
    given = signature.encode()
    verdicts = [hmac.compare_digest(sign(auth_token, variant, pairs).encode(), given) for variant in _variants(url)]
    return any(verdicts)


def _variants(url: str) -> list[str]:
    parts = urlsplit(url)
    usual = _USUAL_PORTS.get(parts.scheme)
    if parts.port is None and usual:
        return [url, _at(parts, f"{parts.netloc}:{usual}")]
    if parts.port == usual:
        return [url, _at(parts, parts.netloc.rpartition(":")[0])]
    return [url]


def _at(parts: SplitResult, netloc: str) -> str:
    return parts._replace(netloc=netloc).geturl()
