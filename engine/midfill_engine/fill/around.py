"""How well a middle fits between what stands before and behind it.

Owns what counts as a fault, in characters: brackets in strings and comments count like any, which
is the same for all middles of one place, but for those that they write themselves.
"""

from __future__ import annotations

import re

from midfill_engine.fill.canvas import says_something

#: Characters on each side of the middle that are looked at.
WINDOW = 4000
_OPENERS = {")": "(", "]": "[", "}": "{"}
_BRACKET = re.compile(r"[()\[\]{}]")
_WORD = re.compile(r"\w*")
#: A line that a block follows, in Python.
_HEADER = re.compile(r"(async|class|def|elif|else|except|finally|for|if|try|while|with)\b.*:")


class Around:
    """What ``prefix`` has opened, ``suffix`` closes, and its first line.

    Of a side that is longer than `WINDOW`, the part beyond may pair with anything. A middle of a
    ``single_line`` leaves the block behind a header to another.
    """

    def __init__(self, prefix: str, suffix: str, *, single_line: bool = False) -> None:
        self._opened: list[str] = []
        _pair(prefix[-WINDOW:], self._opened)
        self._closed, _ = _pair(suffix[:WINDOW], [])
        self._begins, self._ends = len(prefix) <= WINDOW, len(suffix) <= WINDOW
        self._suffix = suffix[:WINDOW]
        self._rest = _word(suffix) if _word(prefix[-1:]) else ""
        lines = (line.strip() for line in self._suffix.split("\n"))
        self._follows = next((line for line in lines if says_something(line)), "")
        self._line = prefix[prefix.rfind("\n") + 1 :]
        self._single_line = single_line

    def faults(self, middle: str) -> int:
        """How many brackets find no partner; one if the line that follows is there twice.

        And one for a header at the end of a middle without the block that belongs to it.
        """
        echoes = bool(self._follows) and middle.rstrip().endswith(self._follows)
        return self.unpaired(middle) + echoes + self._lacks_block(middle)

    def repeats(self, middle: str) -> bool:
        """Whether ``middle`` says what stands behind it: nothing was missing.

        All of it is how the suffix begins, or it begins with the rest of the word that the cursor
        stands in. Unless a bracket finds its partner by it.
        """
        begins = bool(middle.strip()) and self._suffix.startswith(middle)
        begins = begins or (self._rest != "" and _word(middle) == self._rest)
        return begins and self.unpaired(middle) >= self.unpaired("")

    def unpaired(self, middle: str) -> int:
        """How many brackets in and around ``middle`` find no partner.

        Those of the prefix or of the suffix that find none whatever stands between do not count.
        """
        opened = self._opened[:]
        alone, passed = _pair(middle, opened)
        count = len(alone) + passed
        closed = iter(self._closed)
        for closer in closed:
            if not opened:
                return count + (1 + len(list(closed))) * self._begins
            skipped = _close(closer, opened)
            count += 1 if skipped is None else skipped
        return count + len(opened) * self._ends

    def _lacks_block(self, middle: str) -> bool:
        text = self._line + middle
        header = text.rstrip().rpartition("\n")[2]
        if self._single_line or not middle.strip() or not _HEADER.fullmatch(header.strip()):
            return False
        _, ends, begun = text[len(text.rstrip()) :].rpartition("\n")
        rest, *lines = (begun + self._suffix).split("\n")
        if ends:
            lines.insert(0, rest)
        elif rest.strip():
            return False
        return next((_depth(line) for line in lines if line.strip()), 0) <= _depth(header)


def _depth(line: str) -> int:
    """How far ``line`` is indented, in characters."""
    return len(line) - len(line.lstrip())


def _word(text: str) -> str:
    """The word that ``text`` begins with, if any."""
    found = _WORD.match(text)
    return found[0] if found else ""


def _pair(text: str, opened: list[str]) -> tuple[list[str], int]:
    """Move ``text``'s brackets to and from ``opened``.

    Returns
    -------
    tuple
        Its closers that found no partner there, and how many openers they passed over.
    """
    alone, passed = [], 0
    for character in _BRACKET.findall(text):
        if character not in _OPENERS:
            opened.append(character)
        else:
            skipped = _close(character, opened)
            if skipped is None:
                alone.append(character)
            else:
                passed += skipped
    return alone, passed


def _close(closer: str, opened: list[str]) -> int | None:
    """Take the partner of ``closer`` from ``opened``; how many behind it go with it, unpaired."""
    opener = _OPENERS[closer]
    for skipped, other in enumerate(reversed(opened)):
        if other == opener:
            del opened[len(opened) - skipped - 1 :]
            return skipped
    return None
