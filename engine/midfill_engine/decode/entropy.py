"""Entropy-bounded unmasking (EB-Sampler, arXiv 2505.24857).

Rows are taken in order of their entropy while the entropies of those already taken stay within a
budget: an upper bound on what committing them together can lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_engine.decode.rows import RowStats


@dataclass(frozen=True, slots=True)
class EntropyBound:
    """Commit rows while the sum of the other rows' entropies is at most ``budget`` nats."""

    budget: float = 0.3

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit; the row of least entropy always."""
        order = sorted(rows, key=lambda row: (stats.entropy[row], row))
        total = 0.0
        chosen: list[int] = []
        for row in order:
            # The bound counts all but the largest of the taken entropies: this row's own.
            if chosen and total > self.budget:
                break
            chosen.append(row)
            total += stats.entropy[row]
        return chosen
