"""Where a middle that does not end by itself had best ended.

Owns that choice. What runs on is a list or a loop, and of these whole lines are of use: of the
lines that it went through, it ends behind the one that makes the most probable complete middle.
Knows neither models nor how tokens are found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Ending:
    """The most probable complete middle among those that end with a line, as tokens are written.

    One that closes the brackets that it opened is preferred to any that does not.

    Attributes
    ----------
    place
        How many tokens that middle has; ``None`` before the first line's end.
    """

    place: int | None = None
    _closed: bool = False
    _score: float = -math.inf
    _written: float = 0.0
    _count: int = 0
    _open: int = 0
    _blank: bool = True
    _newline: bool = False

    def add(self, text: str, probability: float, end: float) -> None:
        """Take the next token: its text, how probable it was, and the end in its stead.

        A line is over before its newline and behind it.
        """
        starts = text.lstrip(" \t").startswith(("\n", "\r"))
        if not self._blank and (starts or self._newline):
            closed, score = not self._open, self._written + _log(end)
            if (closed, score) > (self._closed, self._score):
                self._closed, self._score, self.place = closed, score, self._count
        self._written += _log(probability)
        self._count += 1
        for character in text:
            if character in "([{":
                self._open += 1
            elif character in ")]}" and self._open:
                self._open -= 1
        if text:
            self._blank = self._blank and not text.strip()
            self._newline = text.endswith("\n")

    @property
    def decided(self) -> bool:
        """Whether whatever else is written makes a less probable middle: each token costs."""
        return self._closed and self._written < self._score


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-12))
