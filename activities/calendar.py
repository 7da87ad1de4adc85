"""The two clocks of a rehearsal: the server's, by which workflows wake, and the one that customers live by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from journeys.instruction import Instruction, Turn


@dataclass(frozen=True, slots=True)
class Calendar:
    """The server's clock is `ahead` of business time, in which everything stands that is kept in the records.

    In production both are the same. In a rehearsal the server cannot go back, and business time begins whenever the
    marketer says.
    """

    ahead: timedelta = timedelta()

    def from_server(self, moment: datetime) -> datetime:
        """Business time of a moment on the server's clock."""
        return moment - self.ahead

    def to_server(self, moment: datetime) -> datetime:
        """The moment on the server's clock at which it is that business time."""
        return moment + self.ahead

    def turn(self, turn: Turn) -> Turn:
        """A turn that the server asks for, in business time."""
        return replace(turn, now=self.from_server(turn.now)) if self.ahead else turn

    def instruction(self, instruction: Instruction) -> Instruction:
        """What a turn came to, in the server's time."""
        if not self.ahead or instruction.until is None:
            return instruction
        return replace(instruction, until=self.to_server(instruction.until))
