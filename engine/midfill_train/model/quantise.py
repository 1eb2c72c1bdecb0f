"""Rounding to the shipped precision: linear layers to int4 in groups, the embedding to int8 rows.

Owns the numbers; the packing is `model.files`' affair. The int4 groups are GGUF's Q4_0: 32 inputs
share a float16 scale, the extreme of the group becomes exactly -8 steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from midfill_train.model.lora import adapted
from midfill_train.model.network import Network

GROUP = 32


def int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight (out, in)`` as nibbles 0..15 ``(out, in)`` and float16 scales ``(out, in / 32)``."""
    groups = weight.float().view(weight.shape[0], -1, GROUP)
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    scale = (extreme / -8).half()
    step = scale.float()
    inverse = torch.where(step == 0, 0.0, 1.0 / step)
    nibbles = (groups * inverse).round_().add_(8).clamp_(0, 15)
    return nibbles.to(torch.uint8).view(weight.shape), scale[..., 0]


def from_int4(nibbles: Tensor, scale: Tensor) -> Tensor:
    """Inverse of `int4`, float32."""
    groups = nibbles.view(nibbles.shape[0], -1, GROUP).float().sub_(8)
    return groups.mul_(scale.float()[..., None]).view(nibbles.shape)


def int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight (out, in)`` as int8 and one float16 scale a row."""
    scale = (weight.float().abs().amax(1) / 127).clamp_(min=6e-8).half()
    rounded = (weight.float() / scale.float()[:, None]).round_().clamp_(-127, 127)
    return rounded.to(torch.int8), scale


def from_int8(values: Tensor, scale: Tensor) -> Tensor:
    """Inverse of `int8`, float32."""
    return values.float() * scale.float()[:, None]


def matrices(network: Network) -> list[Tensor]:
    """All rounded parameters, the embedding first."""
    linears = (m for m in network.modules() if isinstance(m, nn.Linear))
    return [network.embedding.weight, *(linear.weight for linear in linears)]


@contextmanager
def rounded(network: Network, masters: list[Tensor]) -> Iterator[None]:
    """Inside, forward and backward see rounded weights; outside, the full ones stand again.

    Gradients reach the full weights as they are (straight through the rounding). What adapters add
    is rounded with the weight that it is added to.

    Parameters
    ----------
    masters
        Tensors like `matrices`, written over.
    """
    parameters, layers = matrices(network), adapted(network)
    with torch.no_grad():
        for parameter, master in zip(parameters, masters, strict=True):
            master.copy_(parameter)
        for layer in layers:
            layer.fold()
        for parameter in parameters:
            eighth = parameter is network.embedding.weight
            parameter.copy_(from_int8(*int8(parameter)) if eighth else from_int4(*int4(parameter)))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, master in zip(parameters, masters, strict=True):
                parameter.copy_(master)
        for layer in layers:
            layer.folded = False
