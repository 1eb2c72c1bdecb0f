"""What a model's answers are expected to cost, if it chose among those that are known.

The probability of each answer among those of its cut is that of its score, as the engine's search
scores; the loss is the mean cost (minimum risk training: Shen et al., arXiv 1512.02433).
"""

from __future__ import annotations

import torch
from torch import Tensor

from midfill_engine.fill.search import LENGTH
from midfill_train.learn.loss import RowLoss, in_chunks, padded, row_loss

#: Weight of the risk beside the loss of a cut's rows.
RISK = 0.5
#: By what scores are multiplied: of ten tokens, as if they were sums of logarithms.
SHARPNESS = 4.0


def risk(
    hidden: Tensor,
    embedding: Tensor,
    batch: dict[str, Tensor],
    chunk: int,
    per_row: RowLoss = row_loss,
) -> Tensor:
    """Mean expected cost of the answered cuts of a batch; 0 without any.

    Parameters
    ----------
    hidden
        ``(B, T, hidden)``.
    chunk
        Rows whose logits exist at a time, as in `loss.weighted_loss`.
    """
    block = batch["block"].flatten()
    number = (-block).clamp(min=0)
    if not bool(number.any()):
        return hidden.new_zeros(())
    rows = padded(number, chunk)
    x, labels = hidden.flatten(0, 1)[rows], batch["labels"].flatten()[rows].long()
    head, taught = embedding.to(hidden.dtype), torch.zeros_like(labels, dtype=torch.float32)
    parts = (x, labels, x.detach(), taught)
    said = -in_chunks(per_row, head, parts, chunk)
    own = number[rows] > 0
    said, rows = said[own], rows[own]
    length = batch["ids"].shape[1]
    segment = batch["segment"].flatten()[rows].long() + (rows // length) * length
    most = int(number.max()) + 1
    answer, index = torch.unique(segment * most + number[rows], return_inverse=True)
    _, cut = torch.unique(answer // most, return_inverse=True)
    count = torch.zeros_like(answer).index_add(0, index, torch.ones_like(index))
    total = said.new_zeros(len(answer)).index_add(0, index, said)
    cost = said.new_zeros(len(answer)).index_put((index,), batch["cost"].flatten()[rows])
    chances = _softmax(SHARPNESS * total / count**LENGTH, cut)
    mean: Tensor = (chances * cost).sum() / (cut.max() + 1)
    return mean


def _softmax(score: Tensor, group: Tensor) -> Tensor:
    """Softmax of ``score (N,)`` among those of the same ``group (N,)``, numbered from 0."""
    groups = int(group.max()) + 1
    most = score.new_full((groups,), -torch.inf).scatter_reduce(0, group, score.detach(), "amax")
    power = (score - most[group]).exp()
    share: Tensor = power / power.new_zeros(groups).index_add(0, group, power)[group]
    return share
