"""Line ends: the model knows LF only, a document keeps what it has.

Owns the way to the model and, for drafts, the way back; finished middles get their line ends back
in `shape`. Knows nothing of who asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow


@dataclass(frozen=True, slots=True)
class Newlines:
    """The line end near a cursor."""

    crlf: bool = False

    @classmethod
    def of(cls, window: ContextWindow) -> Newlines:
        """CRLF where most lines of the window end in it."""
        crlf = window.prefix.count("\r\n") + window.suffix.count("\r\n")
        lines = window.prefix.count("\n") + window.suffix.count("\n")
        return cls(2 * crlf > lines)

    def restored(self, text: str) -> str:
        """A text of the model with the document's line ends."""
        return text.replace("\n", "\r\n") if self.crlf else text


def plain(window: ContextWindow) -> ContextWindow:
    """The window with LF only."""
    if "\r" not in window.prefix and "\r" not in window.suffix:
        return window
    return replace(window, prefix=lf(window.prefix), suffix=lf(window.suffix))


def lf(text: str) -> str:
    """The text with LF only."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
