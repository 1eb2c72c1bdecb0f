"""Linear layers on a GPU whose weights stay small: int8 or fp8 rows, int4 in groups.

Owns the rounding to these forms. Few rows go through `models.product`, which reads the weights as
they are; many rows are multiplied by PyTorch with weights unpacked for the moment.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_engine.device.choose import Precision
from midfill_engine.models.weights import INT4_GROUP, StoredWeight

#: The largest number of float8 e4m3.
_FP8_MOST = 448.0


class PackedLinear:
    """Weights in a small form, rows and sums in a floating type."""

    def __init__(self, stored: StoredWeight, bias: Tensor | None, dtype: torch.dtype) -> None:
        self.stored = stored
        self.bias = bias
        self._dtype = dtype

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows (R, in)``."""
        return F.linear(rows, self.stored.dense(self._dtype, rows.device), self.bias)

    @property
    def nbytes(self) -> int:
        """Bytes of the weight and its scales."""
        scale = self.stored.scale
        return self.stored.values.nbytes + (0 if scale is None else scale.nbytes)


def pack(weight: StoredWeight, precision: Precision, device: torch.device) -> StoredWeight:
    """``weight`` on ``device`` in the form of ``precision``.

    For int4, what a checkpoint stores in int4 or int8 stays as it is, where no adapter changes it.
    """
    weight = weight.to(device)
    if precision == "int8":
        return StoredWeight(*weight.rowwise_int8())
    if precision == "fp8":
        return _fp8(weight)
    kept = weight.scale is not None and weight.update is None
    return weight if kept else _int4(weight)


def _fp8(weight: StoredWeight) -> StoredWeight:
    dense = weight.dense(torch.float32)
    scale = dense.abs().amax(1).div_(_FP8_MOST).clamp_(min=1e-12)
    return StoredWeight((dense / scale[:, None]).to(torch.float8_e4m3fn), scale)


def _int4(weight: StoredWeight) -> StoredWeight:
    """Rounded to nearest, as GGUF's Q4_0: the extreme of each group becomes -8."""
    dense = weight.dense(torch.float32)
    groups = dense.view(len(dense), -1, INT4_GROUP)
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    scale = (extreme / -8).half()
    safe = torch.where(scale == 0, torch.ones_like(scale), scale).float()
    nibbles = (groups / safe).round_().add_(8).clamp_(0, 15).to(torch.uint8)
    half = INT4_GROUP // 2
    packed = nibbles[..., :half] | nibbles[..., half:] << 4
    return StoredWeight(packed.reshape(len(dense), -1).contiguous(), scale[..., 0].contiguous())
