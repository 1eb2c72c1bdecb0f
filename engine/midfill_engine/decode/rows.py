"""What the rows of a forward say: candidate, probability, margin and entropy of each.

Owns the one pass over the logits and the one read-back to the host. Knows no strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RowStats:
    """Statistics of ``R`` rows, as host numbers.

    Attributes
    ----------
    tokens
        The candidate of each row: the most probable token, or a drawn one at a temperature.
    probability
        Its probability at temperature 1.
    margin
        Distance between the two highest probabilities.
    entropy
        Entropy of the row in nats.
    asked
        Probability of the token that was asked for, of the first rows.
    end
        Probability of the end marker.
    """

    tokens: list[int]
    probability: list[float]
    margin: list[float]
    entropy: list[float]
    asked: list[float]
    end: list[float]


@torch.inference_mode()
def row_stats(
    logits: Tensor,
    bias: Tensor,
    *,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    asked: Sequence[int] = (),
    end: int = 0,
) -> RowStats:
    """Statistics of ``logits (R, V)`` float32.

    Parameters
    ----------
    bias
        ``(V,)``, zero where a token may come out and minus infinity where it may not.
    temperature
        Zero takes the most probable token (ties: the lowest id); above, candidates are drawn by
        adding Gumbel noise from ``generator`` to the tempered logits.
    asked
        A token for each of the first rows, whose probability is wanted.
    end
        The end marker.
    """
    logits = logits + bias
    log_p = logits - logits.logsumexp(-1, keepdim=True)
    p = log_p.exp()
    top = p.topk(2, dim=-1)
    if temperature > 0:
        uniform = torch.rand(p.shape, generator=generator, device=p.device).clamp_(1e-20)
        tokens = (log_p / temperature - (-uniform.log()).log()).argmax(-1)
    else:
        tokens = p.argmax(-1)
    chosen = p.gather(-1, tokens[:, None])[:, 0]
    entropy = -torch.where(p > 0, p * log_p, 0.0).sum(-1)
    wanted = torch.zeros(len(p), dtype=torch.long)
    wanted[: len(asked)] = torch.tensor(asked, dtype=torch.long)
    table = torch.stack(
        (
            tokens.double(),
            chosen.double(),
            (top.values[:, 0] - top.values[:, 1]).double(),
            entropy.double(),
            p.gather(-1, wanted.to(p.device)[:, None])[:, 0].double(),
            p[:, end].double(),
        )
    )
    return read_back(table, len(asked))


def read_back(table: Tensor, asked: int) -> RowStats:
    """The statistics in ``table (6, R)``, its rows in the order of `RowStats`."""
    tokens, probability, margin, entropy, of_asked, end = table.tolist()
    candidates = [int(token) for token in tokens]
    return RowStats(candidates, probability, margin, entropy, of_asked[:asked], end)


def output_bias(vocab_size: int, n_tokens: int, forbidden: tuple[int, ...]) -> Tensor:
    """``(V,)`` for `row_stats`: minus infinity on ``forbidden`` and on padding rows."""
    bias = torch.zeros(vocab_size)
    bias[n_tokens:] = -torch.inf
    bias[list(forbidden)] = -torch.inf
    return bias
