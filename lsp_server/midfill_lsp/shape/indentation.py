"""Indentation as the document has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from midfill_lsp.shape.candidate import line_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

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
    # One space is the star of a comment.
    found = [i for i in _INDENTED.findall(window.prefix + window.suffix) if i != " "]
    tabs = sum("\t" in indent for indent in found)
    if found and tabs == len(found):
        return _rewritten(candidate, _with_tabs)
    if found and not tabs:
        unit = " " * min((len(i) for i in found if len(i) % 2 == 0), default=4)
        return _rewritten(candidate, lambda indent: _with_spaces(indent, unit))
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
    if "\t" in indent:
        return indent  # spaces behind tabs align
    width = len(indent)
    return "\t" * (width // 4) + " " * (width % 4)


def _with_spaces(indent: str, unit: str) -> str:
    return indent if " " in indent else indent.replace("\t", unit)


def _rewritten(candidate: Candidate, rewrite: Callable[[str], str]) -> Candidate:
    for match in reversed(list(_INDENT.finditer(candidate.text))):
        candidate = candidate.splice(match.start(), match.end(), rewrite(match.group()))
    return candidate
