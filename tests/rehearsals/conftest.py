"""Servers that all rehearsals share."""

from tests.rehearsal import rehearse
from tests.temporal import server

__all__ = ["rehearse", "server"]
