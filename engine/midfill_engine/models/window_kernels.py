"""Triton kernels of a window's forward: what stands between matrix products and attention.

Some twenty small launches a layer become four: add and norm (twice), rotate and store, gate. Knows
neither layers nor caches beyond the strides it is given.

Imported on CUDA devices only.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _add_norm(x, delta, weight, out, eps, size: tl.constexpr, block: tl.constexpr):
    """``x += delta; out = rms_norm(x) * weight``, a program a row."""
    row = tl.program_id(0)
    at = tl.arange(0, block)
    inside = at < size
    total = tl.load(x + row * size + at, inside, 0.0).to(tl.float32)
    total += tl.load(delta + row * size + at, inside, 0.0).to(tl.float32)
    rounded = total.to(x.dtype.element_ty)
    tl.store(x + row * size + at, rounded, inside)
    # The norm sees what later layers will see: the rounded sum.
    total = rounded.to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(total * total, 0) / size + eps)
    gain = tl.load(weight + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * size + at, (total * scale * gain).to(out.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["start"])
def _rotate_store(
    qkv, cos, sin, memory, queries, start,
    key_stride, head_stride,
    heads: tl.constexpr, kv_heads: tl.constexpr, half: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
    """Rotate queries and keys of one row and store keys and values at its slot."""
    row = tl.program_id(0)
    size: tl.constexpr = 2 * half
    every: tl.constexpr = heads + 2 * kv_heads
    head, at = tl.arange(0, padded)[:, None], tl.arange(0, half)[None, :]
    inside = head < every
    position = start + row
    source = qkv + (row * every + head) * size + at
    left = tl.load(source, inside, 0.0)
    right = tl.load(source + half, inside, 0.0)
    # The table negates the first half of the sines (see `decoder._rotary`).
    c = tl.load(cos + position * size + at).to(tl.float32)
    s = tl.load(sin + position * size + half + at).to(tl.float32)
    l32, r32 = left.to(tl.float32), right.to(tl.float32)
    turned = head < heads + kv_heads
    left = tl.where(turned, (l32 * c - r32 * s).to(left.dtype), left)
    right = tl.where(turned, (r32 * c + l32 * s).to(right.dtype), right)
    query = queries + (row * heads + head) * size + at
    tl.store(query, left, head < heads)
    tl.store(query + half, right, head < heads)
    kv_head = (head - heads) % kv_heads
    which = (head - heads) // kv_heads
    slot = memory + which * key_stride + kv_head * head_stride + position * size + at
    kept = inside & (head >= heads)
    tl.store(slot, left, kept)
    tl.store(slot + half, right, kept)


@triton.jit
def _gate(gate_up, out, size, block: tl.constexpr):
    """``silu(gate) * up`` of one row's tile."""
    row, tile = tl.program_id(0), tl.program_id(1)
    at = tile * block + tl.arange(0, block)
    inside = at < size
    gate = tl.load(gate_up + row * 2 * size + at, inside, 0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * size + size + at, inside, 0.0).to(tl.float32)
    silu = (gate * tl.sigmoid(gate)).to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * size + at, (silu * up).to(out.dtype.element_ty), inside)


def add_norm(x: Tensor, delta: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Add ``delta`` to ``x (T, D)`` in place; return the weighted RMS norm of the sum."""
    out = torch.empty_like(x)
    size = x.shape[1]
    _add_norm[(len(x),)](x, delta, weight, out, eps, size, triton.next_power_of_2(size))
    return out


def gate(gate_up: Tensor) -> Tensor:
    """``(T, 2 F)`` to ``silu(first half) * second half``, ``(T, F)``."""
    rows, size = len(gate_up), gate_up.shape[1] // 2
    out = torch.empty((rows, size), dtype=gate_up.dtype, device=gate_up.device)
    _gate[(rows, triton.cdiv(size, 1024))](gate_up, out, size, 1024)
    return out


def rotate_store(
    qkv: Tensor, memory: Tensor, start: int, cos: Tensor, sin: Tensor, *, heads: int
) -> Tensor:
    """Rotate ``T`` rows; store their keys and values from slot ``start`` on.

    Parameters
    ----------
    qkv
        ``(T, (heads + 2 kv_heads) * head_dim)``, contiguous.
    memory
        ``(2, kv_heads, slots, head_dim)``, the last two contiguous.
    cos, sin
        ``(positions, head_dim)``.

    Returns
    -------
    Tensor
        The queries, ``(T, heads, head_dim)``.
    """
    _, kv_heads, _, size = memory.shape
    queries = torch.empty((len(qkv), heads, size), dtype=qkv.dtype, device=qkv.device)
    _rotate_store[(len(qkv),)](
        qkv, cos, sin, memory, queries, start, memory.stride(0), memory.stride(1),
        heads, kv_heads, size // 2, triton.next_power_of_2(heads + 2 * kv_heads),
    )  # fmt: skip
    return queries
