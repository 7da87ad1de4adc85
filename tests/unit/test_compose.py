"""The deployment files, read as the engine would read them, because no engine is at hand here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from workers.settings import Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ONE_SHOT = {"temporal-schema", "temporal-namespace", "migrate"}
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("waymark:")}
PINNED = re.compile(r"^[a-z0-9./-]+:\d+(\.\d+)+(-[a-z0-9]+)*$")


def text_of(service: dict[str, Any]) -> str:
    return " ".join(str(part) for key in ("command", "entrypoint") for part in service.get(key) or ())


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_by_a_full_version(name: str) -> None:
    assert PINNED.match(SERVICES[name]["image"])


def test_the_image_of_waymark_bears_its_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert {SERVICES[name]["image"] for name in OURS} == {f"waymark:{version[1]}"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_or_ends_by_itself(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_every_dependency_is_there_and_says_what_is_waited_for(name: str) -> None:
    for other, how in (SERVICES[name].get("depends_on") or {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": wanted}, f"{name} depends on {other}"
        assert other in SERVICES


def test_nothing_depends_on_itself_in_a_circle() -> None:
    left = {name: set(service.get("depends_on") or {}) for name, service in SERVICES.items()}
    while left:
        ready = {name for name, needs in left.items() if not needs & left.keys()}
        assert ready, f"these wait for each other: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in ready}


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_is_one_that_waymark_has(name: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    given = {key for key in SERVICES[name].get("environment") or {} if key.startswith("WAYMARK_")}
    assert given <= known
    assert set(re.findall(r"\$\{(WAYMARK_\w+)", str(SERVICES[name]))) <= known


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_that_waymark_has(name: str) -> None:
    from workers.command import command

    service = SERVICES[name]
    if "entrypoint" in service:
        python, dash_m, module = service["entrypoint"]
        assert (python, dash_m) == ("python", "-m")
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        options = {str(word).split("=")[0] for word in service["command"] if str(word).startswith("--")}
        assert all(f'"{option}"' in source for option in options)
    else:
        assert service["command"][0] in command.commands


def test_the_settings_that_every_machine_must_share_come_from_outside() -> None:
    for name in ("POSTGRES_PASSWORD", "WAYMARK_SECRET", "WAYMARK_API_KEY"):
        used = re.findall(rf"\$\{{{name}(.*?)\}}", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
        assert used
        assert all(default.startswith(":?") for default in used), f"{name} must have no default"


def test_the_namespace_is_there_before_its_search_attributes_are_registered() -> None:
    assert "temporal-namespace" in SERVICES["migrate"]["depends_on"]
    assert "TEMPORAL_ADDRESS" in SERVICES["migrate"]["environment"], "without it, migrate leaves Temporal alone"


def test_the_tools_and_the_server_of_temporal_are_of_one_version() -> None:
    tools = {SERVICES[name]["image"].split(":")[1] for name in ("temporal-schema", "temporal-namespace")}
    assert tools == {SERVICES["temporal"]["image"].split(":")[1]}


def test_everybody_talks_to_the_same_namespace() -> None:
    namespaces = {
        service["environment"][key]
        for service in SERVICES.values()
        for key in ("TEMPORAL_NAMESPACE", "TEMPORAL_DEFAULT_NAMESPACE")
        if key in (service.get("environment") or {})
    }
    assert namespaces == {"waymark"}
    assert "create -n waymark" in text_of(SERVICES["temporal-namespace"])


def test_no_port_is_open_to_the_world() -> None:
    ports = [str(port) for service in SERVICES.values() for port in service.get("ports") or ()]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_every_volume_is_declared_and_every_mounted_folder_is_there() -> None:
    mounts = [str(volume).split(":")[0] for service in SERVICES.values() for volume in service.get("volumes") or ()]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(COMPOSE["volumes"])
    assert all((ROOT / mount).is_dir() for mount in mounts if mount.startswith("."))


def test_the_image_copies_what_is_there_and_the_engine_is_given_it() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]
    allowed = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in allowed or source.split("/")[0] in allowed, source


def test_the_image_carries_every_room_and_all_content() -> None:
    for room in ("journeys", "activities", "records", "console", "workers", "definitions", "templates", "samples"):
        assert re.search(rf"^COPY {room} {room}$", DOCKERFILE, re.MULTILINE), room


def test_the_image_does_not_run_as_root_and_is_pinned() -> None:
    assert re.search(r"^USER waymark$", DOCKERFILE, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(PINNED.match(base) for base in bases)
    assert len(set(bases)) == 1


def test_the_image_installs_with_the_same_installer_as_everybody() -> None:
    version = re.search(r"^UV := (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"uv=={version[1]}" in DOCKERFILE


def test_the_worker_is_unhealthy_without_a_worker_process() -> None:
    _, python, dash_c, code = SERVICES["worker"]["healthcheck"]["test"]
    assert (python, dash_c) == ("python", "-c")
    # It must not take itself for one, whatever its own command line says.
    assert subprocess.run([sys.executable, "-c", code.replace("workers.worker", "workers.nobody")]).returncode == 1
    decoy = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", decoy, "-m", "workers.nobody"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout is not None
        living.stdout.readline()
        check = subprocess.run([sys.executable, "-c", code.replace("workers.worker", "workers.nobody")])
        living.communicate()
    assert check.returncode == 0
