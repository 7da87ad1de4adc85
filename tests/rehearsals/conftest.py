"""Rehearsals on the servers of the run."""

from tests.rehearsal import rehearse

__all__ = ["rehearse"]
