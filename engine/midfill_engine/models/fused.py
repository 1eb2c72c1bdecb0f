"""A decoder forward of few rows through Triton kernels, ten launches a layer.

Computes what `Decoder.forward` computes, with fixed shapes and nothing read back, so that a CUDA
graph can replay it. Knows neither graphs nor sessions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from midfill_engine.models import kernels
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.kv import KVCache


@torch.inference_mode()
def fused_forward(decoder: Decoder, ids: Tensor, cache: KVCache, place: Tensor) -> Tensor:
    """Run rows behind the cached ones; see `Decoder.forward`.

    Parameters
    ----------
    cache
        Must have room for the rows.
    place
        ``(3,)`` int64 on the device: the first row's slot, how many leading rows are causal, and
        how many rows count; those behind are padding.

    Returns
    -------
    Tensor
        ``(T, hidden)``, after the final norm.
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
            place,
            decoder.cos,
            decoder.sin,
            heads=c.num_heads,
        )
        normed = kernels.add_norm(x, layer.o(y), layer.mlp_norm, eps)
        delta = layer.down(kernels.gate(layer.gate_up(normed)))
    return kernels.add_norm(x, delta, decoder.final_norm, eps)
