"""Confidence-threshold unmasking (Fast-dLLM, arXiv 2505.22618).

Every open row whose candidate is more probable than a threshold is committed; where none is, the
best one, so that each step makes progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_engine.decode.rows import RowStats


@dataclass(frozen=True, slots=True)
class Threshold:
    """Commit rows above ``threshold``."""

    threshold: float

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit, of the open ``rows``; at least one, ties to the leftmost."""
        sure = [row for row in rows if stats.probability[row] > self.threshold]
        return sure or [max(rows, key=lambda row: (stats.probability[row], -row))]
