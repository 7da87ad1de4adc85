"""The embedded PostgreSQL starts by itself, is shared, survives crashes, and goes when nobody needs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from journeys.errors import WaymarkError
from tests.patience import PATIENCE, gone
from workers.server.postgres import EmbeddedPostgres

USER = """
import signal, sys
from pathlib import Path
import psycopg
from workers.server.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
url = server.start()
try:
    # A shell that starts programs in the background lets them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("ready", flush=True)
    signal.pause()
except KeyboardInterrupt:
    # What programs do on their way out: one more word with the database.
    with psycopg.connect(url) as db:
        print(db.execute("SELECT 'still there'").fetchone()[0], flush=True)
finally:
    server.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, and no server left in it afterwards."""
    path = Path(tempfile.mkdtemp(prefix="waymark-pg-"))
    yield path
    EmbeddedPostgres(path / "postgres").stop()
    left = _postmasters(path)
    for process in left:
        process.kill()
    shutil.rmtree(path)
    assert not left, "a server was left behind"


def _postmasters(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["name", "cmdline", "ppid"])
    servers = [one for one in found if one.info["name"] == "postgres"]
    named = [one for one in servers if str(folder.resolve()) in " ".join(one.info["cmdline"] or [])]
    # A process that a server has just forked goes by the server's own name for a moment.
    numbers = {one.pid for one in named}
    return [one for one in named if one.info["ppid"] not in numbers]


def _user(folder: Path) -> subprocess.Popen[str]:
    """Another program that uses the server, in a process group of its own as at a terminal."""
    started = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def _note(url: str, word: str) -> None:
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE IF NOT EXISTS notes (word text)")
        db.execute("INSERT INTO notes VALUES (%s)", [word])


def _notes(url: str) -> list[str]:
    with psycopg.connect(url) as db:
        return [row[0] for row in db.execute("SELECT word FROM notes").fetchall()]


@pytest.mark.parametrize("name", ["postgres", "it's a folder, mine", "long" * 40])
def test_a_server_keeps_its_data_between_runs_whatever_its_folder_is_called(folder: Path, name: str) -> None:
    server = EmbeddedPostgres(folder / name)
    _note(server.start(), "kept")
    server.stop()
    assert _postmasters(folder) == []
    again = EmbeddedPostgres(folder / name)
    assert _notes(again.start()) == ["kept"]
    again.stop()


def test_the_server_is_durable_and_speaks_utc(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    with psycopg.connect(server.start()) as db:
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "TimeZone": "UTC",
            "max_connections": "200",
        }.items():
            assert db.execute(f"SHOW {name}").fetchone() == (value,)
    server.stop()


def test_starting_twice_is_starting_once(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    assert server.start() == server.start()
    server.stop()
    server.stop()


def test_the_last_program_out_stops_the_server(folder: Path) -> None:
    one, other = EmbeddedPostgres(folder / "postgres"), _user(folder / "postgres")
    assert one.running
    url = one.start()
    os.killpg(other.pid, signal.SIGINT)
    assert other.wait(PATIENCE) == 0
    _note(url, "still used")
    one.stop()
    assert not one.running
    assert _postmasters(folder) == []


def test_ctrl_c_reaches_the_programs_and_not_the_server(folder: Path) -> None:
    program = _user(folder / "postgres")
    os.killpg(program.pid, signal.SIGINT)
    said, _ = program.communicate(timeout=PATIENCE)
    assert said == "still there\n"
    assert program.returncode == 0
    assert _postmasters(folder) == []


def test_programs_that_start_at_once_share_one_server(folder: Path) -> None:
    command = [sys.executable, "-c", USER, str(folder / "postgres")]
    programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    assert len(_postmasters(folder)) == 1
    for program in programs:
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=PATIENCE)


def test_a_killed_owner_leaves_a_server_that_the_next_one_takes_over_and_stops(folder: Path) -> None:
    owner = _user(folder / "postgres")
    owner.kill()
    owner.communicate()
    [left] = _postmasters(folder)
    heir = EmbeddedPostgres(folder / "postgres")
    _note(heir.start(), "taken over")
    assert _postmasters(folder) == [left]
    heir.stop()
    assert _postmasters(folder) == []


def test_a_killed_server_recovers_what_was_committed(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    _note(server.start(), "committed")
    [postmaster] = _postmasters(folder)
    postmaster.kill()
    assert gone([postmaster])
    assert _notes(server.start()) == ["committed"]
    server.stop()


def test_after_a_kill_the_last_of_its_processes_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    session = psycopg.connect(server.start())
    left, waited = session.info.backend_pid, list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGCONT)

    [postmaster] = _postmasters(folder)
    os.kill(left, signal.SIGSTOP)
    postmaster.kill()
    assert gone([postmaster])
    with monkeypatch.context() as patched:
        patched.setattr("workers.server.postgres.time.sleep", wait)
        server.start()
    assert waited
    session.close()
    server.stop()


def test_a_process_number_that_another_program_has_now_is_no_obstacle(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    _note(server.start(), "kept")
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    server.stop()
    (server.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    (Path(lines[4]) / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    assert _notes(server.start()) == ["kept"]
    server.stop()


def test_an_interrupted_first_start_is_made_good(folder: Path) -> None:
    half = folder / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder / "postgres")
    _note(server.start(), "fine")
    server.stop()


def test_a_server_that_cannot_start_says_what_its_log_says(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(WaymarkError) as failure:
        server.start()
    assert "no_such_setting" in (failure.value.hint or "")


def test_data_of_another_postgresql_are_left_alone(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(WaymarkError, match="PostgreSQL 15"):
        server.start()


def test_a_database_can_be_copied_and_dropped(postgres: EmbeddedPostgres) -> None:
    _note(postgres.create_database("original"), "copied")
    copy = postgres.create_database("copy", template="original")
    with psycopg.connect(copy):
        assert _notes(copy) == ["copied"]
        postgres.drop_database("copy")
    postgres.drop_database("original")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(copy)


@pytest.mark.skipif(os.geteuid() != 0, reason="only where we are root has the server a user of its own")
def test_it_stops_and_starts_although_its_user_was_shut_out_of_the_way_to_its_folder(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    _note(server.start(), "kept")
    folder.chmod(0o700)
    server.stop()
    assert _postmasters(folder) == []
    assert _notes(server.start()) == ["kept"]
    server.stop()
