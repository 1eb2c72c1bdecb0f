"""One line where code follows on the cursor's line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_lsp.shape.candidate import line_after, line_before

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

#: What editors put behind a cursor by themselves.
AUTO_CLOSED = frozenset(")]}>\"'`;:, \t")


def wanted(window: ContextWindow) -> bool:
    """Whether only the rest of this line is asked for: code stands on both sides of the cursor."""
    if not line_before(window.prefix).strip():
        return False
    return _code_follows(window)


def first_line(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Cut at the first line end, unless whole lines are put above the cursor's line."""
    newline = candidate.text.find("\n")
    if newline < 0 or not _code_follows(window):
        return candidate
    last = candidate.text[candidate.text.rfind("\n") + 1 :]
    if not line_before(window.prefix).strip() and not last.strip():
        return candidate
    return candidate.keep(0, newline)


def _code_follows(window: ContextWindow) -> bool:
    return not AUTO_CLOSED.issuperset(line_after(window.suffix).rstrip("\r"))
