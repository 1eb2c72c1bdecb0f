"""Attention of packed rows under one block mask.

FlexAttention where it is compiled (CUDA), a dense mask elsewhere. Owns the rule of who sees whom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

Mask = BlockMask | Tensor

_compiled_mask: Callable[..., BlockMask] | None = None


def rule(batch: dict[str, Tensor]) -> Callable[[Any, Any, Any, Any], Tensor]:
    """Whether a query row sees a key row: clean rows below its limit, and its own block.

    A noisy block (number above zero) sees itself in both directions, another answer (below zero)
    what stands before in it.
    """
    position, limit = batch["position"], batch["limit"]
    block, segment = batch["block"], batch["segment"]

    def sees(b: Any, _head: Any, q: Any, k: Any) -> Tensor:
        clean = (block[b, k] == 0) & (position[b, k] < limit[b, q])
        own = (block[b, k] == block[b, q]) & ((block[b, q] > 0) | ((block[b, q] < 0) & (k <= q)))
        seen: Tensor = (clean | own) & (segment[b, k] == segment[b, q])
        return seen

    return sees


def build_mask(batch: dict[str, Tensor]) -> Mask:
    """The mask of one batch, for `attend`."""
    rows, length = batch["ids"].shape
    if batch["ids"].is_cuda:
        global _compiled_mask  # noqa: PLW0603  (compiling is worth it once a process)
        if _compiled_mask is None:
            _compiled_mask = torch.compile(create_block_mask, dynamic=False)
        return _compiled_mask(rule(batch), rows, None, length, length, device="cuda")
    at = torch.arange(length)
    b = torch.arange(rows)[:, None, None]
    return rule(batch)(b, None, at[:, None], at[None, :])[:, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """Attention of ``q (B, H, T, D)`` on ``k, v (B, G, T, D)``, heads grouped."""
    if isinstance(mask, BlockMask):
        out = flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        assert isinstance(out, Tensor)  # noqa: S101  (for the type checker; no LSE was asked for)
        return out
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
