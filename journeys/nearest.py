"""The nearest right word for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_word(word: str, allowed: Iterable[str], what: str) -> str:
    """A message for a word that is not among those allowed, with the nearest of them."""
    words = list(allowed)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{word[:60]!r} {what}" + (f"{meant} allowed: {', '.join(words)}" if words else "")
