"""Where a middle that does not end by itself had best ended.

Owns that choice. What runs on is a list or a loop, and of these whole lines are of use: of the
lines that it went through, it ends behind the one that makes the most probable complete middle.
Knows neither models nor how tokens are found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: By how many nats what is written has to be less probable than the best complete middle, so that
#: it ends there. Some, since a model may know a natural end that the end of no line hints at.
MARGIN = 6.0
#: With these a line says that more belongs to it.
_GOES_ON = ":=&|\\"


@dataclass(slots=True)
class Ending:
    """The most probable complete middle among those that end with a line, as tokens are written.

    One that is closed, as far as brackets and the last line say, is preferred to any that is not.

    Attributes
    ----------
    early
        Whether it can be decided before the middle ends by itself. Not where tokens are drawn: a
        drawn token may be improbable, and what follows it as good as anything.
    least
        Below this logarithm of a probability nobody wants it any more.
    place
        How many tokens that middle has; ``None`` before the first line's end.
    count
        How many tokens it has taken.
    """

    early: bool = True
    least: float = -math.inf
    place: int | None = None
    count: int = 0
    _closed: bool = False
    _score: float = -math.inf
    _written: float = 0.0
    _open: int = 0
    _last: str = ""
    _newline: bool = False

    def add(self, text: str, probability: float, end: float) -> None:
        """Take the next token: its text, how probable it was, and the end in its stead.

        A line is over before its newline and behind it.
        """
        if self._last and (starts_line(text) or self._newline):
            closed = not self._open and self._last not in _GOES_ON
            score = self._written + log(end)
            if (closed, score) > (self._closed, self._score):
                self._closed, self._score, self.place = closed, score, self.count
        self._written += log(probability)
        self.count += 1
        for character in text:
            if character in "([{":
                self._open += 1
            elif character in ")]}" and self._open:
                self._open -= 1
        if text:
            self._last = text.rstrip()[-1:] or self._last
            self._newline = text.endswith("\n")

    @property
    def decided(self) -> bool:
        """Whether whatever else is written makes a far less probable middle: each token costs.

        Or one that nobody wants.
        """
        if self._written < self.least:
            return True
        return self.early and self._closed and self._written + MARGIN < self._score


def starts_line(text: str) -> bool:
    """Whether ``text`` begins with a new line, blanks before it aside."""
    return text.lstrip(" \t").startswith(("\n", "\r"))


def log(probability: float) -> float:
    """The logarithm of ``probability``, of a very small one where it is zero."""
    return math.log(max(probability, 1e-12))
