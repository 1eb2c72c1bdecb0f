"""Documents as the editor sees them: lines, positions in three encodings, frozen snapshots.

Owns `LineIndex` (lines end at CRLF, LF and CR and nowhere else, as the protocol says, while
`str.splitlines` also breaks at form feeds and U+2028), the open `Document`s and the
`DocumentSnapshot` that a request works on. Knows neither pygls nor suggestions. Offsets are
counted in code points everywhere inside Midfill; only this module knows the other units.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class DocumentSnapshot:
    """A document at one version with a cursor; ``offset`` counts code points of ``text``."""

    uri: str
    version: int
    language_id: str
    text: str = field(repr=False)
    offset: int

    @property
    def path(self) -> str:
        """Path in the file system, or the empty string for a document without a file."""
        return path_of(self.uri)

    @property
    def named_path(self) -> str:
        """The absolute path that the URI names, whoever serves it; else the empty string.

        Nothing need be there on this disk: it tells what may be in the document. A notebook's
        cells carry the notebook's path.
        """
        if path := self.path:
            return path
        named = unquote(urlsplit(self.uri).path)
        return named if named.startswith("/") else ""


@dataclass(frozen=True, slots=True)
class Selected:
    """The highlighted entry of the completion menu: it would replace ``[start, end)``."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question at a cursor, complete as it was read from the wire.

    ``line`` is the cursor's line. ``claimed_version`` is the version that some clients state
    although the protocol has no such field; ``None`` when they do not.
    """

    snapshot: DocumentSnapshot
    line: int = 0
    explicit: bool = False
    selected: Selected | None = None
    claimed_version: int | None = None


class LineEdit(NamedTuple):
    """Lines ``first`` to ``last`` (both included) became ``n_lines`` lines.

    Lines that were only moved do not count; ``last`` is below ``first`` where nothing else was.
    """

    first: int
    last: int
    n_lines: int


class Change(NamedTuple):
    """One content change: a range of (line, character) pairs, or ``None`` for the whole text."""

    start: tuple[int, int] | None
    end: tuple[int, int] | None
    text: str


def units(text: str, encoding: Encoding = "utf-16") -> int:
    """Length of ``text`` in code units of ``encoding``."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    return sum(map(_WIDTHS[encoding], text))


class LineIndex:
    """The lines of a text with their terminators, editable in place.

    An edit costs the lines it touches, not the text, which matters above 10 000 lines.

    Parameters
    ----------
    text
        The whole text; the last line may be empty and always exists.
    """

    __slots__ = ("_ends", "lines")

    def __init__(self, text: str) -> None:
        self.lines = _split(text)
        self._ends: list[int] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def offset(self, line: int, character: int, encoding: Encoding = "utf-16") -> int:
        """Code-point offset of a position; one beyond a line or the text is clamped."""
        if line >= len(self.lines):
            return self.ends[-1]
        start = self.ends[line - 1] if line else 0
        return start + _column(self.lines[line], character, encoding)

    def position(self, offset: int, encoding: Encoding = "utf-16") -> tuple[int, int]:
        """(line, character) of a code-point offset, clamped to the text."""
        line = min(bisect_right(self.ends, max(offset, 0)), len(self.lines) - 1)
        start = self.ends[line - 1] if line else 0
        return line, units(self.lines[line][: max(offset - start, 0)], encoding)

    @property
    def ends(self) -> list[int]:
        """Offset of the end of each line; counted at most once an edit."""
        if self._ends is None:
            self._ends = list(accumulate(map(len, self.lines)))
        return self._ends

    def replace(self, change: Change, encoding: Encoding = "utf-16") -> LineEdit:
        """Apply one ranged change and say which lines it touched."""
        (first, column), (last, end_column) = change.start or (0, 0), change.end or (0, 0)
        last_line = len(self.lines) - 1
        if first > last_line:
            first, column = last_line, _NO_LIMIT
        if last > last_line:
            last, end_column = last_line, _NO_LIMIT
        last, end_column = max((last, end_column), (first, column))
        head = self.lines[first][: _column(self.lines[first], column, encoding)]
        tail = self.lines[last][_column(self.lines[last], end_column, encoding) :]
        # A neighbour is read again as well, since a CR and an LF that now meet are one line end.
        low, high = max(first - 1, 0), min(last + 1, last_line)
        before = self.lines[low] if low < first else ""
        after = self.lines[high] if high > last else ""
        fresh = _split(before + head + change.text + tail + after)
        if high < last_line:
            fresh.pop()  # the empty line that only the end of a text has
        self.lines[low : high + 1] = fresh
        self._ends = None
        # What ends at the start of a line and leaves it there has not touched that line.
        whole = change.text[-1] in "\r\n" if change.text else column == 0
        untouched = int(end_column == 0 and whole)
        n_lines = last - first + 1 + len(self.lines) - 1 - last_line
        return LineEdit(first, last - untouched, n_lines - untouched)


class Document:
    """An open document: its text by lines, its version and language."""

    __slots__ = ("_index", "_text", "language_id", "uri", "version")

    def __init__(self, uri: str, language_id: str, version: int, text: str) -> None:
        self.uri, self.language_id, self.version = uri, language_id, version
        self._index = LineIndex(text)
        self._text: str | None = text

    @property
    def text(self) -> str:
        """The whole text, joined at most once a version."""
        if self._text is None:
            self._text = "".join(self._index.lines)
        return self._text

    @property
    def index(self) -> LineIndex:
        """The lines, for converting positions."""
        return self._index

    def apply(
        self, changes: Iterable[Change], version: int, encoding: Encoding
    ) -> list[LineEdit] | None:
        """Apply changes in order; ``None`` when one of them replaced the whole text."""
        edits: list[LineEdit] | None = []
        for change in changes:
            if change.start is None:
                self._index, edits = LineIndex(change.text), None
                continue
            edit = self._index.replace(change, encoding)
            if edits is not None:
                edits.append(edit)
        self._text, self.version = None, version
        return edits

    def snapshot(self, line: int, character: int, encoding: Encoding) -> DocumentSnapshot:
        """Freeze the document with the cursor at a position."""
        offset = self._index.offset(line, character, encoding)
        return DocumentSnapshot(self.uri, self.version, self.language_id, self.text, offset)


class DocumentStore:
    """All open documents of one editor; ``encoding`` is what was negotiated with it."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._open: dict[str, Document] = {}

    def __iter__(self) -> Iterator[Document]:
        return iter(self._open.values())

    def get(self, uri: str) -> Document | None:
        """The open document, or ``None``; editors differ in how they quote URIs."""
        return self._open.get(unquote(uri))

    def open(self, uri: str, language_id: str, version: int, text: str) -> Document:
        """Take a document in; opening it again replaces it."""
        document = Document(uri, language_id, version, text)
        self._open.pop(unquote(uri), None)
        self._open[unquote(uri)] = document
        return document

    def close(self, uri: str) -> None:
        """Forget a document."""
        self._open.pop(unquote(uri), None)

    def touch(self, uri: str) -> None:
        """Move a document to the end: the last ones were used last."""
        document = self._open.pop(unquote(uri), None)
        if document is not None:
            self._open[unquote(uri)] = document


def path_of(uri: str) -> str:
    """File-system path of a ``file`` URI, or the empty string for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return ""
    path = unquote(parts.path)
    if os.name == "nt":
        return (f"//{parts.netloc}{path}" if parts.netloc else path.lstrip("/")).replace("/", "\\")
    return path


#: Schemes of documents that are on this disk or on none; a notebook's cells do not say.
_HERE = frozenset({"file", "untitled", "vscode-notebook-cell"})


class Elsewhere(NamedTuple):
    """Where a file of another file system stands there, as the editor that reads it tells.

    ``root`` is its workspace folder; ``ignore_files`` are (folder, text) from there down to it.
    """

    root: str
    ignore_files: tuple[tuple[str, str], ...]


def is_elsewhere(uri: str) -> bool:
    """Whether a document is a file of a file system that only the editor can read."""
    parts = urlsplit(uri)
    return parts.scheme not in _HERE and parts.path.startswith("/")


_NO_LIMIT = 2**31


def _split(text: str) -> list[str]:
    lines = _LINE.findall(text)
    if not lines or lines[-1][-1] in "\r\n":
        lines.append("")
    return lines


def _column(line: str, character: int, encoding: Encoding) -> int:
    """Code points of ``line`` before ``character``; never past its end or into its line end."""
    content = line.rstrip("\r\n")
    if encoding == "utf-32" or content.isascii():
        return min(max(character, 0), len(content))
    width, seen = _WIDTHS[encoding], 0
    for column, char in enumerate(content):
        seen += width(char)
        if seen > character:
            return column
    return len(content)


def _utf8_width(char: str) -> int:
    code = ord(char)
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4


def _utf16_width(char: str) -> int:
    return 2 if ord(char) > 0xFFFF else 1


_WIDTHS: dict[str, Callable[[str], int]] = {
    "utf-8": _utf8_width,
    "utf-16": _utf16_width,
    "utf-32": len,
}
