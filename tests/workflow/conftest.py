"""Every workflow test gets a whole Waymark of its own."""

from tests.rehearsal import rehearse
from tests.temporal import client, stage

__all__ = ["client", "rehearse", "stage"]
