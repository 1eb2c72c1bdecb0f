"""Line ends of the document: rules work with LF, the user gets what the file has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate


def uses_crlf(window: ContextWindow) -> bool:
    """Whether the lines near the cursor end in CRLF."""
    text = window.prefix + window.suffix
    return 2 * text.count("\r\n") > text.count("\n")


def plain_window(window: ContextWindow) -> ContextWindow:
    """The window with LF only."""
    prefix, suffix = window.prefix.replace("\r\n", "\n"), window.suffix.replace("\r\n", "\n")
    return replace(window, prefix=prefix, suffix=suffix)


def plain(candidate: Candidate) -> Candidate:
    """The candidate with LF only."""
    while (at := candidate.text.find("\r")) >= 0:
        follows = candidate.text[at + 1 : at + 2] == "\n"
        candidate = candidate.splice(at, at + 1, "" if follows else "\n")
    return candidate


def with_crlf(candidate: Candidate) -> Candidate:
    """The candidate with CRLF only."""
    tokens = tuple(replace(t, text=t.text.replace("\n", "\r\n")) for t in candidate.tokens)
    return replace(candidate, text=candidate.text.replace("\n", "\r\n"), tokens=tokens)
