"""Closing brackets that would leave the document unbalanced.

A middle may close what stands open before the cursor and is not closed behind it; nothing else.
A closer that the editor put behind the cursor by itself is replaced where the text goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from midfill_lsp.context import lexical
from midfill_lsp.context.lexical import BRACKETS, CLOSERS, Bracket
from midfill_lsp.shape.candidate import line_after

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate


def balanced(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Cut at the first closer too many, or let it replace the one behind the cursor."""
    if window.scope.kind != "code" or not lexical.is_code(window.language):
        return candidate
    surplus = _surplus(candidate.text, closable(window), window.language)
    if not surplus:
        return replace(candidate, replace_after=0)
    goes_on = candidate.text[surplus[-1].offset + 1 :]
    replaced = _replaceable(surplus, line_after(window.suffix), goes_on)
    if replaced and goes_on.strip():
        return replace(candidate, replace_after=replaced)
    return replace(candidate.keep(0, surplus[0].offset), replace_after=0)


def closable(window: ContextWindow) -> list[str]:
    """Closers, innermost first, that the document lacks behind the cursor."""
    openers = lexical.unmatched(lexical.brackets(window.prefix, window.language))[1]
    closers = lexical.unmatched(lexical.brackets(window.suffix, window.language))[0]
    if closers:
        keep = _opener_of(closers[0], openers, window) + 1
    elif window.complete:
        keep = 0
    else:
        # The block's end lies beyond the window; parentheses seldom reach that far.
        keep = max((n + 1 for n, b in enumerate(openers) if b.character == "{"), default=0)
    return [BRACKETS[bracket.character] for bracket in openers[keep:]][::-1]


def _opener_of(closer: Bracket, openers: list[Bracket], window: ContextWindow) -> int:
    """Index of the opener that ``closer``, the first one behind the cursor, belongs to; or -1.

    A closer at the beginning of a line is indented as the line of its opener.
    """
    same = [n for n, b in enumerate(openers) if b.character == CLOSERS[closer.character]]
    indent = _indent_before(window.prefix + window.suffix, len(window.prefix) + closer.offset)
    if indent is not None:
        lines = [n for n in same if _line_indent(window.prefix, openers[n].offset) == indent]
        same = lines or same
    return same[-1] if same else -1


def _surplus(text: str, allowed: list[str], language: str) -> list[Bracket]:
    """Closers of ``text`` that neither close its own brackets nor are ``allowed``.

    ``a).b(`` and ``} else {`` close and open again: nothing is left over.
    """
    closers, openers = lexical.unmatched(lexical.brackets(text, language))
    kinds = [closer.character for closer in closers]
    while kinds and allowed and kinds[0] == allowed[0]:
        kinds, allowed = kinds[1:], allowed[1:]
    again = [BRACKETS[opener.character] for opener in openers[: len(kinds)]]
    return [] if kinds == again[::-1] else closers[len(closers) - len(kinds) :]


def _replaceable(surplus: list[Bracket], rest: str, goes_on: str) -> int:
    """Length of ``rest``, the line behind the cursor, if the text says all of it again."""
    rest = rest.rstrip()
    at = 0
    for closer in surplus:
        if rest[at : at + 1] != closer.character:
            return 0
        at += 1
    return len(rest) if goes_on.startswith(rest[at:]) else 0


def _indent_before(text: str, offset: int) -> str | None:
    """Indentation in front of ``offset``, or ``None`` if something else stands there."""
    before = text[text.rfind("\n", 0, offset) + 1 : offset]
    return None if before.strip() else before


def _line_indent(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip())]
