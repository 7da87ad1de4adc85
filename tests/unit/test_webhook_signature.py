"""Calls are signed as receivers expect it, and a secret that nobody could use is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.channels.standard_webhooks import UnusableSecret, read_secret, sign, write_secret


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(key: bytes) -> None:
    assert read_secret(write_secret(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_not base64",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSü",
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(UnusableSecret, match="whsec_ and the base64 of 24 to 64 bytes") as error:
        read_secret(text)
    assert not text.removeprefix("whsec_") or text not in str(error.value)


def test_the_receiver_in_the_guide_knows_our_calls_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "call-another-system.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], scope)
    monkeypatch.setattr("time.time", lambda: 1_770_000_200.5)
    key, is_genuine = b"k" * 32, scope["is_genuine"]
    headers = sign(key, "wm-1", 1_770_000_000, b"{}")
    assert is_genuine(write_secret(key), headers, b"{}")
    assert not is_genuine(write_secret(key), headers, b"{ }")
    assert not is_genuine(write_secret(key), {**headers, "webhook-id": "wm-2"}, b"{}")
    assert not is_genuine(write_secret(b"x" * 32), headers, b"{}")
    assert not is_genuine(write_secret(key), sign(key, "wm-1", 1_769_999_000, b"{}"), b"{}")
