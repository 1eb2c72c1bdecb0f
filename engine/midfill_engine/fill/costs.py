"""What a forward costs on this machine: measured, and forgotten again.

Owns the expectation by which a request ends before a forward that would outlast its deadline, and
by which `fill.governor` chooses widths.
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
        self._recent: dict[tuple[bool, int], deque[tuple[int, float]]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )

    def add(self, rows: int, ms: float, *, causal: bool) -> None:
        """Remember that ``rows`` rows took ``ms``."""
        self._recent[_key(rows, causal)].append((rows, ms))

    def expected(self, rows: int, *, causal: bool) -> float:
        """Milliseconds to expect; 0 where nothing is known."""
        return min((ms for _, ms in self._recent[_key(rows, causal)]), default=0.0)

    def line(self) -> tuple[float, float] | None:
        """Milliseconds of a forward and of each of its rows; ``None`` before two sizes are known.

        A least-squares line through the cheapest recent forward of each size.
        """
        points = [min(recent, key=lambda p: p[1]) for recent in self._recent.values() if recent]
        if len({rows for rows, _ in points}) < 2:
            return None
        mean_rows = sum(rows for rows, _ in points) / len(points)
        mean_ms = sum(ms for _, ms in points) / len(points)
        spread = sum((rows - mean_rows) ** 2 for rows, _ in points)
        slope = sum((rows - mean_rows) * (ms - mean_ms) for rows, ms in points) / spread
        return max(mean_ms - slope * mean_rows, 0.0), max(slope, 0.0)

    def doubt(self, rows: int, *, causal: bool) -> None:
        """Forget the oldest measurement: an expectation that forbids forwards must fade."""
        recent = self._recent[_key(rows, causal)]
        if recent:
            recent.popleft()


def _key(rows: int, causal: bool) -> tuple[bool, int]:
    return causal, rows.bit_length()
