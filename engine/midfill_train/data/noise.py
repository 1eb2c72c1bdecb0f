"""Noise of one block: which tokens are masked, which visible ones are wrong.

Owns the distribution of the states that decoding runs through. The end of the middle and all
behind it is always masked, as in decoding, where it is known last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Share of blocks with wrong visible tokens, and the most tokens of one that are wrong.
EDITED, MOST_WRONG = 0.3, 0.15

#: How often not even the first token is told in a first step: a block that drafts in the forward
#: that finds this token does not know it.
FIRST_MASKED = 0.7

#: Shares of first steps, which is all that a draft to be verified takes, and of slopes.
FIRST_STEPS, SLOPES = 0.65, 0.25

#: Widths of the open block: narrow ones for where computing is dear.
_WIDTHS = (32, 16, 8)
_WIDTH_SHARES = (0.35, 0.25, 0.22)
MIN_WIDTH = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """State of a block of ``W`` tokens.

    Attributes
    ----------
    masked
        ``(W,)`` bool.
    wrong
        ``(W,)`` bool, visible tokens to be replaced; disjoint from ``masked``.
    edited
        Whether the block's visible rows are to be learned at all.
    """

    masked: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    edited: bool


def width(rng: np.random.Generator, block_size: int) -> int:
    """Width of a block, from `MIN_WIDTH` to ``block_size``."""
    draw = rng.random()
    for choice, share in zip(_WIDTHS, _WIDTH_SHARES, strict=True):
        draw -= share
        if draw < 0:
            return min(choice, block_size)
    return int(rng.integers(min(MIN_WIDTH, block_size), block_size + 1))


def draw(rng: np.random.Generator, width: int, tokens: int) -> Noise:
    """Noise for a block whose first ``tokens`` positions stand before the end of the middle."""
    masked = _masked(rng, width, tokens)
    masked[tokens:] = True
    edited = tokens > 2 and rng.random() < EDITED
    wrong = np.zeros(width, bool)
    if edited:
        wrong = (rng.random(width) < rng.uniform(0.03, MOST_WRONG)) & ~masked
    return Noise(masked, wrong, edited)


def _masked(rng: np.random.Generator, width: int, tokens: int) -> NDArray[np.bool_]:
    """A first step (nothing told, or the first token), a slope from the left, or an even draw."""
    kind = rng.random()
    if kind < FIRST_STEPS:
        masked = np.ones(width, bool)
        masked[0] = rng.random() < FIRST_MASKED
        return masked
    share = np.full(width, rng.random())
    if kind < FIRST_STEPS + SLOPES:
        share += 1.4 * (np.arange(width) / max(4, tokens) - 0.5)
    masked = rng.random(width) < share
    masked[0] &= bool(rng.random() < 0.2)
    return masked
