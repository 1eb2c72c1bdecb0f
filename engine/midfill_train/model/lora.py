"""Low-rank adapters on the linear layers (LoRA, Hu et al. 2021, arXiv:2106.09685).

Owns the adapted layer: a frozen weight ``W`` beside ``B A`` of a small rank, of which alone
gradients and optimiser state exist. The fused matrices (q, k, v; gate, up) have one adapter each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midfill_train.model.network import Layer, Network

#: The adapted layers of each `Layer`.
_ADAPTED = ("qkv", "out", "gate_up", "down")


class Adapted(nn.Linear):
    """A frozen linear layer and its low-rank update: ``y = W x + b + alpha / rank * B (A x)``.

    Attributes
    ----------
    a, b
        ``(rank, in)``, drawn, and ``(out, rank)``, zero at the start.
    folded
        Whether ``weight`` holds the update already (`fold`). The update is then computed for its
        gradients alone and adds nothing.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, draw: torch.Generator) -> None:
        super().__init__(
            linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta"
        )
        self.weight, self.bias = linear.weight, linear.bias
        a = torch.randn(rank, linear.in_features, generator=draw) * linear.in_features**-0.5
        self.a = nn.Parameter(a.to(linear.weight.device))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank, device=linear.weight.device))
        self.scale = alpha / rank
        self.folded = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the base class calls it so)
        """Map ``(..., in)`` to ``(..., out)``."""
        y = super().forward(input)
        if not self.folded:
            return y + self._update(input)
        update = self._update(input.detach())  # the input's gradient comes through the weight
        return y + (update - update.detach())

    def _update(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.a), self.b) * self.scale

    def merged(self) -> Tensor:
        """The weight ``(out, in)`` that does what weight and update do together."""
        return self.weight if self.folded else self.weight + (self.b @ self.a) * self.scale

    @torch.no_grad()
    def fold(self) -> None:
        """Write the update into the weight; who calls this puts the old weight back."""
        self.weight.copy_(self.merged())
        self.folded = True


def attach(network: Network, *, rank: int, alpha: float, seed: int = 0) -> None:
    """Freeze ``network`` and put an adapter on each linear layer; what it computes stays."""
    network.requires_grad_(requires_grad=False)
    draw = torch.Generator().manual_seed(seed)
    for layer in network.layers:
        assert isinstance(layer, Layer)  # noqa: S101  (ModuleList does not say)
        for name in _ADAPTED:
            setattr(layer, name, Adapted(getattr(layer, name), rank, alpha, draw))


def merged(linear: nn.Linear) -> Tensor:
    """The weight ``(out, in)`` that does what a layer does with its adapter, if it has one."""
    return linear.merged() if isinstance(linear, Adapted) else linear.weight


def adapted(network: Network) -> list[Adapted]:
    """All layers with an adapter."""
    return [module for module in network.modules() if isinstance(module, Adapted)]
