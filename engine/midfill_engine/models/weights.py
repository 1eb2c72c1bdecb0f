"""Weights as a checkpoint stores them: dense, int8 with scales, or int4 in groups.

Owns reading, validating and unpacking. Knows neither devices nor kernels (`models.linear`).

Int4 packing (GGUF's Q4_0, bit for bit): 16 bytes hold 32 inputs of a row; byte ``j`` of a group
holds input ``j`` in its low and input ``16 + j`` in its high nibble;
``weight = (nibble - 8) * scale[row, group]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_engine.errors import CorruptCheckpoint
from midfill_engine.models.checkpoint import Checkpoint

INT4_GROUP = 32
_DENSE = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A matrix of shape ``(out, in)``.

    Attributes
    ----------
    values
        ``(out, in)`` floating (float8 too) or int8, or ``(out, in / 2)`` uint8 for int4.
    scale
        ``(out,)`` for int8 and float8 rows, ``(out, in / group)`` for groups, ``None`` for dense
        weights.
    """

    values: Tensor
    scale: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(out, in)``."""
        packing = 2 if self.values.dtype == torch.uint8 else 1
        return self.values.shape[0], self.values.shape[1] * packing

    def dense(self, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
        """The matrix as ``(out, in)`` of ``dtype``, unpacked on ``device``."""
        values = self.values.to(device)
        if self.scale is None:
            return values.to(dtype)
        return self._grouped(values, self.scale.to(values.device)).to(dtype).contiguous()

    def rowwise_int8(self) -> tuple[Tensor, Tensor]:
        """The matrix rounded to int8 with one scale a row: ``(out, in)`` int8, ``(out,)`` float."""
        if self.values.dtype == torch.int8 and self.scale is not None and self.scale.dim() == 1:
            return self.values, self.scale.float()
        dense = self.dense(torch.float32)
        scale = dense.abs().amax(1).div_(127).clamp_(min=1e-12)
        return dense.div_(scale[:, None]).round_().to(torch.int8), scale

    @staticmethod
    def _grouped(values: Tensor, scale: Tensor) -> Tensor:
        rows = values.shape[0]
        if values.dtype == torch.uint8:
            packed = values.view(rows, -1, INT4_GROUP // 2)
            nibbles = torch.cat((packed & 15, packed >> 4), dim=-1)
            return nibbles.float().sub_(8).mul_(scale.float()[..., None]).view(rows, -1)
        groups = scale.view(rows, -1).shape[1]
        grouped = values.view(rows, groups, -1).float()
        return grouped.mul_(scale.float().view(rows, groups, 1)).view(rows, -1)


def read_weight(checkpoint: Checkpoint, name: str, shape: tuple[int, int]) -> StoredWeight:
    """The matrix called ``name``, in whichever form the checkpoint stores it.

    Raises
    ------
    CorruptCheckpoint
        It is missing, or of another shape or type than ``config.json`` promises.
    """
    out, inner = shape
    packed = f"{name}.qweight"
    stored = packed if checkpoint.has(packed) else f"{name}.weight"
    values = checkpoint.tensor(stored)
    if values.dtype in _DENSE:
        _expect(checkpoint, stored, values, shape)
        return StoredWeight(values)
    if values.dtype not in (torch.int8, torch.uint8):
        raise CorruptCheckpoint(
            f"{checkpoint.path}: {stored} has the type {values.dtype}.",
            "Weights are float32, bfloat16, float16, int8 or packed int4.",
        )
    int4 = values.dtype == torch.uint8
    _expect(checkpoint, stored, values, (out, inner // 2) if int4 else shape)
    scale = checkpoint.tensor(f"{name}.scale")
    grouped = (out, inner // INT4_GROUP)
    if int4 or scale.dim() == 2:
        _expect(checkpoint, f"{name}.scale", scale, grouped)
    else:
        _expect(checkpoint, f"{name}.scale", scale, (out,))
    return StoredWeight(values, scale)


def read_vector(checkpoint: Checkpoint, name: str, size: int) -> Tensor:
    """The vector called ``name`` as float32 ``(size,)``.

    Raises
    ------
    CorruptCheckpoint
        It is missing or of another shape.
    """
    vector = checkpoint.tensor(name)
    _expect(checkpoint, name, vector, (size,))
    return vector.float()


def stack(weights: Sequence[StoredWeight]) -> StoredWeight:
    """Matrices of equal form and width as one, rows after rows."""
    values = torch.cat([w.values for w in weights])
    scales = [w.scale for w in weights if w.scale is not None]
    return StoredWeight(values, torch.cat(scales) if scales else None)


def _expect(checkpoint: Checkpoint, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise CorruptCheckpoint(
            f"{checkpoint.path}: {name} has the shape {tuple(tensor.shape)}, not {shape}.",
            "Its config.json does not fit its weights; copy the checkpoint again.",
        )
