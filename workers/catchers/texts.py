"""Where caught text messages are kept: in memory, and as lines of JSON that survive a restart."""

import itertools
import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Direction = Literal["outbound", "inbound"]
Status = Literal["queued", "sent", "delivered", "undelivered", "failed", "received"]


@dataclass(frozen=True, slots=True)
class Text:
    """One text message. Outbound ones are Waymark's; inbound ones are what somebody answered."""

    sid: str
    direction: Direction
    sender: str
    to: str
    body: str
    at: str
    status: Status
    error: int | None = None
    callback: str | None = None
    callbacks: tuple[str, ...] = field(default=())

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)

    @property
    def customer(self) -> str:
        """The number at the other end."""
        return self.to if self.direction == "outbound" else self.sender


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything between Waymark and one number, oldest first."""

    number: str
    texts: tuple[Text, ...]


class Texts:
    """All caught texts. `opted_out` are the numbers that answered STOP."""

    def __init__(self, folder: Path | None = None) -> None:
        self.texts: dict[str, Text] = {}
        self.opted_out: set[str] = set()
        self.changes = 0
        self._by_number: dict[str, list[str]] = {}
        self._file = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "texts.jsonl"
            if path.exists():
                self._load(path)
            self._file = path.open("a", encoding="utf-8")

    def add(self, direction: Direction, sender: str, to: str, body: str, callback: str | None = None) -> Text:
        """Keep a new text."""
        text = Text(
            sid="SM" + secrets.token_hex(16),
            direction=direction,
            sender=sender,
            to=to,
            body=body,
            at=datetime.now(UTC).isoformat(),
            status="queued" if direction == "outbound" else "received",
            callback=callback,
        )
        self._keep(text)
        return text

    def change(self, sid: str, **changes: Any) -> Text | None:
        """Change a text; None when it has been cleared meanwhile."""
        if sid not in self.texts:
            return None
        text = replace(self.texts[sid], **changes)
        self._keep(text)
        return text

    def opt(self, number: str, *, out: bool) -> None:
        """Remember that a number wants no texts, or wants them again."""
        (self.opted_out.add if out else self.opted_out.discard)(number)
        self._write({"number": number, "out": out})

    def conversations(self, *, number: str = "", limit: int = 100) -> list[Conversation]:
        """The conversations with numbers that contain `number`, the latest first."""
        found = (n for n in reversed(self._by_number) if number in n)
        return [self.conversation(n) for n in itertools.islice(found, limit)]

    def conversation(self, number: str) -> Conversation:
        return Conversation(number, tuple(self.texts[sid] for sid in self._by_number.get(number, [])))

    def clear(self) -> int:
        """Forget all texts, and who has opted out."""
        count = len(self.texts)
        self.texts.clear()
        self.opted_out.clear()
        self._by_number.clear()
        self.changes += 1
        if self._file is not None:
            self._file.truncate(0)
        return count

    def _keep(self, text: Text) -> None:
        self._place(text)
        self._write(asdict(text))

    def _place(self, text: Text) -> None:
        if text.sid not in self.texts:
            # Placed last, because a dictionary keeps the order of insertion and so knows who spoke latest.
            sids = self._by_number.pop(text.customer, [])
            self._by_number[text.customer] = [*sids, text.sid]
        self.texts[text.sid] = text

    def _write(self, entry: dict[str, Any]) -> None:
        self.changes += 1
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()

    def _load(self, path: Path) -> None:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the last line of a process that was killed
            if "number" in entry:
                (self.opted_out.add if entry["out"] else self.opted_out.discard)(entry["number"])
            else:
                self._place(Text(**{**entry, "callbacks": tuple(entry["callbacks"])}))
