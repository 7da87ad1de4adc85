"""Writes the two pages of the reference that say what the program says of itself: `python -m tools.reference`.

`docs/reference/commands.md` comes from the help of the commands, `docs/reference/settings.md` from the descriptions of
the settings. A test fails when a page differs from what would be written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workers.command import command
from workers.settings import Settings, variable

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

COMMANDS_HEAD = """# Commands

`waymark` is one program. Every command explains itself: `waymark COMMAND --help`.

Data goes to standard output, everything else to standard error. `--json` prints one JSON document, or one a line for
lists, so it can be piped. Errors are one line and what to do next.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | an error that the message explains |
| 2 | wrong usage |
| 70 | an unexpected error; `--debug` shows more |
| 130 | interrupted |

Options before the command:

| option | what it does |
| --- | --- |
| `--debug` | Show the traceback of an error. |
| `--home DIR` | Folder of all local state, instead of `WAYMARK_HOME`. |
| `--version` | Print the version. |

A *customer* is named by id, external id, email or phone.
"""
SETTINGS_HEAD = """# Settings

Settings are environment variables, read once when a process starts. All begin with `WAYMARK_`. An empty variable
counts as unset. `waymark doctor` and `waymark up` warn of variables that look like settings and are none.

For local work nothing needs to be set: `waymark up` starts what is missing, and other commands over the same home
folder find it.
"""
SETTINGS_FOOT = """\
The relay's address takes two options. `?starttls=`: `always` insists on TLS, `auto` takes it when it is offered,
`never` does not; without it, a relay on another machine that has a password gets `always`, any other `auto`.
`?verify=false` accepts any certificate.

## Temporal

Waymark reads the environment configuration of the Temporal SDK, so what works for other Temporal programs works here:
`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_CLIENT_CERT_PATH`,
`TEMPORAL_TLS_CLIENT_KEY_PATH`, `TEMPORAL_TLS_SERVER_CA_CERT_PATH`, or a TOML file with profiles. When they name a
server, `waymark up` starts none.

## Which value counts

1. An option of the command, such as `--home`.
2. The environment variable.
3. What `waymark up` over the same home folder has started (`running.json` there).
4. The default.
"""
COMMAND_GROUPS = {
    "Local work": ("demo", "up", "init", "doctor"),
    "Marketers": ("journeys", "segments", "broadcasts", "scores", "rehearse", "report"),
    "Contacts and events": ("import", "customers", "events", "enrol"),
    "Sales": ("tasks",),
    "Operators": ("runs", "pause", "resume", "stop", "holds"),
    "Servers": ("migrate", "worker", "console", "replay"),
}
SETTING_GROUPS = {
    "Folders and state": ("home", "definitions", "templates", "cache"),
    "Database": ("database_url", "database_connections"),
    "Mail": ("smtp_url", "mail_from", "email_per_second"),
    "Text messages": (
        "twilio_account_sid", "twilio_auth_token", "twilio_base_url", "twilio_from", "sms_per_second",
    ),
    "Webhooks": ("webhook_secret", "webhook_private_networks"),
    "The organisation": (
        "workspace_name", "workspace_address", "workspace_url", "workspace_time_zone", "workspace_locale",
        "workspace_currency",
    ),
    "Events": ("unknown_customers",),
    "Console": ("console_url", "secret", "api_key", "host"),
    "Workers": ("processes",),
    "Local servers": (
        "temporal_binary", "temporal_port", "ui_port", "smtp_port", "inbox_port", "sms_port", "console_port",
    ),
}  # fmt: skip
DEFAULTS = {
    "home": "`./.waymark`", "definitions": "`./definitions`", "templates": "`./templates`",
    "cache": "the user's cache folder", "processes": "one per core",
}  # fmt: skip
"""What the program works out when it starts, in words."""


def commands_page() -> str:
    """The page of commands. What is in no group stands at the end, until somebody says where it belongs."""
    grouped = {name for names in COMMAND_GROUPS.values() for name in names}
    groups = {**COMMAND_GROUPS, "Others": tuple(name for name in command.commands if name not in grouped)}
    parts = [COMMANDS_HEAD]
    for title, names in groups.items():
        if names:
            parts.append(f"## {title}\n")
            parts += [_command(path, one) for name in names for path, one in _leaves(command.commands[name], [name])]
    return "\n".join(parts)


def settings_page() -> str:
    """The page of settings."""
    grouped = {name for names in SETTING_GROUPS.values() for name in names}
    groups = {**SETTING_GROUPS, "Others": tuple(name for name in Settings.model_fields if name not in grouped)}
    parts = [SETTINGS_HEAD]
    for title, names in groups.items():
        if names:
            rows = [_setting(name) for name in names]
            parts.append(
                "\n".join([f"## {title}\n", "| variable | what it says | default |", "| --- | --- | --- |", *rows])
            )
            parts.append("")
    return "\n".join([*parts, SETTINGS_FOOT])


def _setting(name: str) -> str:
    field = Settings.model_fields[name]
    said, _, default = (field.description or "").partition(" Default: ")
    if not default:
        default = DEFAULTS.get(name) or ("none" if field.default is None else f"`{field.default}`")
    return f"| `{variable(name)}` | {_cell(said)} | {_cell(default.rstrip('.'))} |"


def _leaves(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _leaves(inner, [*path, name])
    else:
        yield path, command.load()


def _command(path: list[str], command: Any) -> str:
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    rows = [
        f"| `{_cell(_option(one))}` | {_cell(one.help or '')}{' Required.' if one.required else ''} |"
        for one in options
    ]
    table = "\n".join(["| option | what it does |", "| --- | --- |", *rows]) + "\n" if rows else ""
    usage = " ".join(["waymark", *path, *map(_argument, (p for p in command.params if p.param_type_name != "option"))])
    return "\n".join(part for part in (f"### `{usage}`\n", f"{(command.help or '').strip()}\n", table) if part)


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]{}").replace("...", "")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:
    if option.is_flag:
        return str(option.opts[0])
    kind = str(option.type_descriptor.annotation)
    return f"{option.opts[0]} {option.metavar or ('N' if 'int' in kind else 'NUMBER' if 'float' in kind else 'TEXT')}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write both pages."""
    (FOLDER / "commands.md").write_text(commands_page(), encoding="utf-8")
    (FOLDER / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
