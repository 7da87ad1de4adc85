"""Every setting of Waymark: environment variables `WAYMARK_<NAME>`, read once per process.

The descriptions below are the reference of the documentation. Temporal is not here: the SDK's own environment
configuration (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, or its TOML file)
names a cluster, so what works for other Temporal programs works here.
"""

import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from activities.channels.standard_webhooks import UnusableSecret, read_secret, write_secret
from journeys.errors import WaymarkError

PREFIX = "WAYMARK_"
_HIDDEN = ("database_url", "smtp_url", "secret", "api_key", "twilio_auth_token", "webhook_secret")
"""The settings whose values no error shows."""


class SettingsError(WaymarkError):
    """A setting cannot be used. The message names each variable and what is allowed: correct it and start again."""


def _url(*schemes: str) -> AfterValidator:
    allowed = " or ".join(f"{scheme}://host" for scheme in schemes)

    def check(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not (parts.hostname or parts.path.strip("/") or parts.query):
            raise ValueError(f"must be an address like {allowed}")
        return value.rstrip("/")

    return AfterValidator(check)


def _folder(value: Path) -> Path:
    return value.expanduser().absolute()


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be an IANA time zone such as Europe/Berlin or Asia/Shanghai") from None
    return value


def _sender(value: str) -> str:
    address = parseaddr(value)[1]
    local, _, domain = address.rpartition("@")
    if not local or ("." not in domain and domain != "localhost"):
        raise ValueError('must be a name and an address such as "Ada of Acme <ada@acme.example>"')
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Folder = Annotated[Path, AfterValidator(_folder)]
WebAddress = Annotated[str, _url("http", "https")]
TimeZone = Annotated[str, AfterValidator(_time_zone)]


class Settings(BaseSettings):
    """What one installation needs to know; immutable. Build it with `load_settings`, which words the errors."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    home: Folder = Field(
        Path(".waymark"),
        description="Folder of all local state: databases, running.json, the link secret. Removing it is a reset.",
        validate_default=True,
    )
    definitions: Folder = Field(
        Path("definitions"),
        description="Folder of the journey maps (journeys/*.yaml), fields.yaml and handoff.yaml.",
        validate_default=True,
    )
    templates: Folder = Field(
        Path("templates"),
        description="Folder of the message templates: email/, sms/, layouts/.",
        validate_default=True,
    )
    database_url: Annotated[str, _url("postgresql", "postgres", "postgresql+psycopg")] | None = Field(
        None,
        description="PostgreSQL server to use, postgresql://user:password@host/name. Default: an embedded one.",
        repr=False,
    )
    database_connections: int = Field(
        10, ge=1, le=500, description="Most database connections that one process keeps open."
    )
    temporal_binary: Folder | None = Field(
        None, description="Temporal server binary for local work. Default: found, downloaded or built once."
    )
    cache: Folder = Field(
        default_factory=lambda: platformdirs.user_cache_path("waymark"),
        description="Folder for what is built once, such as the Temporal server's binary.",
    )
    smtp_url: Annotated[str, _url("smtp", "smtps")] | None = Field(
        None,
        description="Mail relay, smtp://user:password@host:port, smtps:// for TLS from the start, "
        "?starttls=always|auto|never. Default: a local catcher.",
        repr=False,
    )
    mail_from: Annotated[str, AfterValidator(_sender)] = Field(
        "Waymark <hello@waymark.example>", description="Sender of every mail: name and address."
    )
    email_per_second: float | None = Field(
        None,
        gt=0,
        description="Most mails per second over all workers, of journeys and of broadcasts each. Default: no limit.",
    )
    sms_per_second: float | None = Field(
        None,
        gt=0,
        description="Most SMS per second over all workers, of journeys and of broadcasts each. Default: no limit.",
    )
    twilio_account_sid: str | None = Field(
        None, description="Twilio account (AC…) that sends SMS. Default: a local catcher that speaks its API."
    )
    twilio_auth_token: SecretStr | None = Field(
        None, description="Twilio auth token; also checks the signature of its callbacks."
    )
    twilio_base_url: WebAddress = Field(
        "https://api.twilio.com", description="Address of the Twilio API, or of one that speaks it."
    )
    twilio_from: str | None = Field(
        None, description="Sender of every SMS: an E.164 number, a short code or a sender name."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs the calls of webhook steps (Standard Webhooks): `whsec_` and the base64 of 24 to 64 bytes, "
        "the same for every receiver. Default: derived from the secret that signs links.",
    )
    webhook_private_networks: bool = Field(
        False,
        description="Whether webhook steps may call private, loopback and link-local addresses. "
        "Without it, public addresses only.",
    )
    workspace_name: str = Field(
        "Waymark", min_length=1, description="Name of the organisation, as customers read it in messages."
    )
    workspace_address: str = Field(
        "1 Example Street, 10115 Berlin",
        description="Postal address in the footer of every mail, which many countries require.",
    )
    workspace_url: WebAddress = Field(
        "https://waymark.example", description="Web site of the organisation, as linked in messages."
    )
    workspace_time_zone: TimeZone = Field(
        "UTC", description="IANA time zone of contacts who have none, and of times shown to people."
    )
    workspace_locale: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = Field(
        "en", description="Locale of templates when a contact's own is missing, such as en or zh-CN."
    )
    workspace_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        None,
        description="Currency (ISO 4217) of all amounts, such as EUR: of orders and of deals. Without it amounts are "
        "shown bare.",
    )
    unknown_customers: Literal["refuse", "create"] = Field(
        "refuse",
        description="What becomes of an event of somebody who is not known: `refuse` it, or `create` the customer. "
        "For the HTTP API, and for `waymark events import` unless it says --unknown.",
    )
    console_url: WebAddress | None = Field(
        None,
        description="Address under which customers reach the console, used in links. Default: the local console.",
    )
    secret: SecretStr | None = Field(
        None,
        description="Signs the links in messages, at least 16 characters; the same on every machine. "
        "Default: made once and kept in the home folder.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that HTTP API callers send as `Authorization: Bearer`. "
        "Required when the console listens beyond this machine.",
    )
    host: str = Field("127.0.0.1", description="Address on which the local servers listen.")
    processes: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Worker processes to run. Default: one per core.",
    )
    temporal_port: Port = Field(7233, description="Port of the local Temporal server.")
    ui_port: Port = Field(8233, description="Port of the local Temporal Web UI.")
    smtp_port: Port = Field(1025, description="Port of the local mail catcher (SMTP).")
    inbox_port: Port = Field(8025, description="Port of the local mail catcher's inbox page.")
    sms_port: Port = Field(8026, description="Port of the local SMS catcher.")
    console_port: Port = Field(8080, description="Port of the console: HTTP API, links, callbacks.")

    @property
    def loopback(self) -> bool:
        """Whether the local servers are reachable from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def link_secret(self) -> str:
        """The secret that signs links: the given one, or one made once in the home folder (readable by its owner only).

        Raises OSError when the home folder cannot be written.
        """
        if self.secret is not None:
            return self.secret.get_secret_value()
        path, draft = self.home / "secret", self.home / f"secret.{os.getpid()}"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
            # Of several processes that make one at once, the first one's counts, and nobody reads half of it.
            with suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return path.read_text().strip()

    def call_secret(self) -> str:
        """The secret that signs webhooks, as `whsec_...`: the given one, or one derived from the secret of links.

        Raises OSError as `link_secret` does.
        """
        if self.webhook_secret is not None:
            return self.webhook_secret.get_secret_value()
        return write_secret(hmac.digest(self.link_secret().encode(), b"waymark webhooks", "sha256"))

    def environment(self) -> dict[str, str]:
        """The variables that give another process these same settings; defaults are left out."""
        said = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        plain = {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in said.items()}
        return {variable(name): str(value) for name, value in plain.items() if value is not None}


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, with `given` values (of a command line, or a test) before them.

    Raises SettingsError naming each wrong variable.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(_wording(item) for item in error.errors())
        raise SettingsError(wrong, hint="Correct the variable, or unset it for its default.") from None
    if settings.secret is not None and len(settings.secret.get_secret_value()) < 16:
        raise SettingsError(
            "WAYMARK_SECRET: must have at least 16 characters",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if settings.webhook_secret is not None:
        try:
            read_secret(settings.webhook_secret.get_secret_value())
        except UnusableSecret as error:
            raise SettingsError(
                f"WAYMARK_WEBHOOK_SECRET: {error}",
                hint="Make one: python -c "
                """'import base64, os; print("whsec_" + base64.b64encode(os.urandom(32)).decode())'""",
            ) from None
    if settings.smtp_url and (wrong_option := _smtp_option(settings.smtp_url)):
        raise SettingsError(f"WAYMARK_SMTP_URL: {wrong_option}", hint="Correct the variable and start again.")
    return settings


def variable(name: str) -> str:
    """The environment variable of a setting: `database_url` → `WAYMARK_DATABASE_URL`."""
    return PREFIX + name.upper()


def unknown_variables(environment: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the nearest valid one: else a slip stays silent."""
    names = [variable(name) for name in Settings.model_fields]
    found = {}
    for name in sorted(environment if environment is not None else os.environ):
        if name.startswith(PREFIX) and name not in names:
            found[name] = next(iter(get_close_matches(name, names, n=1)), None)
    return found


def _wording(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = variable(location[0]) if location else "settings"
    message = item["msg"].removeprefix("Value error, ")
    value = item.get("input")
    secret = location and location[0] in _HIDDEN
    found = "" if secret or not isinstance(value, str | int | float) else f", found {value!r}"
    return f"{name}: {message[:1].lower()}{message[1:]}{found}"


def _smtp_option(url: str) -> str | None:
    for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items():
        if name == "starttls" and values[-1] not in {"always", "auto", "never"}:
            return f"starttls must be always, auto or never, found {values[-1]!r}"
    return None
