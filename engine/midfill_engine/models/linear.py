"""Linear layers at run time: dense, int8 on CPUs, small weights on GPUs (`models.packed`).

Owns the choice of kernel for a precision. Knows nothing of decoders or checkpoints.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_engine.device.choose import PACKED, Precision, dtype_of
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
    """Int8 weights, activations rounded row by row: a row's result never depends on its company.

    FBGEMM's dynamic kernel takes one activation scale for all rows, so that a chunked prefill
    would differ from a whole one and one outlier row would blur the rest. Rows are therefore
    scaled to [-1, 1] first and back afterwards.
    """

    def __init__(self, weight: StoredWeight, bias: Tensor | None) -> None:
        values, scale = weight.rowwise_int8()
        self._packed = _prepack(values, scale)
        self._bias = bias
        self._bytes = values.numel() + scale.nbytes
        # Without VNNI, pairs of products are added in 16 bits: 7-bit activations cannot overflow.
        self._levels, self._zero = (127, 128) if _has_vnni() else (63, 64)

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows (R, in)`` float32."""
        scale = rows.abs().amax(1, keepdim=True).clamp_(min=1e-12)
        out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / scale, 1 / self._levels, self._zero, self._packed
        )
        out *= scale
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


def _prepack(values: Tensor, scale: Tensor) -> torch.ScriptObject:
    zeros = torch.zeros(len(scale), dtype=torch.long)
    with warnings.catch_warnings():
        # The quantised tensor types are on their way out of PyTorch; the kernels stay.
        warnings.filterwarnings("ignore", message=".*quantize_per.*")
        warnings.filterwarnings("ignore", message=".*quantized tensor.*")
        make = torch._make_per_channel_quantized_tensor  # noqa: SLF001  (no public twin)
        quantized = make(values, scale.double(), zeros, 0)
        packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(quantized, None)
    return packed


def _has_vnni() -> bool:
    return bool(torch.cpu._is_vnni_supported())  # noqa: SLF001  (no public twin)
