"""The Temporal server that workflow tests use, too."""

from tests.temporal import client, namespaces, server

__all__ = ["client", "namespaces", "server"]
