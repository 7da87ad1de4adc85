"""A lock that processes of one machine share through a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def file_lock(path: Path, *, waiting: Callable[[], None] = lambda: None, pause: float = 0.2) -> Iterator[None]:
    """Hold `path` as a lock for the block; ended by the operating system if the process dies.

    While another process holds it, the lock is tried again every `pause` seconds, and `waiting` is called each time;
    what that raises ends the wait. Blocks the thread: call it from one of its own inside asynchronous code.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        while True:
            try:
                _try_lock(file)
                break
            except OSError:
                waiting()
                time.sleep(pause)
        yield
