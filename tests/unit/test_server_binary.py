"""Finding the Temporal server's binary: the order of the search, its cache, and what it says when it fails."""

import asyncio
import shutil
import sys
import threading
from pathlib import Path

import pytest

from journeys.errors import WaymarkError
from tests.patience import PATIENCE
from workers.server import binary, build, download
from workers.server.binary import Origin, built_binary, find_binary
from workers.server.build import BuildProgress
from workers.server.download import downloaded_binary
from workers.server.lock import file_lock
from workers.server.source import PARTS, source_folder, source_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in shell scripts for binaries")

OURS = "temporal-server version waymark (Server 1.32.0, UI 2.54.1)"
CLI = "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"
OLD_CLI = "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)"


class Machine:
    """A machine whose PATH, cache, network and Go are under a test's control; all are empty at first."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = tmp_path / "bin"
        self.cache = tmp_path / "cache"
        self.online = False
        self.has_go = True
        self.builds = 0
        self.notices: list[str] = []
        self.path.mkdir()
        monkeypatch.setenv("PATH", str(self.path))
        monkeypatch.setattr(binary, "download", self._download)
        monkeypatch.setattr(build, "_compile", self._compile)
        self.go = self.program(self.path / "go", "go version go1.26.8 linux/amd64")

    def program(self, path: Path, says: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    async def find(self, given: Path | None = None, *, may_download: bool = True) -> binary.Binary:
        return await find_binary(
            given,
            cache=self.cache,
            may_download=may_download,
            notice=self.notices.append,
            watch=lambda progress: None,
        )

    def _download(self, folder: Path) -> Path:
        if not self.online:
            raise WaymarkError("temporal.download cannot be reached (Name or service not known)")
        return self.program(downloaded_binary(folder), CLI)

    def _compile(self, go: str, source: Path, target: Path, watch: build.Watch) -> None:
        self.builds += 1
        self.program(target, OURS)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


async def test_a_given_path_wins_over_everything_else(machine: Machine, tmp_path: Path) -> None:
    machine.program(machine.path / "temporal", CLI)
    given = machine.program(tmp_path / "mine" / "temporal", CLI)
    found = await machine.find(given)
    assert (found.path, found.origin, found.server_version) == (given, Origin.GIVEN, (1, 32, 0))


async def test_a_given_path_that_does_not_exist_is_an_error_and_nothing_else_is_tried(machine: Machine) -> None:
    machine.program(machine.path / "temporal", CLI)
    with pytest.raises(WaymarkError, match="cannot be run: No such file") as caught:
        await machine.find(machine.path / "absent")
    assert "WAYMARK_TEMPORAL_BINARY" in (caught.value.hint or "")


async def test_a_given_program_that_is_no_temporal_server_is_refused(machine: Machine) -> None:
    with pytest.raises(WaymarkError, match="is not a Temporal server"):
        await machine.find(machine.go)


async def test_temporal_on_path_wins_over_the_cache(machine: Machine) -> None:
    machine.program(built_binary(machine.cache, source_folder()), OURS)
    on_path = machine.program(machine.path / "temporal", CLI)
    found = await machine.find()
    assert (found.path, found.origin) == (on_path, Origin.ON_PATH)
    assert not found.follows_parent


async def test_temporal_on_path_without_time_skipping_is_passed_over_and_the_reason_told(machine: Machine) -> None:
    machine.program(machine.path / "temporal", OLD_CLI)
    built = machine.program(built_binary(machine.cache, source_folder()), OURS)
    found = await machine.find()
    assert (found.path, found.origin) == (built, Origin.CACHED)
    assert machine.notices == [
        f"Passed over: {machine.path / 'temporal'} holds Temporal server 1.29.1, and skipping time needs 1.32.0."
    ]


async def test_the_cache_wins_over_a_download(machine: Machine) -> None:
    machine.online = True
    machine.program(built_binary(machine.cache, source_folder()), OURS)
    found = await machine.find()
    assert found.origin is Origin.CACHED
    assert found.follows_parent


async def test_a_download_wins_over_a_build_and_is_found_in_the_cache_the_next_time(machine: Machine) -> None:
    machine.online = True
    first = await machine.find()
    machine.online = False
    second = await machine.find()
    assert (first.origin, second.origin, machine.builds) == (Origin.DOWNLOADED, Origin.CACHED, 0)
    assert first.path == second.path


async def test_without_a_network_the_server_is_built_once_and_one_line_says_why(machine: Machine) -> None:
    first = await machine.find()
    second = await machine.find()
    assert (first.origin, second.origin, machine.builds) == (Origin.BUILT, Origin.CACHED, 1)
    assert first.path == second.path == built_binary(machine.cache, source_folder())
    (notice,) = machine.notices
    assert notice == (
        "The Temporal CLI v1.9.1 could not be downloaded, so the server is built here: "
        "temporal.download cannot be reached (Name or service not known)."
    )


async def test_a_damaged_binary_in_the_cache_is_replaced(machine: Machine) -> None:
    built = machine.program(built_binary(machine.cache, source_folder()), "")
    found = await machine.find(may_download=False)
    assert (found.path, found.origin) == (built, Origin.BUILT)


async def test_a_missing_go_is_one_clear_error_that_says_what_to_do(machine: Machine) -> None:
    machine.go.unlink()
    with pytest.raises(WaymarkError, match="has to be built once, and Go is not installed") as caught:
        await machine.find(may_download=False)
    hint = caught.value.hint or ""
    assert all(way in hint for way in ("Install Go", "WAYMARK_TEMPORAL_BINARY", "TEMPORAL_ADDRESS"))


async def test_two_searches_at_once_build_only_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    building, go_on = threading.Event(), threading.Event()

    def slowly(go: str, source: Path, target: Path, watch: build.Watch) -> None:
        building.set()
        assert go_on.wait(PATIENCE)
        machine._compile(go, source, target, watch)

    monkeypatch.setattr(build, "_compile", slowly)
    first = asyncio.create_task(machine.find(may_download=False))
    assert await asyncio.to_thread(building.wait, PATIENCE)
    waiting = threading.Event()
    second = asyncio.create_task(
        find_binary(
            cache=machine.cache,
            may_download=False,
            notice=lambda line: waiting.set(),
            watch=lambda progress: None,
        )
    )
    assert await asyncio.to_thread(waiting.wait, PATIENCE)
    go_on.set()
    assert (await first).path == (await second).path
    assert machine.builds == 1


async def test_a_failed_build_leaves_nothing_in_the_cache_and_names_the_reason(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{machine.path}:/usr/bin:/bin")
    machine.go.write_text("#!/bin/sh\necho 'go: go.mod requires go >= 1.26.8 (running go 1.22)' >&2\nexit 1\n")
    target = tmp_path / "cache" / "temporal-server"
    with pytest.raises(WaymarkError, match=r"requires go >= 1\.26\.8"):
        build.build(source_folder(), target, watch=lambda progress: None)
    assert [path.name for path in target.parent.iterdir()] == ["temporal-server.lock"]


def test_a_build_reports_each_package_against_the_number_that_has_to_be_compiled(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{machine.path}:/usr/bin:/bin")
    machine.go.write_text(
        "#!/bin/sh\n"
        "case $1 in\n"
        "list) echo 'go: downloading example.org/x v1.0.0' >&2; printf 'a\\nb\\nc\\n' ;;\n"
        'build) printf \'a\\nb\\nc\\n\' >&2; while [ "$1" != -o ]; do shift; done; echo binary > "$2" ;;\n'
        "esac\n"
    )
    seen: list[BuildProgress] = []
    target = tmp_path / "cache" / "temporal-server"
    build.build(source_folder(), target, watch=seen.append)
    assert target.read_text() == "binary\n"
    assert [(step.done, step.total) for step in seen] == [(1, 0), (0, 3), (0, 3), (1, 3), (2, 3), (3, 3)]


def test_progress_reads_as_a_sentence_with_a_share_and_the_time_left() -> None:
    assert str(BuildProgress(12, 0, 3.0)) == "Building the Temporal server: 12 Go modules fetched"
    assert str(BuildProgress(450, 1_800, 60.0)) == (
        "Building the Temporal server: 25% (450 of 1800 packages), about 3 min left"
    )


@pytest.mark.parametrize("changed", PARTS)
def test_the_key_changes_with_every_file_that_the_binary_depends_on(tmp_path: Path, changed: str) -> None:
    for part in PARTS:
        shutil.copy(source_folder() / part, tmp_path / part)
    before = source_key(tmp_path)
    assert before == source_key(source_folder())
    with (tmp_path / changed).open("a") as file:
        file.write("// changed\n")
    assert source_key(tmp_path) != before


def test_the_key_does_not_change_with_the_readme(tmp_path: Path) -> None:
    for part in PARTS:
        shutil.copy(source_folder() / part, tmp_path / part)
    before = source_key(tmp_path)
    (tmp_path / "README.md").write_text("other words")
    assert source_key(tmp_path) == before


@pytest.fixture
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends what would go to the network to a port of this machine where nothing listens."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.usefixtures("no_way_out")
def test_a_download_without_a_network_fails_at_once_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError) as caught:
        download.download(tmp_path, timeout=PATIENCE)
    assert str(caught.value).startswith("Failed starting Temporal dev server")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_download_site_is_told_without_starting_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "HOST", "127.0.0.1")
    monkeypatch.setattr("workers.server.download.subprocess.run", lambda *a, **k: pytest.fail("nothing may be started"))
    monkeypatch.setattr("workers.server.download.socket.create_connection", refuse)
    with pytest.raises(WaymarkError, match=r"^127\.0\.0\.1 cannot be reached \(Connection refused\)$"):
        download.download(tmp_path)


def refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def test_a_lock_that_is_held_can_be_given_up_on(tmp_path: Path) -> None:
    def give_up() -> None:
        raise TimeoutError

    path = tmp_path / "folder" / "lock"
    with file_lock(path), pytest.raises(TimeoutError), file_lock(path, waiting=give_up):
        pytest.fail("both have the lock")
    with file_lock(path, waiting=give_up):
        pass
