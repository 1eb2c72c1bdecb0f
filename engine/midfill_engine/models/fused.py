"""A decoder forward of few rows through Triton kernels, ten launches a layer.

Computes what `Decoder.forward_static` computes. Knows neither graphs nor sessions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from midfill_engine.models import kernels
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.kv import KVCache


@torch.inference_mode()
def fused_forward(
    decoder: Decoder, ids: Tensor, cache: KVCache, start: Tensor, *, causal: bool
) -> Tensor:
    """Run rows from slot ``start (1,)`` on; see `Decoder.forward`.

    ``cache`` must have room for them. Returns ``(T, hidden)``, after the final norm.
    """
    c, eps = decoder.config, decoder.config.rms_norm_eps
    x = decoder.embedding(ids)
    # Each residual sum is made by the norm that reads it; before the first layer there is none.
    delta = torch.zeros_like(x)
    for number, layer in enumerate(decoder.layers):
        normed = kernels.add_norm(x, delta, layer.attention_norm, eps)
        y = kernels.attention(
            layer.qkv(normed),
            cache.layer(number),
            start,
            decoder.cos,
            decoder.sin,
            heads=c.num_heads,
            causal=causal,
        )
        normed = kernels.add_norm(x, layer.o(y), layer.mlp_norm, eps)
        delta = layer.down(kernels.gate(layer.gate_up(normed)))
    return kernels.add_norm(x, delta, decoder.final_norm, eps)
