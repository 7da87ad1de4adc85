"""The documentation names everything there is, and nothing that there is not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from starlette.routing import Route

from activities.messages.rendering import CustomerView
from console import api, callbacks, public
from console.app import create_app
from journeys import broadcast_files, conditions, definition, lifecycle, sales, scoring, segments, team
from journeys.fields import parse_fields
from journeys.identities import parse_identity
from journeys.loading import parse
from journeys.sending import Cap, ChannelRules, SendingRules, Window
from journeys.source import InvalidFile, Source
from journeys.steps import effects, sends, step, waits, ways
from journeys.timing import UNITS
from tools import pictures, reference
from workers.command import command as waymark
from workers.settings import Settings, variable

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
FIELDS = parse_fields((ROOT / "definitions" / "fields.yaml").read_text(encoding="utf-8"))


def read(*names: str) -> str:
    return REFERENCE.joinpath(*names).read_text(encoding="utf-8")


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", text, re.MULTILINE)


def coded(lines: list[str]) -> set[str]:
    return {word for line in lines for word in re.findall(r"`([^`]+)`", line)}


def first_cells(text: str) -> set[str]:
    """The code words in the first column of all tables."""
    rows = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", text, re.MULTILINE)
    return coded(rows)


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}$\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    level = len(found[1])
    return re.split(rf"^#{{1,{level}}} ", found[2], flags=re.MULTILINE)[0]


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def aliases(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from walk(inner, [*path, name])
        else:
            yield " ".join(path), command.load()

    yield from walk(waymark, [])


COMMANDS = dict(commands())


# Steps


def test_every_step_is_documented_and_no_other() -> None:
    below = read("steps.md").split("## Every step")[1]
    assert coded(headings(below, 3)) == set(ways.KINDS)


def test_every_key_of_the_header_is_documented_and_no_other() -> None:
    assert first_cells(section(read("steps.md"), "The header")) >= set(definition.Journey.model_fields)
    table = read("steps.md").split("## The header")[1].split("### `enter`")[0]
    assert first_cells(table) == set(definition.Journey.model_fields)


@pytest.mark.parametrize(
    ("step", "models"),
    [
        ("wait", [waits.CustomerDate, waits.TimeOfDay, waits.WorkingDays]),
        ("wait_for", [ways.Awaited, ways.Option]),
        ("task", [effects.TaskDetails]),
        ("webhook", [sends.WebhookCall]),
        ("consent", [effects.ConsentChange]),
        ("loop", [ways.Again]),
    ],
)
def test_every_key_of_a_step_is_documented_and_no_other(step: str, models: list[Any]) -> None:
    text = section(read("steps.md"), f"`{step}`")
    assert first_cells(text) == set().union(*map(aliases, models))


def test_every_key_of_a_message_and_every_policy_for_uncertain_ones_is_documented_and_no_other() -> None:
    text = section(read("steps.md"), "`send`")
    allowed = sends.Send.model_fields["if_uncertain"].annotation.__args__  # type: ignore[union-attr]
    assert first_cells(text) == set(allowed) | aliases(sends.Send) - aliases(step.Step) - {"send"}


@pytest.mark.parametrize("way", definition.WAYS_IN)
def test_every_part_of_a_way_in_is_documented(way: str) -> None:
    text = section(read("steps.md"), "`enter`")
    assert all(re.search(rf"\b{key}\b", text) for key in aliases(definition.WAYS_IN[way]))
    assert f"`{way}`" in text


@pytest.mark.parametrize(("title", "model"), [("exit", definition.Exit), ("goal", definition.Goal)])
def test_every_part_of_an_exit_and_a_goal_is_documented(title: str, model: Any) -> None:
    text = section(read("steps.md"), f"`{title}`")
    assert [key for key in aliases(model) if f"`{key}`" not in text] == []


def test_what_no_map_may_set_is_documented() -> None:
    text = section(read("steps.md"), "`set`")
    assert all(f"`{name}`" in text for name in effects.NOT_SET)


# Conditions


def test_every_condition_is_documented_and_no_other() -> None:
    text = read("conditions.md")
    assert first_cells(text.split("## `all`")[0]) == set(conditions.KINDS)
    assert coded(headings(text, 2)) == set(conditions.KINDS)


@pytest.mark.parametrize(("condition", "model"), [("field", conditions.FieldTest), ("event", conditions.EventTest)])
def test_every_part_of_a_condition_is_documented_and_no_other(condition: str, model: Any) -> None:
    text = section(read("conditions.md"), f"`{condition}`")
    assert first_cells(text) | {"name"} == aliases(model)


# Time


@pytest.mark.parametrize(
    ("title", "models"),
    [("Windows and quiet hours", [Window]), ("`sending.yaml`", [SendingRules, ChannelRules, Cap])],
)
def test_every_key_of_the_rules_of_sending_is_documented_and_no_other(title: str, models: list[Any]) -> None:
    assert first_cells(section(read("time.md"), title)) == set().union(*map(aliases, models))


def test_every_unit_of_durations_is_documented_and_no_other() -> None:
    assert first_cells(section(read("time.md"), "Durations")) == set(UNITS)


# Files, templates, events


def test_every_key_of_the_handoff_rule_is_documented_and_no_other() -> None:
    models = (sales.Rule, sales.SeveralRules, team.Rep, team.Manager, team.Working, team.Absence, sales.Effect,
              sales.Outcomes, team.Stage)  # fmt: skip
    assert first_cells(read("handoff.md")) == set().union(*map(aliases, models))


def test_every_field_type_is_documented_and_no_other() -> None:
    assert first_cells(section(read("files.md"), "`fields.yaml`")) == {"text", "number", "date", "datetime", "boolean"}


def test_every_name_of_a_customer_in_templates_is_documented() -> None:
    [row] = re.findall(r"^\| `customer` \|(.+)$", read("templates.md"), re.MULTILINE)
    assert coded([row]) - {"definitions/fields.yaml"} == set(CustomerView({}).fields)


def test_every_event_that_waymark_sends_is_documented() -> None:
    known = first_cells(read("events.md"))
    sent = {
        name
        for source in [*(ROOT / "activities").rglob("*.py"), *(ROOT / "console").rglob("*.py")]
        for name in re.findall(r'"((?:email|sms|score|task|order|customer)\.[a-z_]+)"', source.read_text("utf-8"))
    } | {"email.unsubscribed", "sms.unsubscribed"}
    assert sent <= known


def test_every_event_that_a_shipped_map_names_is_documented_and_no_other() -> None:
    named: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key == "on":
                    named.update([inner] if isinstance(inner, str) else inner)
                if key == "event":
                    named.add(inner["name"])
                look(inner)

    for path in (ROOT / "definitions" / "journeys").glob("*.yaml"):
        look(YAML(typ="safe").load(path))
    known = first_cells(read("events.md"))
    assert named <= known
    assert known & set(first_cells(section(read("events.md"), "Names that others send by convention"))) <= named | {
        "email.complained"
    }


# Settings, commands, routes


def test_the_page_of_settings_is_what_the_program_says() -> None:
    assert read("settings.md") == reference.settings_page(), "run python -m tools.reference"


def test_the_page_of_commands_is_what_the_program_says() -> None:
    assert read("commands.md") == reference.commands_page(), "run python -m tools.reference"


def test_every_setting_is_documented_and_no_other() -> None:
    named = set(re.findall(r"WAYMARK_[A-Z_]+", read("settings.md"))) - {"WAYMARK_"}
    assert named == {variable(name) for name in Settings.model_fields}
    assert "## Others" not in read("settings.md"), "say in tools/reference.py where the new setting belongs"


def test_no_page_names_a_setting_that_there_is_not() -> None:
    known = {variable(name) for name in Settings.model_fields}
    wrong = [
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"\bWAYMARK_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))
        if name not in known
    ]
    assert wrong == []


def test_every_command_is_documented_and_no_other() -> None:
    documented = [
        " ".join(word for word in title.strip("`").split()[1:] if re.fullmatch(r"[a-z-]+", word))
        for title in headings(read("commands.md"), 3)
    ]
    assert sorted(documented) == sorted(COMMANDS)


def test_every_command_has_its_place() -> None:
    assert "## Others" not in read("commands.md"), "say in tools/reference.py where the new command belongs"


def spoken_commands() -> Iterator[tuple[str, list[str]]]:
    """Every `waymark ...` in a shell example or in running text, as words."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in fenced(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(waymark [^`]+)`", text)
        for line in lines:
            found = re.search(r"(?:^|\s)waymark ((?:--home \S+ )?[a-z].*)$", line.partition("  #")[0].strip())
            if found and "COMMAND" not in line:
                yield f"{page.relative_to(ROOT)}: {line.strip()}", shlex.split(found[1].split(" > ")[0].split(" | ")[0])


@pytest.mark.parametrize(("where", "words"), list(spoken_commands()))
def test_every_command_in_an_example_is_there_with_its_options(where: str, words: list[str]) -> None:
    while words and words[0] == "--home":
        words = words[2:]
    names = [name for name in COMMANDS if words[: len(name.split())] == name.split()]
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    if not names:
        assert len(words) == 1, where
        assert words[0] in groups, where
        return
    name = max(names, key=len)
    options = {word for option in COMMANDS[name].params for word in option.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= options, where


def test_every_route_is_documented_and_no_other() -> None:
    parts: Any = None
    routes = [*api.routes(parts), *public.routes(parts), *callbacks.routes(parts)]
    routes += [route for route in create_app(parts).routes if isinstance(route, Route)]
    there = {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path)}"
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {cell for cell in first_cells(read("api.md")) if cell[0].isupper()} == there


# Pages


def test_every_decision_is_numbered_and_has_its_parts() -> None:
    files = sorted((DOCS / "decisions").glob("*.md"))
    assert [path.name[:4] for path in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for number, path in enumerate(files, 1):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. ")
        assert headings(text, 2) == ["Context", "Decision", "Consequences"]


def test_every_test_that_a_page_names_as_a_proof_is_there() -> None:
    there = {
        name
        for source in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", source.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    assert named
    assert named - there == set()


@pytest.mark.parametrize("room", ["journeys", "records", "activities"])
def test_the_page_of_the_architecture_names_every_module_of_the_rooms_that_have_many_and_no_other(room: str) -> None:
    text = section((DOCS / "architecture.md").read_text(encoding="utf-8"), f"`{room}/`")
    modules = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    folders = {f"{path.parent.name}/" for path in (ROOT / room).glob("*/__init__.py")}
    assert coded(re.findall(r"^\| .+$", text, re.MULTILINE)) == modules | folders


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name} links to {target}"


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            place = (page.parent / target).resolve()
            if place.suffix == ".md" and place.exists():
                waiting.append(place)
            elif place == DOCS / "decisions":
                waiting += place.glob("*.md")
    assert set(PAGES) - reached == set()


def journey_examples() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, block in enumerate(fenced(page.read_text(encoding="utf-8"), "yaml"), 1):
            yield f"{page.relative_to(ROOT)} {number}", block


@pytest.mark.parametrize(("where", "block"), list(journey_examples()))
def test_every_example_in_yaml_is_right(where: str, block: str) -> None:
    first = block.split(":")[0]
    if first == "journey":
        parse(block, where, FIELDS)
    elif first == "when":
        parse(
            "journey: a\ntitle: A\nenter: api\nsteps:\n  - branch:\n      - steps: [{tag: a}]\n"
            + "".join(f"        {line}\n" for line in block.splitlines()),
            where,
            FIELDS,
        )
    elif first == "fields":
        parse_fields(block, where)
    elif first == "segment":
        segments.parse(block, where, FIELDS)
    elif first == "broadcast":
        broadcast_files.parse(block, where, FIELDS)
    elif first == "ab":
        broadcast_files.parse(
            "broadcast: a\ntitle: A\nsegment: a\n" + ("send: email/a\n" if "\n  subjects" in block else "") + block,
            where,
        )
    elif first == "orders":
        lifecycle.parse(block, where, FIELDS)
    elif first == "join_by":
        parse_identity(block, where)
    elif first == "half_life":
        scoring.parse(block, where, FIELDS)
    elif first == "channels":
        SendingRules.model_validate(YAML(typ="safe").load(block))
    else:
        assert first in ("threshold", "rules"), f"{where}: an example of what?"
        sales.parse(Source.parse(block, where), FIELDS)


def test_the_error_in_the_guide_is_what_the_program_says() -> None:
    text = "journey: a\ntitle: A\nenter: api\nsteps:\n  - wait_four: 2d\n"
    with pytest.raises(InvalidFile) as caught:
        parse(text, "definitions/journeys/trial.yaml")
    said = caught.value.problems[0].message.partition(" allowed: ")[0]
    guide = (DOCS / "how-to" / "write-a-journey.md").read_text(encoding="utf-8")
    assert said in guide


def test_no_example_uses_a_domain_that_somebody_may_own() -> None:
    ours = ("example", "localhost", "jinja.palletsprojects.com", "keepachangelog.com", "semver.org",
            "standardwebhooks.com", "127.0.0.1")  # fmt: skip
    for page in PAGES:
        for host in re.findall(r"(?:https?|smtps?|postgresql)://(?:[^@/\s`]+@)?([a-z0-9.-]+)", page.read_text("utf-8")):
            assert host == "host" or host.endswith(ours) or host == "api.twilio.com", f"{page.name}: {host}"


def test_the_pictures_are_small_and_stand_alone() -> None:
    for picture in (DOCS / "pictures").iterdir():
        assert picture.stat().st_size < 300_000, picture.name
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"(href|src)=|@import|<script|url\((?!#)", text), picture.name


def test_the_picture_of_a_journey_is_that_of_its_map() -> None:
    shown = (DOCS / "pictures" / "welcome.svg").read_text(encoding="utf-8")
    assert shown == pictures.drawing(), "run python -m tools.pictures"
