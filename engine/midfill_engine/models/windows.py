"""A decoder whose windows run through Triton kernels, nine launches a layer.

Computes what `Decoder.forward_within` computes. Knows neither requests nor caches' contents.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_engine.models import window_kernels as kernels
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.kv import KVCache


class WindowDecoder(Decoder):
    """The weights of a decoder, run another way."""

    @classmethod
    def of(cls, decoder: Decoder) -> Self:
        """A decoder that shares the weights of ``decoder``."""
        self = cls.__new__(cls)
        self.__dict__.update(decoder.__dict__)
        return self

    @torch.inference_mode()
    def forward_within(self, ids: Tensor, cache: KVCache, start: int, end: int) -> Tensor:
        """See `Decoder.forward_within`."""
        cache.reserve(end)
        c, eps = self.config, self.config.rms_norm_eps
        x = self.embedding(ids)
        # Each residual sum is made by the norm that reads it; before the first layer there is none.
        delta = torch.zeros_like(x)
        for number, layer in enumerate(self.layers):
            memory = cache.layer(number)
            qkv = layer.qkv(kernels.add_norm(x, delta, layer.attention_norm, eps))
            q = kernels.rotate_store(qkv, memory, start, self.cos, self.sin, heads=c.num_heads)
            keys, values = memory[:, None, :, :end]
            y = F.scaled_dot_product_attention(
                q.transpose(0, 1)[None], keys, values, enable_gqa=c.num_heads != c.num_kv_heads
            )
            y = y[0].transpose(0, 1).reshape(len(ids), -1)
            normed = kernels.add_norm(x, layer.o(y), layer.mlp_norm, eps)
            delta = layer.down(kernels.gate(layer.gate_up(normed)))
        return kernels.add_norm(x, delta, self.final_norm, eps)
