"""Misbehaviour on demand: how a catcher is told to act like a bad relay."""

import re
from dataclasses import dataclass, field
from typing import Any

from journeys.errors import WaymarkError

STAGES = ("mail", "rcpt", "data", "dot", "stored")
_KEYS = {"pattern", "code", "text", "hang", "drop", "times"}


@dataclass(slots=True)
class Fault:
    """What happens at one stage of a conversation, to addresses that match `pattern`, at most `times` times."""

    pattern: str = ""
    code: int = 451
    text: str = "4.3.0 the catcher was told to misbehave"
    hang: bool = False
    drop: bool = False
    times: int | None = None

    @property
    def reply(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(slots=True)
class Greylist:
    """Each recipient that matches is put off `times` times before it is let in."""

    pattern: str = ""
    times: int = 1
    seen: dict[str, int] = field(default_factory=dict)

    def puts_off(self, recipient: str) -> bool:
        if not re.search(self.pattern, recipient):
            return False
        self.seen[recipient] = self.seen.get(recipient, 0) + 1
        return self.seen[recipient] <= self.times


class Faults:
    """The present faults of the mail catcher, as `/api/faults` sets them.

    Keys are the stages `mail`, `rcpt`, `data` (the command), `dot` (the whole message is there) and `stored` (it is
    kept, but the sender has not been told); each takes `pattern` (a regular expression over the recipient, or the
    sender for `mail`), and either `code` and `text`, or `hang`, or `drop`; `times` limits it. Besides there are
    `greylist` (`pattern`, `times`) and `refuse_connections` (true).
    """

    def __init__(self) -> None:
        self.stages: dict[str, Fault] = {}
        self.greylist: Greylist | None = None
        self.refuse_connections = False
        self._asked: dict[str, Any] = {}

    def describe(self) -> dict[str, Any]:
        """What was asked for."""
        return self._asked

    def set(self, asked: Any) -> None:
        """Replace all faults. An empty object means to behave. Raises `WaymarkError`."""
        if not isinstance(asked, dict) or (unknown := asked.keys() - {*STAGES, "greylist", "refuse_connections"}):
            names = ", ".join((*STAGES, "greylist", "refuse_connections"))
            wrong = f" {min(unknown)!r}" if isinstance(asked, dict) else ""
            raise WaymarkError(f"There is no such fault{wrong}", hint=f"Known are: {names}.")
        stages = {stage: _fault(asked[stage]) for stage in STAGES if asked.get(stage)}
        greylist = asked.get("greylist")
        if greylist is True:
            greylist = {}
        self.greylist = None if greylist in (None, False) else Greylist(**_checked(greylist, {"pattern", "times"}))
        self.stages = stages
        self.refuse_connections = bool(asked.get("refuse_connections"))
        self._asked = asked

    def at(self, stage: str, address: str) -> Fault | None:
        """The fault that strikes here and now, which counts it."""
        fault = self.stages.get(stage)
        if fault is None or not re.search(fault.pattern, address):
            return None
        if fault.times is not None:
            if fault.times <= 0:
                return None
            fault.times -= 1
        return fault


def _fault(asked: Any) -> Fault:
    return Fault(**_checked(asked, _KEYS))


def _checked(asked: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(asked, dict) or asked.keys() - known:
        raise WaymarkError("This fault has an unknown part", hint=f"Known are: {', '.join(sorted(known))}.")
    try:
        re.compile(str(asked.get("pattern", "")))
    except re.error as error:
        raise WaymarkError(f"The pattern is no regular expression: {error}") from None
    for name in ("code", "times"):
        if not isinstance(asked.get(name, 0), int):
            raise WaymarkError(f"{name} must be a whole number")
    if not 400 <= asked.get("code", 451) <= 599:
        raise WaymarkError("code must be from 400 to 599")
    return asked
