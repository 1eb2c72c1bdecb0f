"""Guesses of a block of masks that fit together: each in view of the one before it.

Owns the choice among the candidates of each mask. What one token says of the next: `models.chain`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from midfill_engine.models.chain import Chain

#: Candidates of each mask.
CANDIDATES = 8


@torch.inference_mode()
def chained(logits: Tensor, rows: Tensor, before: int, chain: Chain) -> list[tuple[int, float]]:
    """What the masks guess, from left to right, each in view of what the one before it guesses.

    Parameters
    ----------
    logits
        ``(N, V)`` float32, minus infinity where a token may not come out.
    rows
        ``(N, hidden)``, from which they are.
    before
        The token before the first mask.

    Returns
    -------
    list[tuple[int, float]]
        ``N`` tokens, and how probable each is if the one before it is right.
    """
    top = (logits - logits.logsumexp(-1, keepdim=True)).topk(CANDIDATES)
    ids, said = top.indices, top.values
    earlier = torch.cat((torch.full_like(ids[:1], before), ids[:-1]))
    likely = (said[:, None] + chain.added(rows, earlier, ids)).exp()  # (N, before, candidate)
    others = (1 - said.exp().sum(-1)).clamp(min=0)
    likely = likely / (likely.sum(-1) + others[:, None])[..., None]
    best = likely.max(-1)
    table = torch.stack((best.indices.double(), best.values.double(), ids.double())).tolist()
    guesses, place = [], 0
    for choices, chances, tokens in zip(*table, strict=True):
        chance, place = chances[place], int(choices[place])
        guesses.append((int(tokens[place]), chance))
    return guesses
