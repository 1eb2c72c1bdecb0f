"""A middle that runs into what stands behind the cursor: following lines and the line's rest."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from midfill_engine.wire import Silence
from midfill_lsp.shape import brackets
from midfill_lsp.shape.candidate import is_word, line_after, line_before, substance

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate

#: Letters and digits that two lines must share; below `STRONG` the indentation counts as well.
LEAST = 3
STRONG = 12
#: Of two lines after which the middle goes on differently.
PARTIAL = 8
#: Punctuation that never stands twice.
DOUBLED = frozenset(";,: ")
#: Characters of the line's rest that are compared.
REACH = 200

_SILENCE = Silence("repeats-suffix", "The model only repeated what follows the cursor.")


def following_lines(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:
    """Cut where the middle begins to say the lines that follow."""
    lines = candidate.text.split("\n")
    whole_line = not line_before(window.prefix).strip()
    below = [line for line in window.suffix.split("\n")[not whole_line :] if line.strip()]
    at = 0
    for number, line in enumerate(lines):
        if (number or whole_line) and line.strip() and _echoes(lines[number:], below, number):
            kept = candidate.keep(0, max(0, at - 1) if number else 0)
            return kept if kept.text.strip() else _SILENCE
        at += len(line) + 1
    return candidate


def rest_of_line(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:
    """Cut from the end of the middle what the cursor's line goes on with."""
    rest = line_after(window.suffix).rstrip()[:REACH]
    text = candidate.text
    if not rest or not text.strip():
        return candidate
    if line_before(window.prefix).strip() and _begins_alike(text, rest):
        return _SILENCE
    for size in range(min(len(rest), len(text)), 0, -1):
        if text.endswith(rest[:size]) and _is_doubled(text, rest, size, window):
            kept = candidate.keep(0, len(text) - size)
            return kept if kept.text.strip() else _SILENCE
    return candidate


def _begins_alike(text: str, rest: str) -> bool:
    """Whether the middle is another version of the line's rest instead of what stands before it."""
    pairs = zip(text.lstrip(), rest.lstrip(), strict=False)
    shared = takewhile(lambda pair: pair[0] == pair[1], pairs)
    return sum(one.isalnum() for one, _ in shared) >= PARTIAL


def _echoes(lines: list[str], below: list[str], number: int) -> bool:
    """Whether ``lines`` are the lines ``below``, to their end or for two that say something."""
    said = [line for line in lines if line.strip()]
    same = 0
    while same < min(len(said), len(below)) and _alike(said[same], below[same], number + same > 0):
        same += 1
    shared = substance("".join(said[:same]))
    if same == len(said) - 1 and same < len(below):
        # The last line may have been cut off by the length or the deadline.
        last = said[same].strip()
        if substance(last) >= 2 * LEAST and below[same].strip().startswith(last):
            same += 1
            shared += substance(last)
    if same == len(said):
        return shared >= LEAST
    return sum(substance(line) >= PARTIAL for line in said[:same]) >= 2


def _alike(one: str, other: str, indented: bool) -> bool:
    if one.strip() != other.strip():
        return False
    return substance(one) >= STRONG or not indented or one.rstrip() == other.rstrip()


def _is_doubled(text: str, rest: str, size: int, window: ContextWindow) -> bool:
    """Whether the last ``size`` characters of ``text``, which begin ``rest``, are there twice."""
    shared = text[-size:]
    if any(map(is_word, shared)):
        left = text[-size - 1 : -size]
        right = rest[size : size + 1]
        return not (is_word(left) and is_word(shared[0])) and not (
            is_word(shared[-1]) and is_word(right)
        )
    if any(quote in shared for quote in "\"'`"):
        return window.scope.kind == "string" and shared[0] in "\"'`"
    if any(closer in shared for closer in ")]}"):
        return not brackets.fits(text, window) and brackets.fits(text[:-size], window)
    # Not so for operators: two of them may be meant, as at the end of nested generics.
    return DOUBLED.issuperset(shared)
