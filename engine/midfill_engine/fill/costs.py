"""What a forward costs on this machine: measured, and forgotten again.

Owns the expectation by which a request ends before a forward that would outlast its deadline.
"""

from __future__ import annotations

from collections import defaultdict, deque

#: Forwards of each size that are remembered.
REMEMBERED = 8


class Costs:
    """Milliseconds of recent forwards, by kind and power-of-two number of rows.

    The least of the recent ones is expected: a busy moment must not make every later request
    give up early.
    """

    def __init__(self) -> None:
        self._recent: dict[tuple[bool, int], deque[float]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )

    def add(self, rows: int, ms: float, *, causal: bool) -> None:
        """Remember that ``rows`` rows took ``ms``."""
        self._recent[_key(rows, causal)].append(ms)

    def expected(self, rows: int, *, causal: bool) -> float:
        """Milliseconds to expect; 0 where nothing is known."""
        return min(self._recent[_key(rows, causal)], default=0.0)

    def doubt(self, rows: int, *, causal: bool) -> None:
        """Forget the oldest measurement: an expectation that forbids forwards must fade."""
        recent = self._recent[_key(rows, causal)]
        if recent:
            recent.popleft()


def _key(rows: int, causal: bool) -> tuple[bool, int]:
    return causal, rows.bit_length()
