"""Clients of the server that workflow tests use, too."""

from tests.temporal import client

__all__ = ["client"]
