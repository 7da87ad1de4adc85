"""The Temporal server that workflow tests use, too."""

from tests.temporal import client, server

__all__ = ["client", "server"]
