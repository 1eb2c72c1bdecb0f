"""Int8 weights packed for oneDNN, in a fraction of the time that oneDNN takes.

OneDNN arranges them one by one, 3 to 4 ns each. Where the bytes of a matrix that it packed are
found to lie as `_arranged` says, further ones of that shape are copies of it that get their own
bytes, the very ones that oneDNN would write. Where they lie otherwise, oneDNN packs all matrices.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor

#: With AMX: blocks of 64 outputs, in them blocks of 64 inputs, in them words of 4 inputs each.
_BLOCK = 64
_WORDS = _BLOCK // 4
#: So many blocks of outputs, evenly spread, are compared.
_COMPARED = 16

#: Packed weights of which `_arranged` was found true, as long as a product holds them.
_known: WeakValueDictionary[tuple[int, int], Tensor] = WeakValueDictionary()


class _Bytes(NamedTuple):
    """What a packed matrix ``(out, in)`` consists of."""

    #: ``(out / 64, in / 64, 16, 64)`` int32: four weights each.
    words: Tensor
    #: ``(out,)`` int32: the negative sum of each output's weights.
    sums: Tensor


def pack(values: Tensor, rows: int) -> Tensor:
    """Weights ``(out, in)`` int8, packed for products with ``rows``; the bytes are oneDNN's."""
    values = values.contiguous()
    out, inner = values.shape
    like = _known.get((out, inner))
    if like is not None:
        packed = like.clone()
        for place, own in zip(_bytes_of(packed, out, inner), _arranged(values), strict=True):
            place.copy_(own)
        return packed
    first: Tensor = torch.ops.onednn.qlinear_prepack(values, [rows, inner])
    if _lies_as_known(first, values):
        _known[out, inner] = first
    return first


def _lies_as_known(packed: Tensor, values: Tensor) -> bool:
    out, inner = values.shape
    if out % _BLOCK or inner % _BLOCK:
        return False
    blocks = out // _BLOCK
    some = torch.linspace(0, blocks - 1, min(blocks, _COMPARED)).long()
    try:
        words, sums = _bytes_of(packed, out, inner)
        own_words, own_sums = _arranged(values.view(blocks, _BLOCK, inner)[some].flatten(0, 1))
    except (RuntimeError, AttributeError, ValueError):  # another size, or another PyTorch
        return False
    kept_sums = sums.view(blocks, _BLOCK)[some].flatten()
    return torch.equal(words[some], own_words) and torch.equal(kept_sums, own_sums)


def _bytes_of(packed: Tensor, out: int, inner: int) -> _Bytes:
    """The memory of ``packed`` itself.

    Raises
    ------
    RuntimeError
        It has another size.
    """
    size = torch.ops.mkldnn._nbytes(packed)  # noqa: SLF001  (as PyTorch's own compiler reads them)
    memory = (ctypes.c_char * size).from_address(torch.ops.mkldnn.data_ptr(packed))
    words, sums = torch.split(torch.frombuffer(memory, dtype=torch.int32), [out * inner // 4, out])
    return _Bytes(words.view(out // _BLOCK, inner // _BLOCK, _WORDS, _BLOCK), sums)


def _arranged(values: Tensor) -> _Bytes:
    """What lies where for ``values (out, in)``."""
    out, inner = values.shape
    words = values.view(torch.int32).view(out // _BLOCK, _BLOCK, inner // _BLOCK, _WORDS)
    # The product is ten times as quick as a sum of int8.
    ones = torch.ones((inner, _WORDS), dtype=torch.int8)
    sums = torch._int_mm(values, ones)[:, 0]  # noqa: SLF001  (no public twin)
    return _Bytes(words.permute(0, 2, 3, 1), sums.neg())
