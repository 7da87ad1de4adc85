"""The built wheel, installed far from the checkout, brings all that `init` and `up` need."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import ROOT, Starter, clean_environment, until
from tests.patience import PATIENCE


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `waymark` program of a fresh virtual environment that holds the wheel, with our dependencies lent to it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = folder.glob("*.whl")
    place = folder / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    [packages] = place.glob("lib/python*/site-packages")
    # Only the folder is lent: what is installed there in editable form, our checkout, is not.
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "bin" / "waymark"


def test_the_wheel_brings_the_starter_the_samples_the_histories_and_the_servers_source(installed: Path) -> None:
    script = "import workers, pathlib; print(pathlib.Path(workers.__file__).parent)"
    ran = subprocess.run(
        [installed.with_name("python"), "-c", script], cwd=installed.parent, capture_output=True, text=True, check=True
    )
    package = Path(ran.stdout.strip())
    assert package.is_relative_to(installed.parents[1])
    for name in ("definitions/fields.yaml", "templates/email", "samples", "histories/0.1/clicked.json"):
        assert (package / "starter" / name).exists()
    assert (package / "server" / "temporal_source" / "go.mod").exists()


def test_a_workspace_is_laid_out_and_runs_from_its_own_folder(
    installed: Path, start_up: Starter, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    laid = subprocess.run(
        [installed, "init", str(folder)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert laid.returncode == 0, laid.stderr
    assert {path.name for path in folder.iterdir()} == {"definitions", "templates"}

    up = start_up(folder / ".waymark", command=[str(installed)], folder=folder)
    up.wait_until_ready()
    up.waymark("journeys", "publish")
    people = tmp_path / "people.csv"
    people.write_text("email,consent_email\nada@acme.example,yes\n")
    up.waymark("import", str(people))
    up.waymark("events", "send", "ada@acme.example", "customer.signed_up")
    until(lambda: httpx.get(f"{up.running.inbox_url}/api/messages", timeout=PATIENCE).json()["messages"])
    assert {one["state"] for one in up.lines("doctor")} == {"ok"}
    assert up.stop() == 0
