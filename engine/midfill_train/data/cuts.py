"""Cuts of a document as an editor would ask for them.

Owns where a middle begins and ends, and how much context stands around it. Works on UTF-8 bytes,
since syntax spans do. Knows neither tokens nor layouts.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midfill_train.corpus.kinds import MAX_SPAN, Kind
from midfill_train.corpus.store import Document

#: How often each habit is drawn. The first dozen end where a syntax node, or a paragraph ends.
HABITS: dict[str, float] = {
    "statement": 0.13,
    "block": 0.08,
    "brackets": 0.07,
    "expression": 0.06,
    "string": 0.025,
    "import": 0.01,
    "comment": 0.015,
    "decorator": 0.01,
    "definition": 0.02,
    "next": 0.04,  # after an accepted suggestion: what follows a finished line
    "closed": 0.03,  # inside brackets that the editor closed; the rest of the line is not written
    "explained": 0.07,  # behind a docstring or comment: the body, or the paragraph
    "line": 0.09,  # to the end of the line
    "inline": 0.04,  # something stays behind the cursor
    "lines": 0.12,  # whole lines, from column 0, the last newline included
    "rest": 0.05,  # the rest of this line and some that follow
    "random": 0.15,  # from any character to any other
    "empty": 0.005,  # nothing is missing
}
#: The same for exercises: above all solutions behind their statement, and several lines of them.
EXERCISE_HABITS = HABITS | {"explained": 0.4, "lines": 0.2, "rest": 0.1, "random": 0.2}
_SYNTAX = {kind.name.lower(): kind for kind in Kind}
#: How often a definition stands alone, as in a new file.
ALONE = 0.3
#: How often a place in a comment is kept when one was drawn by its place alone.
IN_COMMENT = 0.25
_CLOSER = {ord("("): b")", ord("["): b"]", ord("{"): b"}"}
_WORD_EDGE = re.compile(rb"(?<=\W)(?=\S)|(?<=\w)(?=\W)")
_IMPORT = re.compile(
    rb"^(?:import|from|use|#include|package|const \w+ = require)\b.*$", re.MULTILINE
)

Spans = NDArray[np.int32]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """One request and its answer, as text."""

    habit: str
    prefix: str
    middle: str
    suffix: str


def draw_habit(rng: random.Random, habits: Mapping[str, float] = HABITS) -> str:
    """One of ``habits``, as often as it says."""
    return rng.choices(list(habits), list(habits.values()))[0]


def cut(rng: random.Random, document: Document, habit: str) -> Cut | None:
    """One cut; ``None`` where the document has no place for ``habit``."""
    text, spans = document.text, document.spans
    alone = rng.random() < ALONE
    if alone:
        text, spans = _alone(rng, text, spans) or (text, spans)
    if habit == "closed":
        return _closed(rng, text, spans)
    finder = _syntax if habit in _SYNTAX else _FINDERS[habit]
    place = finder(rng, text, spans, habit)
    if place is None:
        return None
    start, end = _on_characters(text, *place)
    if end - start > MAX_SPAN or (start == end) != (habit == "empty"):
        return None
    return _around(rng, habit, text, start, end)


def _alone(rng: random.Random, text: bytes, spans: Spans) -> tuple[bytes, Spans] | None:
    """A definition that begins a line, without the rest of its file but perhaps the imports."""
    chosen = spans[spans[:, 2] == Kind.DEFINITION]
    tops = [s for s in chosen if s[0] == 0 or text[s[0] - 1] == 0x0A]
    if not tops:
        return None
    start, end, _ = rng.choice(tops)
    head = b""
    if rng.random() < 0.5:
        head = b"\n".join(_IMPORT.findall(text[:3000]))[:400]
        head = head[: head.rfind(b"\n") + 1] + b"\n\n" if b"\n" in head else b""
    inside = spans[(spans[:, 0] >= start) & (spans[:, 1] <= end) & (spans[:, 2] != Kind.DEFINITION)]
    moved = inside + np.array([len(head) - start, len(head) - start, 0], np.int32)
    return head + text[start:end] + b"\n", moved


# ---- places: (start, end) of a middle


def _syntax(rng: random.Random, text: bytes, spans: Spans, name: str) -> Place | None:
    """A node, or what is missing of it when its beginning has been typed."""
    rows = spans[spans[:, 2] == _SYNTAX[name]]
    rows = rows[rows[:, 1] - rows[:, 0] <= MAX_SPAN]
    if not len(rows):
        return None
    start, end = map(int, rows[rng.randrange(len(rows))][:2])
    if name == "block" and rng.random() < 0.4:
        # The cursor stands at the end of the header line, the editor has not indented yet.
        start -= len(text[:start]) - len(text[:start].rstrip(b" \t\n"))
    elif name not in {"block", "brackets", "string"} and rng.random() < 0.3:
        start = (
            _line_start(text, start)
            if not text[_line_start(text, start) : start].strip()
            else start
        )
    return (_inside(rng, text, start, end) if rng.random() < 0.5 else start), end


def _inside(rng: random.Random, text: bytes, start: int, end: int) -> int:
    """A cursor in ``[start, end)``: at the edge of a word, or at any character."""
    if end - start < 2:
        return start
    if rng.random() < 0.6:
        edges = [m.start() for m in _WORD_EDGE.finditer(text, start + 1, end)]
        if edges:
            return rng.choice(edges)
    return rng.randrange(start, end)


def _somewhere(rng: random.Random, text: bytes, spans: Spans) -> int:
    """A place in ``text``, seldom in a comment: they fill files, but are written once."""
    at = rng.randrange(len(text))
    comments = spans[spans[:, 2] == Kind.COMMENT]
    for _ in range(4):
        commented = bool(((comments[:, 0] <= at) & (at < comments[:, 1])).any())
        if not commented or rng.random() < IN_COMMENT:
            break
        at = rng.randrange(len(text))
    return at


def _a_line(rng: random.Random, text: bytes, spans: Spans) -> Place:
    """Start and end of a line that is not blank, if a few tries find one."""
    start = end = 0
    for _ in range(12):
        start = _line_start(text, _somewhere(rng, text, spans))
        end = _line_end(text, start)
        written = text[start:end].strip()
        if len(written) > 2 or (written and rng.random() < 0.3):
            break
    return start, end


def _cursor(rng: random.Random, text: bytes, start: int, end: int) -> int:
    """A cursor in a line: after its indentation, at a word's edge, or anywhere."""
    first = start + _indent(text[start:end])
    if rng.random() < 0.3 or first >= end:
        return first
    return _inside(rng, text, first, end)


def _line(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place:
    start, end = _a_line(rng, text, spans)
    end = start + len(text[start:end].rstrip())
    return _cursor(rng, text, start, end), end


def _inline(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place | None:
    start, end = _a_line(rng, text, spans)
    end = start + len(text[start:end].rstrip())
    start = _cursor(rng, text, start, end)
    if end - start < 2:
        return None
    edges = [m.start() for m in _WORD_EDGE.finditer(text, start + 1, end)]
    if edges and rng.random() < 0.8:
        return start, rng.choice(edges)
    return start, rng.randrange(start + 1, end)


def _lines(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place:
    start, end = _a_line(rng, text, spans)
    for _ in range(0 if rng.random() < 0.5 else rng.randrange(1, 10)):
        end = _line_end(text, min(end + 1, len(text)))
    return start, min(end + 1, len(text))


def _rest(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place:
    """To the end of the block, or some lines further, whichever comes first."""
    start, end = _a_line(rng, text, spans)
    depth = _indent(text[start:end])
    at = _cursor(rng, text, start, end)
    end = _as_deep(text, end, depth, blanks=False, most=rng.randrange(1, 9))
    return at, at + len(text[at:end].rstrip())


def _explained(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place | None:
    """What a comment announces: to the end of its paragraph; behind a docstring, of the body."""
    comments = spans[spans[:, 2] == Kind.COMMENT]
    places = [(int(row[0]), int(row[1])) for row in comments if _ends_line(text, *row[:2])]
    docs = [place for place in places if text[place[0]] not in b"#/*" and place[0]]
    chosen = docs if docs and rng.random() < 0.7 else places
    if not chosen:
        return None
    first, behind = rng.choice(chosen)
    depth = first - _line_start(text, first)
    end = _as_deep(text, behind, depth, blanks=(first, behind) in docs)
    end = behind + len(text[behind:end].rstrip())
    if end <= behind:
        return None
    start = behind  # the editor has not begun the next line, or indented it
    if rng.random() < 0.7:
        start += len(text[behind:end]) - len(text[behind:end].lstrip())
    return start, end


def _ends_line(text: bytes, start: int, end: int) -> bool:
    """Whether the node alone fills its last line, and the first one behind the indentation."""
    before = text[_line_start(text, start) : start]
    return not before.strip() and not text[end : _line_end(text, end)].strip()


def _next(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place | None:
    _, start = _a_line(rng, text, spans)
    end = start
    for _ in range(1 if rng.random() < 0.6 else rng.randrange(2, 6)):
        end = _line_end(text, min(end + 1, len(text)))
    written = len(text[start:end].rstrip())
    return (start, start + written) if written else None


def _random(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place:
    start = _somewhere(rng, text, spans)
    longest = min(len(text) - start, MAX_SPAN - 100)
    if rng.random() < 0.6:
        length = int(math.exp(rng.uniform(0, math.log(300))))
    else:
        length = rng.randrange(1, max(2, longest))
    return start, min(start + length, len(text))


def _empty(rng: random.Random, text: bytes, spans: Spans, _name: str) -> Place:
    start, end = _a_line(rng, text, spans)
    at = start + len(text[start:end].rstrip())
    return at, at


_FINDERS: dict[str, Callable[[random.Random, bytes, Spans, str], Place | None]] = {
    "explained": _explained,
    "next": _next,
    "line": _line,
    "inline": _inline,
    "lines": _lines,
    "rest": _rest,
    "random": _random,
    "empty": _empty,
}


def _closed(rng: random.Random, text: bytes, spans: Spans) -> Cut | None:
    """Inside brackets that the editor closed by itself: the line ends with its bracket."""
    rows = spans[spans[:, 2] == Kind.BRACKETS]
    rows = rows[rows[:, 1] - rows[:, 0] <= 120]
    if not len(rows):
        return None
    start, end = map(int, rows[rng.randrange(len(rows))][:2])
    closer = _CLOSER.get(text[start - 1])
    if closer is None or not text[start:end].strip():
        return None
    text = text[:end] + closer + text[_line_end(text, end) :]
    at = _inside(rng, text, start, end) if rng.random() < 0.4 else start
    return _around(rng, "closed", text, *_on_characters(text, at, end))


# ---- context


def _around(rng: random.Random, name: str, text: bytes, start: int, end: int) -> Cut:
    """The cut with as much context as drawn: mostly short, whole lines where it is cut off."""
    low, high = (250, 2700) if rng.random() < 0.85 else (2700, 8000)
    budget = int(math.exp(rng.uniform(math.log(low), math.log(high))))
    after = 0 if rng.random() < 0.06 else int(budget * rng.uniform(0.08, 0.5))
    first = max(0, start - (budget - after))
    if first:
        newline = text.find(b"\n", first, start)
        first = newline + 1 if newline >= 0 else first
    last = min(len(text), end + after)
    if last < len(text):
        newline = text.rfind(b"\n", end, last)
        last = newline + (rng.random() < 0.5) if newline > end else last
    pieces = (text[first:start], text[start:end], text[end:last])
    return Cut(name, *(piece.decode("utf-8", "ignore") for piece in pieces))


def _on_characters(text: bytes, start: int, end: int) -> Place:
    """``start`` and ``end`` moved left to where a character begins."""
    while 0 < start < len(text) and text[start] & 0xC0 == 0x80:
        start -= 1
    while start < end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return start, end


def _line_start(text: bytes, at: int) -> int:
    return text.rfind(b"\n", 0, at) + 1


def _line_end(text: bytes, at: int) -> int:
    found = text.find(b"\n", at)
    return len(text) if found < 0 else found


def _as_deep(text: bytes, end: int, depth: int, *, blanks: bool, most: int = MAX_SPAN) -> int:
    """The end of ``most`` lines behind ``end``, or of those before a shallower or a blank one.

    With ``blanks`` blank ones end nothing.
    """
    while most and end < len(text):
        after = _line_end(text, end + 1)
        line = text[end + 1 : after]
        if _indent(line) < depth if line.strip() else not blanks:
            break
        end, most = after, most - 1
    return end


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))
