"""Settings come from the environment, and a wrong one is named together with what is allowed."""

import stat
from pathlib import Path

import pytest

from workers.settings import Settings, SettingsError, load_settings, unknown_variables, variable


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_without_any_variable_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.home == Path(".waymark").absolute()
    assert settings.database_url is None
    assert settings.loopback


def test_a_value_that_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYMARK_CONSOLE_PORT", "9000")
    assert load_settings().console_port == 9000
    assert load_settings(console_port=9001).console_port == 9001


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYMARK_SMTP_URL", "")
    assert load_settings().smtp_url is None


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("WAYMARK_CONSOLE_PORT", "eighty", "integer"),
        ("WAYMARK_CONSOLE_PORT", "70000", "65535"),
        ("WAYMARK_DATABASE_URL", "mysql://host/db", "postgresql://host"),
        ("WAYMARK_SMTP_URL", "mail.acme.example", "smtp://host"),
        ("WAYMARK_SMTP_URL", "smtp://host?starttls=perhaps", "always, auto or never"),
        ("WAYMARK_CONSOLE_URL", "acme.example", "https://host"),
        ("WAYMARK_WORKSPACE_TIME_ZONE", "Mars/Olympus", "IANA time zone"),
        ("WAYMARK_MAIL_FROM", "nobody", "name and an address"),
        ("WAYMARK_PROCESSES", "0", "greater than or equal to 1"),
        ("WAYMARK_EMAIL_PER_SECOND", "-1", "greater than 0"),
        ("WAYMARK_SECRET", "short", "at least 16"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert name in error.value.message
    assert allowed in error.value.message
    assert error.value.hint


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYMARK_UI_PORT", "x")
    monkeypatch.setenv("WAYMARK_SMS_PORT", "y")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "WAYMARK_UI_PORT" in error.value.message
    assert "WAYMARK_SMS_PORT" in error.value.message


@pytest.mark.parametrize("name", ["WAYMARK_DATABASE_URL", "WAYMARK_SMTP_URL"])
def test_an_error_never_shows_a_password(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "wrong://user:hunter2@host/")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "hunter2" not in error.value.message


def test_a_misspelt_variable_is_found_with_the_nearest_one() -> None:
    found = unknown_variables({"WAYMARK_DATABSE_URL": "x", "WAYMARK_HOME": "y", "HOME": "z"})
    assert found == {"WAYMARK_DATABSE_URL": "WAYMARK_DATABASE_URL"}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_environment_of_a_child_gives_it_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = load_settings(home=tmp_path, api_key="a-long-enough-key", console_port=9000)
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_the_link_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "new")
    secret = settings.link_secret()
    assert len(secret) >= 32
    assert load_settings(home=tmp_path / "new").link_secret() == secret
    assert stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_only_a_loopback_host_is_this_machine_alone(host: str, here: bool) -> None:
    assert load_settings(host=host).loopback is here
