"""Unmasking by the margin between the two best candidates (Dream, arXiv 2508.15487)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_engine.decode.rows import RowStats


@dataclass(frozen=True, slots=True)
class Margin:
    """Commit rows whose two best candidates are more than ``margin`` apart, else the widest."""

    margin: float = 0.8

    def __call__(self, stats: RowStats, rows: Sequence[int]) -> list[int]:
        """Rows to commit."""
        sure = [row for row in rows if stats.margin[row] > self.margin]
        return sure or [max(rows, key=lambda row: (stats.margin[row], -row))]
