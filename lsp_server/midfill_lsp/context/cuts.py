"""Where a text too long for the budget is cut, and that the cut stays while a user types.

Owns the choice of a prefix's beginning and a suffix's end, at whole declarations where a grammar
knows them and at lines elsewhere, and the memory that keeps both in place. The engine's caches
are exact only as long as the beginning of what they hold does not move: so a cut leaves room to
grow and holds until that room is used up, or what stands before it changes. Knows nothing of
requests or privacy.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace

from midfill_lsp.context import lexical, syntax
from midfill_lsp.context.syntax import Piece, Source

#: A fresh cut fills this much of its room; the rest is for what will be typed.
FILL = 0.8
#: A cut is made anew when less than this share of the room is used, the cursor having moved.
KEEP = 0.4
#: Share of the prefix's room that import lines and enclosing headers may take.
HEAD_SHARE = 0.3
#: Top of a file in which imports are looked for, in characters.
TOP = 12_000


#: Whole lines of a text, ``[start, end)``.
Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a text is prefix and suffix.

    ``head`` are earlier line runs ``[start, end)`` that stand before ``text[start:offset]``;
    ``tail`` is the number of characters left out at the end of the text.
    """

    head: tuple[Run, ...]
    start: int
    tail: int

    def prefix(self, text: str, offset: int) -> str:
        """The prefix: head lines, a blank line between runs, and the text up to the cursor."""
        runs = [text[a:b].rstrip("\n") + "\n\n" for a, b in self.head]
        return "".join(runs) + text[self.start : offset]

    def suffix(self, text: str, offset: int) -> str:
        """The suffix: from the cursor to where the tail begins."""
        return text[offset : len(text) - self.tail]


@dataclass(frozen=True, slots=True)
class _Held:
    text: str
    cut: Cut

    def start_holds(self, text: str, offset: int, room: int) -> bool:
        start = self.cut.start
        if not start <= offset or text[:start] != self.text[:start]:
            return False
        head = sum(b - a for a, b in self.cut.head)
        return offset - start + head <= room and (start == 0 or offset - start > room * KEEP)

    def tail_holds(self, text: str, offset: int, room: int) -> bool:
        tail = self.cut.tail
        length = len(text) - tail - offset
        if not 0 <= length <= room or (tail and length <= room * KEEP):
            return False
        return not tail or text[-tail:] == self.text[-tail:]


class Cuts:
    """Remembers the cuts of the documents that were edited last.

    Parameters
    ----------
    documents
        How many; each holds a reference to one version of its text.
    """

    def __init__(self, documents: int = 16) -> None:
        self._documents = documents
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def cut(self, uri: str, language: str, text: str, offset: int, rooms: tuple[int, int]) -> Cut:
        """Cut ``text`` for ``rooms``, (prefix, suffix) in characters; the old one if it holds."""
        held = self._held.pop(uri, None)
        cut = _renewed(held, language, text, offset, rooms)
        self._held[uri] = _Held(text, cut)
        while len(self._held) > self._documents:
            self._held.popitem(last=False)
        return cut


def _renewed(
    held: _Held | None, language: str, text: str, offset: int, rooms: tuple[int, int]
) -> Cut:
    cut = held.cut if held else None
    if held is None or cut is None or not held.start_holds(text, offset, rooms[0]):
        head, start = find_start(language, text, offset, rooms[0])
        cut = Cut(head, start, cut.tail if cut else 0)
    if held is None or not held.tail_holds(text, offset, rooms[1]):
        cut = replace(cut, tail=len(text) - find_end(language, text, offset, rooms[1]))
    return cut


def find_start(language: str, text: str, offset: int, room: int) -> tuple[tuple[Run, ...], int]:
    """Head runs and beginning of a fresh prefix of at most ``room`` characters.

    The beginning is the outermost construct that begins in the older half of the room.
    """
    if offset <= room:
        return (), 0
    room = int(room * FILL)
    headers = _headers(language, text, offset)
    outer = _fitting(headers, int(room * HEAD_SHARE) // 2, offset - room)
    before = outer[0][0] if outer else offset - room
    imports = _fitting(_imports(language, text), int(room * HEAD_SHARE) - _length(outer), before)
    low = offset - room + _length([*imports, *outer])
    high = low + (offset - low) // 2
    pieces = _pieces(language, text, offset, low, high)
    inside = [(p.depth, p.start) for p in pieces if low <= p.start < high]
    start = min(inside)[1] if inside else _line_after(text, low, offset)
    # A header that the beginning has passed by is wanted as well.
    return (*imports, *_fitting(headers, room, start)), start


def find_end(language: str, text: str, offset: int, room: int) -> int:
    """End of a fresh suffix: of the outermost construct that ends in the room's farther half."""
    if len(text) - offset <= room:
        return len(text)
    room = int(room * FILL)
    low, high = offset + room // 2, offset + room
    pieces = _pieces(language, text, offset, low, high)
    inside = [(p.depth, -p.end) for p in pieces if low < p.end <= high]
    if inside:
        return -min(inside)[1]
    newline = text.rfind("\n", offset, high)
    return newline + 1 if newline >= 0 else high


def _pieces(language: str, text: str, offset: int, low: int, high: int) -> list[Piece]:
    start = syntax.slab_start(text, min(offset, low + 4_000))
    slab = text[start : offset + syntax.SLAB_AFTER]
    root = syntax.parse(slab, language)
    if root is None:
        return []
    found = Source(slab, root).pieces(low - start, high - start)
    return [p._replace(start=p.start + start, end=p.end + start) for p in found]


def _imports(language: str, text: str) -> list[Run]:
    top = text[:TOP]
    root = syntax.parse(top, language)
    if root is None:
        return []
    return _merged([(p.start, p.end) for p in Source(top, root).imports()], text)


def _headers(language: str, text: str, offset: int) -> list[Run]:
    """First lines of the blocks around the cursor, outermost first, told by indentation.

    Indentation is right while the code at the cursor is broken, when a tree is not.
    """
    if language not in syntax.GRAMMARS:
        return []
    end = text.rfind("\n", 0, offset) + 1
    width = _indent(text[end:offset])
    runs: list[Run] = []
    while width > 0 and end > 0:
        start = text.rfind("\n", 0, end - 1) + 1
        content = text[start:end]
        if content.strip() and _indent(content) < width and _opens(content):
            width = _indent(content)
            runs.append((start, _header_end(language, text, start, end)))
        end = start
    return runs[::-1]


def _header_end(language: str, text: str, start: int, end: int) -> int:
    """End of the line on which the parentheses that a header opens are closed."""
    limit = min(len(text), start + 1_000)
    found, depth = lexical.brackets(text[start:limit], language), 0
    for bracket in found:
        if bracket.character in "{}":
            continue
        if depth == 0 and start + bracket.offset >= end:
            break
        depth += 1 if bracket.character in lexical.BRACKETS else -1
        if depth == 0:
            end = max(end, text.find("\n", start + bracket.offset) + 1)
    return end


def _opens(line: str) -> bool:
    """Whether a line can be a block's header, rather than a closer, a comment or a label."""
    first = line.strip()
    return first[0] not in ")]}#/*" and not _LABEL.match(first)


#: Parts of a block rather than its head: `else:`, `case 1:`, `public:`, `retry:`.
_LABEL = re.compile(r"(else|elif|except|finally|case|default)\b|\w+( slots)?:$")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _fitting(runs: list[Run], room: int, before: int) -> list[Run]:
    """The first runs that end above ``before`` and together take no more than ``room``."""
    kept = []
    for a, b in runs:
        room -= b - a
        if room < 0 or b > before:
            break
        kept.append((a, b))
    return kept


def _length(runs: list[Run]) -> int:
    return sum(b - a for a, b in runs)


def _merged(runs: list[Run], text: str) -> list[Run]:
    """Join runs between which only blank space stands."""
    out: list[Run] = []
    for a, b in runs:
        if out and not text[out[-1][1] : a].strip():
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out


def _line_after(text: str, low: int, offset: int) -> int:
    """Start of the first line at or behind ``low``; ``low`` itself in a line without an end."""
    newline = text.find("\n", max(low - 1, 0), offset)
    return newline + 1 if newline >= 0 else low
