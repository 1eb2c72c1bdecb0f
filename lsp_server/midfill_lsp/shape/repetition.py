"""A middle that goes round in circles: keep the first round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_engine.wire import Silence

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

#: (least length of what is repeated, rounds that are too many).
LIMITS = ((10, 3), (3, 6))
#: The longest round looked for, and the end of the text in which it is.
LONGEST = 160
REACH = 800

_SILENCE = Silence("unsure", "The model went round in circles here.")


def looped(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:  # noqa: ARG001
    """Cut a text whose end is the same again and again to whole lines before that."""
    text = candidate.text[-REACH:]
    for size in range(3, min(LONGEST, len(text) // 2) + 1):
        run = _period(text, size)
        rounds = next(rounds for length, rounds in LIMITS if size >= length)
        unit = text[len(text) - run - size : len(text) - run]
        if (run + size) // size >= rounds and any(map(str.isalpha, unit)):
            once = candidate.text[: len(candidate.text) - run]
            kept = candidate.keep(0, once.rfind("\n") + 1)
            return kept if kept.text.strip() else _SILENCE
    return candidate


def _period(text: str, size: int) -> int:
    """Characters at the end of ``text`` that equal those ``size`` before them."""
    run = 0
    while run + size < len(text) and text[-1 - run] == text[-1 - run - size]:
        run += 1
    return run
