"""Loss over weighted rows only, in chunks, so that logits never stand whole in memory.

A masked row learns from the text, and from the causal row that predicts the same token knowing all
before it: what that row would say is what a draft has to guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

RowLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

#: Share of a masked row's loss that comes from its causal row.
TAUGHT = 0.5


def row_loss(
    hidden: Tensor, embedding: Tensor, labels: Tensor, teacher: Tensor, share: Tensor
) -> Tensor:
    """Cross entropy ``(N,)`` of ``hidden (N, hidden)`` against labels and teachers.

    Parameters
    ----------
    labels
        ``(N,)`` token ids.
    teacher
        ``(N, hidden)``, rows whose prediction is a target; they learn nothing from it.
    share
        ``(N,)``, how much of the target is the teacher's.
    """
    log_p = F.log_softmax((hidden @ embedding.T).float(), -1)
    with torch.no_grad():
        taught = F.softmax((teacher @ embedding.T).float(), -1)
    told = -log_p.gather(1, labels[:, None])[:, 0]
    return told * (1 - share) - (taught * log_p).sum(-1) * share


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
    chunk: int,
    per_row: RowLoss = row_loss,
    *,
    eom: int,
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
    rows = padded(weight, chunk)
    x, labels = hidden.flatten(0, 1)[rows], batch["labels"].flatten()[rows].long()
    taught, teacher = _teachers(batch["teacher"], rows)
    parts = (x, labels, hidden.detach().flatten(0, 1)[teacher], taught * TAUGHT)
    head = embedding.to(hidden.dtype)
    losses = in_chunks(per_row, head, parts, chunk)
    weight, noisy = weight[rows], batch["block"].flatten()[rows] > 0
    seen = losses.detach()
    answer = weight > 1  # context and faded rows tell little
    return Losses(
        (losses * weight).sum() / weight.sum().clamp(min=1e-6),
        _mean(seen, answer & ~noisy & (labels != eom)),
        _mean(seen, answer & noisy & (labels != eom)),
        _mean(seen, answer & (labels == eom)),
    )


def in_chunks(per_row: RowLoss, head: Tensor, parts: tuple[Tensor, ...], chunk: int) -> Tensor:
    """``per_row`` of rows and what belongs to them, ``parts (N, ...)``, ``chunk`` rows at a time.

    Logits are computed again in the backward pass instead of kept.
    """
    return torch.cat(
        [
            checkpoint(per_row, part, head, *others, use_reentrant=False)
            for part, *others in zip(*(torch.split(p, chunk) for p in parts), strict=True)
        ]
    )


def padded(weight: Tensor, chunk: int) -> Tensor:
    """Indices of rows with a ``weight (N,)``, filled up with others to a multiple of ``chunk``."""
    chosen = weight.nonzero()[:, 0]
    lacking = -len(chosen) % chunk
    return torch.cat((chosen, (weight == 0).nonzero()[:lacking, 0]))


def _teachers(teacher: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Which of ``rows`` have a teacher ``(N,)``, and its flat index; without one, row 0's."""
    first = torch.arange(len(teacher), device=teacher.device)[:, None] * teacher.shape[1]
    flat = torch.where(teacher >= 0, teacher + first, 0).flatten()[rows]
    return teacher.flatten()[rows] >= 0, flat


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
