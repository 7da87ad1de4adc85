"""The secret of webhooks: given and checked, or derived from the one of links."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.channels.standard_webhooks import read_secret
from workers.settings import Settings, SettingsError, load_settings, variable

GIVEN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_a_given_secret_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYMARK_WEBHOOK_SECRET", GIVEN)
    assert load_settings().call_secret() == GIVEN


def test_without_one_it_is_derived_from_the_secret_of_links_and_is_not_that() -> None:
    one, same, other = (
        load_settings(secret=secret * 4).call_secret() for secret in ("abcdefgh", "abcdefgh", "ijklmnop")
    )
    assert one == same != other
    assert len(read_secret(one)) == 32
    assert b"abcdefgh" not in read_secret(one)


def test_without_any_it_is_the_same_at_every_start(tmp_path: Path) -> None:
    assert load_settings(home=tmp_path).call_secret() == load_settings(home=tmp_path).call_secret()


@pytest.mark.parametrize("wrong", ["short", "whsec_short", "whsec_§", GIVEN.removeprefix("whsec_")])
def test_a_secret_that_receivers_could_not_use_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("WAYMARK_WEBHOOK_SECRET", wrong)
    with pytest.raises(SettingsError, match="WAYMARK_WEBHOOK_SECRET: must be whsec_") as error:
        load_settings()
    assert wrong not in error.value.message
    assert "urandom" in (error.value.hint or "")


def test_the_secret_reaches_the_processes_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(webhook_secret=GIVEN, webhook_private_networks=True)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings().call_secret() == GIVEN
    assert load_settings().webhook_private_networks


def test_private_networks_are_not_called_unless_somebody_says_so() -> None:
    assert not load_settings().webhook_private_networks
