"""TCP ports of this machine."""

import socket
import sys
from contextlib import ExitStack


def port_is_free(ip: str, port: int) -> bool:
    """Whether a server could listen on `port` of `ip` at this moment."""
    try:
        listen(ip, port).close()
    except OSError:
        return False
    return True


def free_ports(ip: str, count: int) -> list[int]:
    """`count` different ports that nothing listens on. Another process may still take one before it is used."""
    with ExitStack() as held:
        return [held.enter_context(listen(ip, 0)).getsockname()[1] for _ in range(count)]


def listen(ip: str, port: int, backlog: int = 1) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is in use."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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
