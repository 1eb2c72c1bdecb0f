"""Blank space at the end, and middles that show nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_engine.wire import Silence
from midfill_lsp.shape.candidate import line_after

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate


def trailing(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Drop blank space at the end where the line ends anyway."""
    if line_after(window.suffix)[candidate.replace_after :].strip():
        return candidate
    return candidate.keep(0, len(candidate.text.rstrip()))


def visible(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:  # noqa: ARG001
    """Say nothing where there is nothing to see."""
    if candidate.text.strip():
        return candidate
    return Silence("empty", "The model has nothing to add here.")
