"""Ports for servers that a test starts in a while."""

from __future__ import annotations

import os
from itertools import cycle, islice

from workers.server.ports import port_is_free

HERE = "127.0.0.1"
_RANGE = 1000
_FIRST = 10_000 + _RANGE * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)
# Two runs of pytest on one machine begin at different places.
_ports = cycle(_FIRST + (os.getpid() * 50 + number) % _RANGE for number in range(_RANGE))


def quiet_ports(count: int) -> list[int]:
    """Different ports that nothing listens on, from a range of this test process's own: neither what takes just any
    port nor another process of the run takes one of them before the server does that it is meant for."""
    return list(islice((port for port in _ports if port_is_free(HERE, port)), count))
