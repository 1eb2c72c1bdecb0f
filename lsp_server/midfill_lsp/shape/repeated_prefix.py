"""A middle that says again what stands before the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_engine.wire import Silence
from midfill_lsp.shape.candidate import is_word, line_before, substance

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

#: Letters and digits that make a repetition more than a coincidence.
LEAST = 4
LEAST_LINES = 8


def restarted_line(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Drop the beginning of the line where the model wrote it once more."""
    line = line_before(window.prefix).strip()
    text = candidate.text.lstrip()
    if window.scope.kind != "code" or substance(line) < LEAST or not text.startswith(line):
        return candidate
    if is_word(line[-1]) and is_word(text[len(line) : len(line) + 1]):
        return candidate  # another word, that begins with this one
    return candidate.splice(0, len(candidate.text) - len(text) + len(line), "")


def repeated_lines(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:
    """Say nothing where the middle is the lines right above the cursor."""
    middle = _lines(candidate.text)
    above = _lines(window.prefix)[-len(middle) :] if middle else []
    alone = not line_before(window.prefix).strip() or candidate.text.startswith("\n")
    if alone and middle == above and substance("".join(middle)) >= LEAST_LINES:
        return Silence("repeats-prefix", "The model only repeated the lines above the cursor.")
    return candidate


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
