"""Forward passes over a batch with a KV cache of fixed slots.

Owns the cache and who sees which slot. A batch's contexts end at the same slot, so that what
follows stands side by side. Knows no way of decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_train.model.network import Layer, Network


class CachedBatch:
    """A batch of contexts, and forwards that go on from them.

    Parameters
    ----------
    contexts
        Token ids of each context.
    room
        Slots after the contexts.
    """

    def __init__(self, network: Network, contexts: Sequence[Sequence[int]], room: int) -> None:
        self.network = network
        self.device = network.embedding.weight.device
        self.dtype = network.embedding.weight.dtype
        self.base = max(map(len, contexts))
        self.size = self.base + room
        self.first = torch.tensor([self.base - len(c) for c in contexts], device=self.device)
        shape, batch = network.shape, len(contexts)
        kv = (batch, shape.groups, self.size, shape.head)
        self.cache = [
            (
                torch.zeros(kv, device=self.device, dtype=self.dtype),
                torch.zeros(kv, device=self.device, dtype=self.dtype),
            )
            for _ in network.layers
        ]
        ids = torch.zeros(batch, self.base, dtype=torch.long)
        for row, context in enumerate(contexts):
            ids[row, self.base - len(context) :] = torch.tensor(context)
        begin = torch.full((batch,), -self.base, device=self.device)
        self.last = self._run(ids.to(self.device), begin, causal=True)[:, -1]

    @torch.no_grad()
    def forward(self, ids: Tensor, at: Tensor, *, causal: bool) -> Tensor:
        """Hidden rows of ``ids (B, W)``, which stand ``at (B,)`` after the context."""
        return self._run(ids, at, causal=causal)

    @torch.no_grad()
    def _run(self, ids: Tensor, at: Tensor, *, causal: bool) -> Tensor:
        width = ids.shape[1]
        slots = torch.arange(self.size, device=self.device)
        begin = self.base + at
        own = begin[:, None] + torch.arange(width, device=self.device)
        position = (own - self.first[:, None]).clamp(min=0)
        end = own if causal else (begin + width - 1)[:, None].expand_as(own)
        sees = (slots >= self.first[:, None, None]) & (slots <= end[:, :, None])
        sees |= slots == own[:, :, None]  # padding sees itself, so that no row sees nothing
        x = self.network.embedding(ids)
        cos, sin = self.network.rotation(position, self.dtype)
        for layer, cache in zip(self.network.layers, self.cache, strict=True):
            assert isinstance(layer, Layer)  # noqa: S101  (ModuleList does not say)
            x = self._layer(layer, cache, x, (cos, sin), own=own, sees=sees)
        out: Tensor = self.network.norm(x)
        return out

    def _layer(
        self,
        layer: Layer,
        cache: tuple[Tensor, Tensor],
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        *,
        own: Tensor,
        sees: Tensor,
    ) -> Tensor:
        q, k, v = layer.heads(x, *rotation)
        rows = torch.arange(len(own), device=self.device)[:, None]
        cache[0][rows, :, own] = k.transpose(1, 2)
        cache[1][rows, :, own] = v.transpose(1, 2)
        batch, heads, width, head = q.shape
        groups = layer.split[1]
        # The heads of a group as more rows, so that keys and values are not repeated.
        folded = q.reshape(batch, groups, heads // groups * width, head)
        mask = sees[:, None].repeat(1, 1, heads // groups, 1)
        y = F.scaled_dot_product_attention(folded, *cache, attn_mask=mask)
        return layer.finish(x, y.reshape(batch, heads, width, head))
