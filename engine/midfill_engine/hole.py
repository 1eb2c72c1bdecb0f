"""The masked span being denoised: which positions are committed, to what, how surely.

Owns the state of one open block and the rule of the end marker. Knows neither models nor
strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Placed(NamedTuple):
    """A token with the probability it was committed with."""

    token: int
    confidence: float


@dataclass(slots=True)
class Hole:
    """A block of ``len(cells)`` positions, each committed or still a mask (``None``).

    Attributes
    ----------
    cells
        What is committed at each position.
    guesses
        The candidates of the last denoising step; what a draft shows at open positions.
    end
        The first position that the end marker claims, or the limit of the middle. Positions
        from here on are dormant: they are masks for the model, but not waited for.
    """

    cells: list[Placed | None]
    guesses: list[Placed]
    end: int

    @classmethod
    def masked(cls, width: int, limit: int) -> Hole:
        """``width`` masks, of which at most ``limit`` are to be filled."""
        return cls([None] * width, [], min(width, limit))

    def ids(self, mask_id: int) -> list[int]:
        """The block as the model sees it."""
        return [mask_id if cell is None else cell.token for cell in self.cells]

    def commit(self, position: int, token: int, confidence: float) -> None:
        """Fix ``position``."""
        self.cells[position] = Placed(token, confidence)

    def open_rows(self) -> list[int]:
        """Masked positions before the end."""
        return [n for n in range(self.end) if self.cells[n] is None]

    def find_end(self, candidates: Sequence[int], eom_id: int, limit: int) -> bool:
        """Move the end to the first mask whose candidate is the end marker; whether there is one.

        ``limit`` bounds the middle where the marker is further away.
        """
        marked = (
            n for n, cell in enumerate(self.cells) if cell is None and candidates[n] == eom_id
        )
        first = next(marked, len(self.cells))
        self.end = min(first, limit, len(self.cells))
        return self.end == first < len(self.cells)

    def settled(self) -> list[Placed]:
        """Committed tokens from the left up to the first open position or the end."""
        settled: list[Placed] = []
        for cell in self.cells[: self.end]:
            if cell is None:
                break
            settled.append(cell)
        return settled
