"""Who runs PostgreSQL and where its socket lies.

PostgreSQL refuses to run as root; where Waymark does (containers), the server gets a system user of its own.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from journeys.errors import WaymarkError

USER = "pgserver"
SOCKET_PATH_LIMIT = 103
"""Bytes of a socket's path that every system takes; macOS has the shortest."""


def server_user(binaries: Path, folder: Path) -> str | None:
    """The system user that runs the server, None for ourselves; `folder` then belongs to that user.

    Folders on the way to the server's files become passable (not readable) for others.

    Raises:
        WaymarkError: we are root and no user can be added.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(USER)
    except KeyError:
        _add_user()
    for parent in {*folder.parents, *binaries.parents}:
        _allow(parent, 0o001)
    if (binaries / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in binaries.parent.rglob("*"):
            _allow(path, 0o005)
    if folder.owner() != USER:
        shutil.chown(folder, USER)
    return USER


def privileges(user: str | None) -> dict[str, Any]:
    """What `subprocess.run` needs to run a program as this user, and with none of our own groups."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def socket_folder(folder: Path, user: str | None) -> Path:
    """Where the server's socket goes: `folder`, or a private one with a short name if that path cannot be used."""
    # To clients a comma parts one host from the next.
    if b"," not in os.fsencode(folder) and len(os.fsencode(folder / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"waymark-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid not in (os.geteuid(), pwd.getpwnam(user).pw_uid if user else os.geteuid()):
        raise WaymarkError(f"{short} belongs to somebody else.", hint="Choose a shorter path for WAYMARK_HOME.")
    if user:
        shutil.chown(short, user)
    return short


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _add_user() -> None:
    try:
        subprocess.run(["useradd", "--system", "--shell", "/bin/false", USER], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise WaymarkError(
            f"PostgreSQL does not run as root, and the system user {USER} cannot be added.",
            hint=f"Run Waymark as an ordinary user, or `useradd {USER}`, or set WAYMARK_DATABASE_URL.",
        ) from error
