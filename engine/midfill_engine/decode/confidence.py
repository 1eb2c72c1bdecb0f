"""Unmasking by probability: threshold, factor, local leap, fixed steps.

A strategy is a pure function of a block's row statistics and its open rows; it returns the rows
to commit, never none, so that each denoising step makes progress. Ties go to the leftmost row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_engine.decode.rows import RowStats


def best(stats: RowStats, rows: Sequence[int]) -> list[int]:
    """``rows``, most probable candidate first."""
    return sorted(rows, key=lambda row: (-stats.probability[row], row))


@dataclass(frozen=True, slots=True)
class Threshold:
    """Commit what is more probable than ``threshold``, else the best row.

    Fast-dLLM, arXiv 2505.22618.
    """

    threshold: float = 0.9

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit."""
        sure = [row for row in rows if stats.probability[row] > self.threshold]
        return sure or best(stats, rows)[:1]


@dataclass(frozen=True, slots=True)
class Factor:
    """Commit the largest ``n`` best rows whose ``n``-th has ``(n + 1)(1 - p) < factor``.

    The bound under which parallel and sequential greedy decoding agree (Fast-dLLM, arXiv
    2505.22618).
    """

    factor: float = 1.0

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit."""
        order = best(stats, rows)
        count = 1
        for n, row in enumerate(order, 1):
            if (n + 1) * (1 - stats.probability[row]) < self.factor:
                count = n
        return order[:count]


@dataclass(frozen=True, slots=True)
class LocalLeap:
    """`Threshold`, and around each sure row its neighbours at a lower bar.

    LocalLeap, arXiv 2510.07081: what stands next to a certain token is more reliable than its own
    probability says.
    """

    threshold: float = 0.9
    relaxed: float = 0.75
    radius: int = 4

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit."""
        sure = Threshold(self.threshold)(stats, rows)
        anchors = [row for row in sure if stats.probability[row] > self.threshold]
        near = [
            row
            for row in rows
            if stats.probability[row] > self.relaxed
            and any(abs(row - anchor) <= self.radius for anchor in anchors)
        ]
        return sorted({*sure, *near})


@dataclass(frozen=True, slots=True)
class FixedSteps:
    """An even share of the block in each of ``steps`` steps, best rows first.

    The schedule of LLaDA, arXiv 2502.09992; at the last step everything is committed.
    """

    steps: int = 8

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit."""
        share = -(-len(stats.tokens) // max(self.steps, 1))
        return best(stats, rows)[:share]
