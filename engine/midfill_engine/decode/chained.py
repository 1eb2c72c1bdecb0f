"""Guesses of a block of masks that fit together: each in view of the one before it.

Owns the way through what each mask guesses behind each candidate of the one before
(`models.chain`).
"""

from __future__ import annotations

from torch import Tensor

from midfill_engine.hole import Placed


def chained(pairs: Tensor) -> list[Placed]:
    """What the masks guess, from left to right, each in view of what the one before it guesses.

    Parameters
    ----------
    pairs
        ``(3, N, C)``, see `Chain.pairs`.

    Returns
    -------
    list[Placed]
        ``N`` tokens; each as probable as it is if the one before it is right.
    """
    guesses, place = [], 0
    for choices, chances, tokens in zip(*pairs.tolist(), strict=True):
        chance, place = chances[place], int(choices[place])
        guesses.append(Placed(int(tokens[place]), chance))
    return guesses
