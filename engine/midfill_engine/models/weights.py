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
from midfill_engine.models.checkpoint import Checkpoint, LowRank

INT4_GROUP = 32
_DENSE = (torch.float32, torch.bfloat16, torch.float16)
#: Weights that are unpacked at a time: what they need as float32 stays in a core's cache, and
#: threads that unpack side by side seldom wait for one another to call PyTorch.
_AT_A_TIME = 1 << 19


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
    update
        What an adapter adds to the matrix.
    """

    values: Tensor
    scale: Tensor | None = None
    update: LowRank | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(out, in)``."""
        rows, columns = self.values.shape
        return rows, columns * (2 if self.values.dtype == torch.uint8 else 1)

    def dense(self, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
        """The matrix as ``(out, in)`` of ``dtype``, unpacked on ``device``."""
        there = self.to(device)
        if there.scale is None and there.update is None:
            return there.values.to(dtype)
        out = torch.empty(self.shape, device=there.values.device)
        there.unpack(slice(None), out)
        return out.to(dtype)

    def to(self, device: torch.device | None) -> StoredWeight:
        """The same on ``device``."""
        return StoredWeight(
            self.values.to(device),
            None if self.scale is None else self.scale.to(device),
            None if self.update is None else LowRank(*(t.to(device) for t in self.update)),
        )

    def rowwise_int8(self) -> tuple[Tensor, Tensor]:
        """The matrix rounded to int8 with one scale a row: ``(out, in)`` int8, ``(out,)`` float."""
        kept = self.values.dtype == torch.int8 and self.update is None
        if kept and self.scale is not None and self.scale.dim() == 1:
            return self.values, self.scale.float()
        rows, inner = self.shape
        device = self.values.device
        values = torch.empty((rows, inner), dtype=torch.int8, device=device)
        scale = torch.empty(rows, device=device)
        # Page by page: fresh pages for whole float matrices would cost more than the arithmetic.
        page = torch.empty((max(1, _AT_A_TIME // inner), inner), device=device)
        for start in range(0, rows, len(page)):
            part = slice(start, start + len(page))
            dense = page[: rows - start]
            self.unpack(part, dense)
            largest = torch.maximum(dense.amax(1), dense.amin(1).neg_())
            step = largest.div_(127).clamp_(min=1e-12)
            scale[part] = step
            values[part] = dense.div_(step[:, None]).round_()
        return values, scale

    def unpack(self, part: slice, out: Tensor) -> None:
        """Write the rows in ``part`` to ``out (rows, in)`` float32."""
        values = self.values[part]
        rows = len(values)
        if values.dtype == torch.uint8:
            packed = values.view(rows, -1, INT4_GROUP // 2)
            low, high = out.view(rows, -1, INT4_GROUP).chunk(2, dim=-1)
            low.copy_((packed & 15).view(torch.int8) - 8)
            high.copy_((packed >> 4).view(torch.int8) - 8)
        else:
            out.copy_(values)
        if self.scale is not None:
            grouped = self.scale[part].float().view(rows, -1, 1)
            out.view(rows, grouped.shape[1], -1).mul_(grouped)
        if self.update is not None:
            out.addmm_(self.update.b[part], self.update.a)


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
    values, update = checkpoint.tensor(stored), checkpoint.update(name)
    if values.dtype in _DENSE:
        _expect(checkpoint, stored, values, shape)
        return StoredWeight(values, None, update)
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
    return StoredWeight(values, scale, update)


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
    return StoredWeight(values, torch.cat(scales) if scales else None, _stacked(weights))


def _stacked(weights: Sequence[StoredWeight]) -> LowRank | None:
    if all(w.update is None for w in weights):
        return None
    updates = [w.update or _nothing(w) for w in weights]
    first = updates[0].a
    if all(torch.equal(first, update.a) for update in updates):  # as `midfill train` writes them
        return LowRank(first, torch.cat([update.b for update in updates]))
    a = torch.cat([update.a for update in updates])
    b: Tensor = torch.block_diag(*(u.b for u in updates))  # type: ignore[no-untyped-call]
    return LowRank(a, b)


def _nothing(weight: StoredWeight) -> LowRank:
    rows, columns = weight.shape
    return LowRank(torch.empty(0, columns), torch.empty(rows, 0))


def _expect(checkpoint: Checkpoint, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise CorruptCheckpoint(
            f"{checkpoint.path}: {name} has the shape {tuple(tensor.shape)}, not {shape}.",
            "Its config.json does not fit its weights; copy the checkpoint again.",
        )
