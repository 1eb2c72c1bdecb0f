"""Linear layers at run time: dense, int8 on CPUs, small weights on GPUs (`models.packed`).

Owns the choice of layer for a precision. Knows nothing of decoders or checkpoints.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_engine.device.choose import PACKED, Precision, dtype_of
from midfill_engine.device.int8 import Kernel, kernels
from midfill_engine.device.int8 import pack as pack_int8
from midfill_engine.models.packed import PackedLinear, pack
from midfill_engine.models.weights import StoredWeight


class Linear(Protocol):
    """A matrix applied to rows: ``(R, in) -> (R, out)``."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows``."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the weights take."""
        ...


class DenseLinear:
    """PyTorch's own matrix product in one floating type."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight
        self.bias = bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows (R, in)``."""
        return F.linear(rows, self.weight, self.bias)

    @property
    def nbytes(self) -> int:
        """Bytes of the weight."""
        return self.weight.nbytes


class RowwiseInt8Linear:
    """Int8 weights and activations, both scaled row by row (`device.int8`)."""

    def __init__(
        self, weight: StoredWeight, bias: Tensor | None, kernel: Kernel | None = None
    ) -> None:
        values, scale = weight.rowwise_int8()
        self._product = pack_int8(values, scale, kernel or kernels()[0])
        self._bias = bias
        self._bytes = values.numel() + scale.nbytes

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows (R, in)`` float32."""
        out = self._product(rows)
        return out if self._bias is None else out.add_(self._bias)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weight."""
        return self._bytes


def make_linear(
    weight: StoredWeight, bias: Tensor | None, precision: Precision, device: torch.device
) -> Linear:
    """The layer for ``weight`` in ``precision`` on ``device``."""
    dtype = dtype_of(precision, device)
    placed = None if bias is None else bias.to(device, dtype)
    if device.type == "cuda" and precision in PACKED:
        return PackedLinear(pack(weight, precision, device), placed, dtype)
    if precision == "int8":
        return RowwiseInt8Linear(weight, placed)
    return DenseLinear(weight.dense(dtype, device), placed)
