"""Every workflow test gets a whole Waymark of its own."""

from tests.temporal import client, server, stage

__all__ = ["client", "server", "stage"]
