"""A decoder forward of few rows through Triton kernels, five launches a layer.

Computes what `Decoder.forward` computes, with fixed shapes and nothing read back, so that a CUDA
graph can replay it. Knows neither graphs nor sessions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from midfill_engine.models import kernels
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.kv import KVCache
from midfill_engine.models.linear import DenseLinear, Linear
from midfill_engine.models.packed import PackedLinear
from midfill_engine.models.product import Products
from midfill_engine.models.weights import StoredWeight


class FusedDecoder:
    """The kernels bound to the weights of one decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.products = Products(decoder.device)

    @torch.inference_mode()
    def forward(self, ids: Tensor, cache: KVCache, place: Tensor) -> Tensor:
        """Run up to `product.MOST_ROWS` rows behind the cached ones; see `Decoder.forward`.

        Parameters
        ----------
        cache
            Must have room for the rows.
        place
            ``(1 + T, 4)`` int32 on the device: where the rows stand and what they see, see
            `kernels.placed`.

        Returns
        -------
        Tensor
            ``(T, hidden)``, after the final norm.
        """
        d, products = self._decoder, self.products
        eps, rows = d.config.rms_norm_eps, len(ids)
        # The gain of the norm behind each residual sum, in their order.
        gains = [gain for layer in d.layers for gain in (layer.attention_norm, layer.mlp_norm)]
        following = iter([*gains, d.final_norm])
        parts = products.parts(weight_of(d.layers[0].down), rows)
        table, scale = d.embedding.values, d.embedding.scale
        stream = kernels.embed(ids, table, scale, next(following), parts)
        for number, layer in enumerate(d.layers):
            bias = _plain(layer.qkv).bias
            qkv = products.normed(stream, weight_of(layer.qkv), bias, eps)
            y = kernels.attention(
                products,
                qkv,
                cache.layer(number),
                place,
                d.cos,
                d.sin,
                rows=rows,
                heads=d.config.num_heads,
            )
            stream = products.add(stream, y, weight_of(layer.o), next(following))
            h = products.normed(stream, weight_of(layer.gate_up), None, eps, gated=True)
            stream = products.add(stream, h, weight_of(layer.down), next(following))
        return kernels.norm(stream, rows, d.final_norm, eps)

    @torch.inference_mode()
    def statistics(
        self, hidden: Tensor, bias: Tensor, *, forbid: int | None, asked: Sequence[int], end: int
    ) -> Tensor:
        """See `Decoder.statistics`."""
        head = weight_of(self._decoder.head)
        return self.products.statistics(hidden, head, bias, forbid=forbid, asked=asked, end=end)


def _plain(linear: Linear) -> DenseLinear | PackedLinear:
    if isinstance(linear, DenseLinear | PackedLinear):
        return linear
    raise TypeError(f"No kernel reads the weight of a {type(linear).__name__}.")


def weight_of(linear: Linear) -> StoredWeight:
    """The weight of ``linear`` in the form that it has on the device."""
    plain = _plain(linear)
    return plain.stored if isinstance(plain, PackedLinear) else StoredWeight(plain.weight)
