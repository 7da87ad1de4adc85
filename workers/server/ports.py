"""TCP ports of this machine."""

import socket
import sys
from contextlib import ExitStack


def port_is_free(ip: str, port: int) -> bool:
    """Whether a server could listen on `port` of `ip` at this moment."""
    try:
        _listen(ip, port).close()
    except OSError:
        return False
    return True


def free_ports(ip: str, count: int) -> list[int]:
    """`count` different ports that nothing listens on. Another process may still take one before it is used."""
    with ExitStack() as held:
        return [held.enter_context(_listen(ip, 0)).getsockname()[1] for _ in range(count)]


def _listen(ip: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # As servers do: a port whose last connections are still winding down is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
