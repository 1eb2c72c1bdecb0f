"""What the rows of a forward say: candidate, probability, margin and entropy of each.

Owns the one pass over the logits and the one read-back to the host. Knows no strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: The most probable tokens, among which one is drawn.
DRAWN_FROM = 64


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
    seed: int = 0,
    at: Sequence[int] = (),
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
        adding Gumbel noise to the tempered logits of the most probable ones.
    seed, at
        What the noise depends on, with the token: rows that say what comes ``at`` the same place
        have the same noise. So a mask's draft and the causal row that verifies it mostly agree,
        and what is drawn does not depend on which rows run.
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
        some = log_p.topk(min(DRAWN_FROM, log_p.shape[-1]), dim=-1)
        noise = _gumbel(seed, at, some.indices)
        best = (some.values / temperature + noise).argmax(-1, keepdim=True)
        tokens = some.indices.gather(-1, best)[:, 0]
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


def _gumbel(seed: int, at: Sequence[int], tokens: Tensor) -> Tensor:
    """Gumbel noise ``(R, K)`` of ``tokens (R, K)`` at the places ``at``, the same everywhere.

    Its uniform numbers are a hash of seed, place and token (SplitMix64's: Steele et al. 2014).
    """
    place = np.array(at, np.int64).astype(np.uint64)[:, None]
    x = tokens.cpu().numpy().astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    x += place * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % (1 << 63))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    uniform = ((x >> np.uint64(11)).astype(np.float64) + 0.5) / (1 << 53)
    return torch.from_numpy(-np.log(-np.log(uniform))).to(tokens.device, torch.float32)


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
