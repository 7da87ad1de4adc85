"""TCP ports of this machine."""

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

SPARE: Final = range(20_000, 30_000)
"""Where a free port is looked for: below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing
connections, so that none of these takes one between its being chosen and being listened on."""


def port_is_free(ip: str, port: int) -> bool:
    """Whether a server could listen on `port` of `ip` at this moment."""
    try:
        listen(ip, port).close()
    except OSError:
        return False
    return True


class Claims:
    """Ports that are going to be listened on, by this process or by a child of it, and kept from other claimants.

    A claim is a UDP socket of the same number, which the system gives to one process only and takes back when that
    ends. (A TCP socket would be in the way of the server that the port is meant for; a file would outlive a crash.)
    """

    def __init__(self, ip: str) -> None:
        self._ip = ip
        self._held = ExitStack()

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self, wanted: int = 0) -> int:
        """The port `wanted`, or another when that is 0 or not to be had. Raises OSError when none is left."""
        if wanted and self._claim(wanted):
            return wanted
        return next(port for port in _shuffled() if self._claim(port))

    def release(self) -> None:
        """Give all of them back. What listens on them goes on."""
        self._held.close()

    def _claim(self, port: int) -> bool:
        claim = socket.socket(_family(self._ip), socket.SOCK_DGRAM)
        try:
            claim.bind((self._ip, port))
        except OSError:
            claim.close()
            return False
        if not port_is_free(self._ip, port):
            claim.close()
            return False
        self._held.enter_context(claim)
        return True


def _shuffled() -> Iterator[int]:
    """Spare ports in no order, so that two processes seldom try the same one."""
    yield from random.sample(SPARE, len(SPARE))
    raise OSError(f"None of the ports {SPARE.start} to {SPARE.stop - 1} is free.")


def listen(ip: str, port: int, backlog: int = 1) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is in use."""
    listener = socket.socket(_family(ip), socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # As servers do: a port whose last connections are still winding down is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        # Listening tells now, and not later, whether somebody else does.
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
