"""What a forward costs on this machine: measured, and forgotten again.

Owns the expectation by which a request ends before a forward that would outlast its deadline, and
by which `fill.governor` chooses widths.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Literal

#: Causal rows alone, an open block behind them, or the rows of several sequences.
Kind = Literal["causal", "open", "shared"]
#: Forwards of each size that are remembered.
REMEMBERED = 8


class Costs:
    """Milliseconds of recent forwards, by kind and power-of-two number of rows.

    The least of the recent ones is expected: a busy moment must not make every later request
    give up early.
    """

    def __init__(self) -> None:
        self._recent: dict[tuple[Kind, int], deque[tuple[int, float]]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )

    def add(self, rows: int, ms: float, kind: Kind) -> None:
        """Remember that ``rows`` rows took ``ms``."""
        self._recent[_key(rows, kind)].append((rows, ms))

    def expected(self, rows: int, kind: Kind) -> float:
        """Milliseconds to expect; 0 where nothing is known."""
        return min((ms for _, ms in self._recent[_key(rows, kind)]), default=0.0)

    def line(self) -> tuple[float, float] | None:
        """Milliseconds of a forward and of each of its rows; ``None`` before two sizes are known.

        A least-squares line through the cheapest recent forward of each size; those that several
        sequences shared left out, for each of them has a context of its own to look at.
        """
        points = [
            min(recent, key=lambda p: p[1])
            for (kind, _), recent in self._recent.items()
            if recent and kind != "shared"
        ]
        if len({rows for rows, _ in points}) < 2:
            return None
        mean_rows = sum(rows for rows, _ in points) / len(points)
        mean_ms = sum(ms for _, ms in points) / len(points)
        spread = sum((rows - mean_rows) ** 2 for rows, _ in points)
        slope = sum((rows - mean_rows) * (ms - mean_ms) for rows, ms in points) / spread
        return max(mean_ms - slope * mean_rows, 0.0), max(slope, 0.0)

    def doubt(self, rows: int, kind: Kind) -> None:
        """Forget the oldest measurement: an expectation that forbids forwards must fade."""
        recent = self._recent[_key(rows, kind)]
        if recent:
            recent.popleft()


def _key(rows: int, kind: Kind) -> tuple[Kind, int]:
    return kind, rows.bit_length()
