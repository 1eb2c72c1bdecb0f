"""How far approximate steps agree with exact ones: counted beside them, told with the answer.

Owns the counts. Knows neither caches nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from midfill_engine.decode.rows import RowStats
from midfill_engine.decode.table import DecodeStrategy


@dataclass(slots=True)
class Agreement:
    """Guesses and commits of one request, and how many of each an exact step shares.

    A guess is the candidate at an open position; a commit is a guess that the strategy took.
    """

    guesses: int = 0
    same_guesses: int = 0
    commits: int = 0
    same_commits: int = 0
    _same: dict[int, bool] = field(default_factory=dict)

    def compare(self, rows: Sequence[int], got: RowStats, exact: RowStats) -> None:
        """Count the guesses at ``rows`` of the hole."""
        pairs = zip(got.tokens, exact.tokens, strict=True)
        self._same = dict(zip(rows, (a == b for a, b in pairs), strict=True))
        self.guesses += len(rows)
        self.same_guesses += sum(self._same.values())

    def watching(self, strategy: DecodeStrategy) -> DecodeStrategy:
        """``strategy``, with what it commits counted."""

        def watched(stats: RowStats, rows: Sequence[int]) -> list[int]:
            chosen = strategy(stats, rows)
            compared = [self._same[row] for row in chosen if row in self._same]
            self.commits += len(compared)
            self.same_commits += sum(compared)
            self._same = {}
            return chosen

        return watched

    @property
    def note(self) -> str:
        """The counts in words."""
        return (
            f"Compared with exact steps, {self.same_guesses} of {self.guesses} guesses and "
            f"{self.same_commits} of {self.commits} committed tokens are the same."
        )
