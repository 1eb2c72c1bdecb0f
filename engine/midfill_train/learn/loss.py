"""Cross entropy over weighted rows only, in chunks, so that logits never stand whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

RowLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def row_loss(hidden: Tensor, embedding: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy ``(N,)`` of ``hidden (N, hidden)`` against ``labels (N,)``."""
    return F.cross_entropy((hidden @ embedding.T).float(), labels, reduction="none")


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss, and means of its parts for the log: causal rows, masked rows, ends (nats)."""

    total: Tensor
    causal: Tensor
    masked: Tensor
    end: Tensor


def weighted_loss(
    hidden: Tensor,
    embedding: Tensor,
    batch: dict[str, Tensor],
    *,
    eom: int,
    chunk: int,
    per_row: RowLoss = row_loss,
) -> Losses:
    """Weighted mean over the rows of a batch.

    Parameters
    ----------
    hidden
        ``(B, T, hidden)``.
    chunk
        Rows whose logits exist at a time; rows without weight fill the last chunk up, so that a
        compiled ``per_row`` sees one shape.
    """
    weight = batch["weight"].flatten()
    rows = _padded(weight, chunk)
    x, labels = hidden.flatten(0, 1)[rows], batch["labels"].flatten()[rows].long()
    head = embedding.to(hidden.dtype)
    losses = torch.cat(
        [
            checkpoint(per_row, part, head, target, use_reentrant=False)
            for part, target in zip(torch.split(x, chunk), torch.split(labels, chunk), strict=True)
        ]
    )
    weight, noisy = weight[rows], batch["block"].flatten()[rows] > 0
    seen = losses.detach()
    answer = weight > 1  # context and faded rows tell little
    return Losses(
        (losses * weight).sum() / weight.sum().clamp(min=1e-6),
        _mean(seen, answer & ~noisy & (labels != eom)),
        _mean(seen, answer & noisy & (labels != eom)),
        _mean(seen, answer & (labels == eom)),
    )


def _padded(weight: Tensor, chunk: int) -> Tensor:
    """Indices of weighted rows, filled up with others to a multiple of ``chunk`` if there are."""
    chosen = weight.nonzero()[:, 0]
    lacking = -len(chosen) % chunk
    return torch.cat((chosen, (weight == 0).nonzero()[:lacking, 0]))


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
