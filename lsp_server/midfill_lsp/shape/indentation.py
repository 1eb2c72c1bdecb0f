"""Indentation as the document has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from midfill_lsp.shape.candidate import line_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

#: Share of the indented lines that must agree before the others are taken for slips.
MOST = 0.9

_INDENTED = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_INDENT = re.compile(r"(?<=\n)[ \t]+")
#: The widest level in use.
WIDEST = 8
#: Ends of lines after which one more level is right.
BLOCK_OPENERS = (":", "{", "=>", "->")
#: Ends of lines after which any alignment is right.
OPEN_ENDS = ("(", "[", ",", "\\")


def same_unit(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Write tabs as spaces, or spaces as tabs, where the document knows only the other."""
    found: list[str] = _INDENTED.findall(window.prefix + window.suffix)
    tabs = sum("\t" in indent for indent in found)
    if found and tabs >= MOST * len(found):
        return _rewritten(candidate, _with_tabs)
    if found and len(found) - tabs >= MOST * len(found):
        # Odd widths are the stars of comments.
        unit = " " * min((len(i) for i in found if len(i) % 2 == 0), default=4)
        return _rewritten(candidate, lambda indent: indent.replace("\t", unit))
    return candidate


def fresh_line(candidate: Candidate, window: ContextWindow) -> Candidate:
    """On an indented, empty line, write neither its indentation again nor a line end first."""
    indent = line_before(window.prefix)
    if indent.strip() or not candidate.text.strip():
        return candidate
    text = candidate.text
    if indent and text.startswith("\n" + indent) and not text[len(indent) + 1].isspace():
        return candidate.splice(0, len(indent) + 1, "")
    lead = text[: len(text) - len(text.lstrip(" \t"))]
    if not lead or not indent or len(indent + lead) <= _deepest(window.prefix):
        return candidate
    return candidate.splice(0, len(lead), "")


def _deepest(prefix: str) -> int:
    """Characters that the cursor's line may be indented by, judged by the line above."""
    above = [line for line in prefix.split("\n")[:-1] if line.strip()]
    if not above:
        return 0
    line = above[-1]
    indent = len(line) - len(line.lstrip())
    end = line.rstrip()
    if end.endswith(OPEN_ENDS):
        return len(end) + WIDEST
    return indent + WIDEST if end.endswith(BLOCK_OPENERS) else indent


def _with_tabs(indent: str) -> str:
    width = len(indent.expandtabs(4))
    return "\t" * (width // 4) + " " * (width % 4)


def _rewritten(candidate: Candidate, rewrite: Callable[[str], str]) -> Candidate:
    for match in reversed(list(_INDENT.finditer(candidate.text))):
        candidate = candidate.splice(match.start(), match.end(), rewrite(match.group()))
    return candidate
