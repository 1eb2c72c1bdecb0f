"""Triton kernels of a decoder step with few rows: everything between the matrix products.

A step of 32 rows is bound by launches, and by attention that few heads cannot spread over the
device. Five kernels replace some twenty: add and norm, rotate and store, attention split over the
slots, its merge, and the gate. Knows neither layers nor caches beyond the strides it is given.

Imported on CUDA devices only.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Parts that the slots are split into, so that few heads still fill the device.
SPLITS = 16
#: Query rows and slots of one tile of attention.
TILE_ROWS, TILE_SLOTS = 32, 64


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


@triton.jit
def _rotate_store(
    qkv, cos, sin, place, memory, queries, rows,
    key_stride, head_stride,
    heads: tl.constexpr, kv_heads: tl.constexpr, half: tl.constexpr,
):  # fmt: skip
    """Rotate queries and keys of one row and head; store keys and values at the row's slot."""
    row, head = tl.program_id(0), tl.program_id(1)
    size: tl.constexpr = 2 * half
    at = tl.arange(0, half)
    position = tl.load(place) + row
    source = qkv + (row * (heads + 2 * kv_heads) + head) * size
    left, right = tl.load(source + at), tl.load(source + half + at)
    if head < heads + kv_heads:
        angle = position * size + at
        # The table negates the first half of the sines (see `decoder._rotary`).
        c, s = tl.load(cos + angle).to(tl.float32), tl.load(sin + half + angle).to(tl.float32)
        l32, r32 = left.to(tl.float32), right.to(tl.float32)
        left = (l32 * c - r32 * s).to(left.dtype)
        right = (r32 * c + l32 * s).to(right.dtype)
    if head < heads:
        target = queries + (head * rows + row) * size
    else:
        kv_head = (head - heads) % kv_heads
        which = (head - heads) // kv_heads
        target = memory + which * key_stride + kv_head * head_stride + position * size
    tl.store(target + at, left)
    tl.store(target + half + at, right)


@triton.jit
def _attend(
    queries, memory, place, part, peak, weight, rows, shared, scale,
    key_stride, head_stride,
    splits: tl.constexpr, size: tl.constexpr,
    tile_rows: tl.constexpr, tile_slots: tl.constexpr,
):  # fmt: skip
    """One tile of query rows over one part of the slots: an unnormalised sum and its weights."""
    kv_head, tile, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first, causal_rows = tl.load(place), tl.load(place + 1)
    end = first + tl.load(place + 2)
    row = tile * tile_rows + tl.arange(0, tile_rows)
    inside = row < shared
    at = tl.arange(0, size)
    q = tl.load(
        queries + (kv_head * shared + row[:, None]) * size + at[None, :], inside[:, None], 0.0
    )
    last = tl.where(row % rows < causal_rows, first + row % rows, end - 1)
    chunk = tl.cdiv(tl.cdiv(end, splits), tile_slots) * tile_slots
    low = split * chunk
    high = tl.minimum(low + chunk, end)
    m = tl.full((tile_rows,), -1e30, tl.float32)
    total = tl.zeros((tile_rows,), tl.float32)
    acc = tl.zeros((tile_rows, size), tl.float32)
    keys = memory + kv_head * head_stride
    values = keys + key_stride
    slot0 = low
    while slot0 < high:
        slot = slot0 + tl.arange(0, tile_slots)
        there = slot < high
        k = tl.load(keys + slot[:, None] * size + at[None, :], there[:, None], 0.0)
        v = tl.load(values + slot[:, None] * size + at[None, :], there[:, None], 0.0)
        scores = tl.dot(q, tl.trans(k)) * scale
        seen = there[None, :] & (slot[None, :] <= last[:, None])
        scores = tl.where(seen, scores, -1e30)
        m_new = tl.maximum(m, tl.max(scores, 1))
        p = tl.where(seen, tl.exp(scores - m_new[:, None]), 0.0)
        shrink = tl.exp(m - m_new)
        total = total * shrink + tl.sum(p, 1)
        acc = acc * shrink[:, None] + tl.dot(p.to(v.dtype), v)
        m = m_new
        slot0 += tile_slots
    out = (split * tl.num_programs(0) + kv_head) * shared + row
    tl.store(peak + out, m, inside)
    tl.store(weight + out, total, inside)
    tl.store(part + out[:, None] * size + at[None, :], acc, inside[:, None])


@triton.jit
def _merge(
    part, peak, weight, out, rows, shared,
    heads: tl.constexpr, splits: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    """Merge the parts of one query row; write it where its token and head stand."""
    index = tl.program_id(0)
    kv_heads = tl.num_programs(0) // shared
    split = tl.arange(0, splits)
    at = tl.arange(0, size)
    source = split * kv_heads * shared + index
    m = tl.load(peak + source)
    factor = tl.exp(m - tl.max(m, 0))
    total = tl.sum(tl.load(weight + source) * factor, 0)
    acc = tl.load(part + source[:, None] * size + at[None, :])
    y = tl.sum(acc * factor[:, None], 0) / total
    head, row = index // rows, index % rows
    tl.store(out + (row * heads + head) * size + at, y.to(out.dtype.element_ty))


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


def attention(
    qkv: Tensor,
    memory: Tensor,
    place: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    heads: int,
) -> Tensor:
    """Rotate, store and attend for ``T`` rows behind the cached slots.

    Parameters
    ----------
    qkv
        ``(T, (heads + 2 kv_heads) * head_dim)``, contiguous.
    memory
        ``(2, kv_heads, slots, head_dim)``; the rows' keys and values are written from their
        first slot on.
    place
        ``(3,)`` int64 on the device, see `fused.fused_forward`.
    cos, sin
        ``(positions, head_dim)``.

    Returns
    -------
    Tensor
        ``(T, heads * head_dim)``.
    """
    _, kv_heads, _, size = memory.shape
    rows = len(qkv)
    shared = heads // kv_heads * rows
    queries = torch.empty((heads, rows, size), dtype=qkv.dtype, device=qkv.device)
    strides = memory.stride(0), memory.stride(1)
    _rotate_store[(rows, heads + 2 * kv_heads)](
        qkv, cos, sin, place, memory, queries, rows, *strides, heads, kv_heads, size // 2
    )
    part = torch.empty((SPLITS, kv_heads * shared, size), dtype=torch.float32, device=qkv.device)
    peak = torch.empty((2, SPLITS, kv_heads * shared), dtype=torch.float32, device=qkv.device)
    _attend[(kv_heads, triton.cdiv(shared, TILE_ROWS), SPLITS)](
        queries, memory, place, part, peak[0], peak[1], rows, shared, size**-0.5, *strides,
        SPLITS, size, TILE_ROWS, TILE_SLOTS,
    )  # fmt: skip
    out = torch.empty((rows, heads * size), dtype=qkv.dtype, device=qkv.device)
    _merge[(kv_heads * shared,)](part, peak[0], peak[1], out, rows, shared, heads, SPLITS, size)
    return out
