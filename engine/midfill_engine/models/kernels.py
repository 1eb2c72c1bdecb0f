"""Triton kernels of a decoder step with few rows, between the products of `models.product`.

Owns reading embeddings, attention (rotation, storing keys and values, and the sum over the slots in
one launch) and the final norm. Knows neither layers nor caches beyond the strides it is given.

Imported on CUDA devices only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from midfill_engine.models.product import Products, Stream, padded


@dataclass(frozen=True, slots=True)
class Spread:
    """How attention is spread over the device.

    Attributes
    ----------
    tile_rows, tile_slots
        Query rows and slots of one tile.
    splits
        Parts of the slots, so that few heads still fill the device; the last has the forward's own
        rows.
    """

    tile_rows: int
    tile_slots: int
    splits: int
    warps: int = 4
    stages: int = 3


def spread(size: int) -> Spread:
    """For heads of ``size``: tiles of as many bytes, in no more programs than run at once."""
    return Spread(32, min(8192 // size, 128), 7)


@triton.jit(do_not_specialize=["rows"])
def _embed(
    ids, table, scale, gain, x, scaled, sums, rows, size,
    parts: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One row of the embedding, times the first norm's gain, and its sum of squares."""
    row, padded_rows = tl.program_id(0), tl.num_programs(0)
    at = tl.arange(0, block)
    inside = at < size
    token = tl.load(ids + tl.minimum(row, rows - 1))
    value = tl.load(table + token * size + at, inside, 0.0).to(tl.float32)
    if scale is not None:
        value *= tl.load(scale + token).to(x.dtype.element_ty).to(tl.float32)
    rounded = value.to(x.dtype.element_ty)
    value = rounded.to(tl.float32)
    tl.store(x + row * size + at, rounded, inside)
    value_scaled = value * tl.load(gain + at, inside, 0.0).to(tl.float32)
    tl.store(scaled + row * size + at, value_scaled.to(x.dtype.element_ty), inside)
    part = tl.arange(0, triton.next_power_of_2(parts))
    squares = tl.where(part == 0, tl.sum(value * value, 0), 0.0)
    tl.store(sums + part * padded_rows + row, squares, part < parts)


@triton.jit
def _norm(
    x, sums, gain, out, size, eps,
    parts: tl.constexpr, tile_rows: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """``norm(x) * gain`` of one row."""
    row = tl.program_id(0)
    at = tl.arange(0, block)
    inside = at < size
    part = tl.arange(0, triton.next_power_of_2(parts))
    squares = tl.sum(tl.load(sums + part * tile_rows + row, part < parts, 0.0), 0)
    value = tl.load(x + row * size + at, inside, 0.0).to(tl.float32)
    value *= 1 / tl.sqrt(squares / size + eps)
    value *= tl.load(gain + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * size + at, value.to(out.dtype.element_ty), inside)


@triton.jit
def _rotated(source, inside, position, cos, sin, size: tl.constexpr):
    """One head of the rows at ``source``, rotated by the angles of their positions."""
    at = tl.arange(0, size)[None, :]
    there = inside[:, None]
    value = tl.load(source[:, None] + at, there, 0.0)
    swapped = tl.load(source[:, None] + (at + size // 2) % size, there, 0.0)
    angle = position[:, None] * size + at
    # The table negates the first half of the sines (see `decoder._rotary`).
    c = tl.load(cos + angle, there, 0.0).to(tl.float32)
    s = tl.load(sin + angle, there, 0.0).to(tl.float32)
    return (value.to(tl.float32) * c + swapped.to(tl.float32) * s).to(value.dtype)


@triton.jit
def _own(source, there, position, cos, sin, kv_heads: tl.constexpr, size: tl.constexpr):
    """Keys, rotated, and values of the forward's own rows."""
    at = tl.arange(0, size)[None, :]
    k = _rotated(source, there, position, cos, sin, size)
    return k, tl.load(source[:, None] + kv_heads * size + at, there[:, None], 0.0)


@triton.jit
def _absorb(q, k, v, seen, scale, top, total, acc):
    """Take some more slots into the running softmax."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    scores = tl.where(seen, scores, -1e30)
    higher = tl.maximum(top, tl.max(scores, 1))
    p = tl.where(seen, tl.exp(scores - higher[:, None]), 0.0)
    shrink = tl.exp(top - higher)
    total = total * shrink + tl.sum(p, 1)
    acc = acc * shrink[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
    return higher, total, acc


@triton.jit
def _merged(
    tops, weights, part, mine,
    splits: tl.constexpr, tile_rows: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    """The softmax sums of all parts of the slots as one; past L1, which may hold older ones."""
    at = tl.arange(0, size)[None, :]
    top = tl.load(tops + mine, cache_modifier=".cg")
    for n in tl.static_range(1, splits):
        top = tl.maximum(top, tl.load(tops + mine + n * tile_rows, cache_modifier=".cg"))
    total = tl.zeros((tile_rows,), tl.float32)
    acc = tl.zeros((tile_rows, size), tl.float32)
    for n in tl.static_range(splits):
        other = mine + n * tile_rows
        factor = tl.exp(tl.load(tops + other, cache_modifier=".cg") - top)
        total += factor * tl.load(weights + other, cache_modifier=".cg")
        acc += factor[:, None] * tl.load(part + other[:, None] * size + at, cache_modifier=".cg")
    return acc / total[:, None]


@triton.jit(do_not_specialize=["rows", "shared"])
def _attend(
    qkv, cos, sin, place, memory, out, part, tops, weights, counters,
    rows, shared, scale, key_stride, head_stride,
    heads: tl.constexpr, kv_heads: tl.constexpr, size: tl.constexpr,
    splits: tl.constexpr, tile_rows: tl.constexpr, tile_slots: tl.constexpr,
    tile_new: tl.constexpr,
):  # fmt: skip
    """One tile of query rows over one part of the slots; the last part to come merges all.

    The rows of the forward themselves are read from ``qkv``, by the last part, which has no other
    slots, and stores them.
    """
    kv_head, tile, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first, count = tl.load(place), tl.load(place + 1)
    chunk = tl.cdiv(tl.cdiv(first, splits - 1), tile_slots) * tile_slots
    begin = split * chunk
    end = tl.minimum(begin + chunk, first)
    at = tl.arange(0, size)[None, :]
    keys = memory + kv_head * head_stride
    values = keys + key_stride
    width_in = (heads + 2 * kv_heads) * size
    index = tile * tile_rows + tl.arange(0, tile_rows)
    inside, token = index < shared, index % rows
    head = kv_head * (heads // kv_heads) + index // rows
    own = place + 4 + 4 * token
    position = first + tl.load(own)
    q = _rotated(qkv + token * width_in + head * size, inside, position, cos, sin, size)
    top = tl.full((tile_rows,), -1e30, tl.float32)
    total = tl.zeros((tile_rows,), tl.float32)
    acc = tl.zeros((tile_rows, size), tl.float32)
    for slot0 in range(begin, end, tile_slots):
        slot = slot0 + tl.arange(0, tile_slots)
        there = slot < end
        k = tl.load(keys + slot[:, None] * size + at, there[:, None], 0.0)
        v = tl.load(values + slot[:, None] * size + at, there[:, None], 0.0)
        top, total, acc = _absorb(q, k, v, there[None, :], scale, top, total, acc)
    if split == splits - 1:
        new = tl.arange(0, tile_new)
        there = new < count
        source = qkv + (heads + kv_head) * size + new * width_in
        stands = first + tl.load(place + 4 + 4 * new, there, 0)
        k, v = _own(source, there, stands, cos, sin, kv_heads, size)
        if tile == 0:
            slot = (first + new)[:, None] * size + at
            tl.store(keys + slot, k, there[:, None])
            tl.store(values + slot, v, there[:, None])
        upto, low, high = tl.load(own + 1), tl.load(own + 2), tl.load(own + 3)
        block = (new[None, :] >= low[:, None]) & (new[None, :] < high[:, None])
        seen = (new[None, :] < upto[:, None]) | block
        top, total, acc = _absorb(q, k, v, seen, scale, top, total, acc)
    unit = kv_head * tl.num_programs(1) + tile
    mine = unit * splits * tile_rows + tl.arange(0, tile_rows)
    tl.store(tops + mine + split * tile_rows, top)
    tl.store(weights + mine + split * tile_rows, total)
    tl.store(part + (mine + split * tile_rows)[:, None] * size + at, acc)
    tl.debug_barrier()
    if tl.atomic_add(counters + unit, 1) == splits - 1:
        tl.store(counters + unit, 0)
        y = _merged(tops, weights, part, mine, splits, tile_rows, size)
        target = (token * heads + head) * size
        tl.store(out + target[:, None] + at, y.to(out.dtype.element_ty), inside[:, None])


def embed(
    ids: Tensor,
    table: Tensor,
    scale: Tensor | None,
    gain: Tensor,
    parts: int,
) -> Stream:
    """The embeddings of ``ids (T,)``; rows of ``table (V, D)`` have a ``scale`` each, or none."""
    rows, size = padded(len(ids)), table.shape[1]
    x = torch.empty((rows, size), dtype=gain.dtype, device=ids.device)
    sums = torch.empty((parts, rows), dtype=torch.float32, device=ids.device)
    stream = Stream(x, torch.empty_like(x), sums)
    _embed[(rows,)](
        ids, table, scale, gain, x, stream.scaled, sums, len(ids), size, parts,
        triton.next_power_of_2(size),
    )  # fmt: skip
    return stream


def norm(stream: Stream, rows: int, gain: Tensor, eps: float) -> Tensor:
    """The norm of the first ``rows`` rows."""
    size = stream.x.shape[1]
    out = torch.empty((rows, size), dtype=gain.dtype, device=gain.device)
    _norm[(rows,)](
        stream.x, stream.sums, gain, out, size, eps, len(stream.sums), len(stream.x),
        triton.next_power_of_2(size), num_warps=4, num_stages=1,
    )  # fmt: skip
    return out


def placed(first: int, own: NDArray[np.int32], rows: int) -> Tensor:
    """The table by which `attention` knows its rows, on the host.

    Parameters
    ----------
    first
        Slot of the first row.
    own
        ``(count, 4)``: what `sight` says of the rows that count.
    rows
        Of the launch. Those behind ``own`` are padding: they see the first row, for a softmax over
        nothing is not a number, and nobody sees them.

    Returns
    -------
    Tensor
        ``(1 + rows, 4)`` int32: ``first, count, 0, 0``, then a line for each row as in ``own``.
    """
    place = np.zeros((1 + rows, 4), np.int32)
    place[0, :2] = first, len(own)
    place[1 : 1 + len(own)] = own
    place[1 + len(own) :, 1] = 1
    return torch.from_numpy(place)


def attention(
    products: Products,
    qkv: Tensor,
    memory: Tensor,
    place: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    rows: int,
    heads: int,
) -> Tensor:
    """Rotate, store and attend for ``rows`` rows behind the cached slots.

    Parameters
    ----------
    qkv
        ``(T, (heads + 2 kv_heads) * head_dim)``, contiguous; ``rows`` of its rows count.
    memory
        ``(2, kv_heads, slots, head_dim)``; the rows' keys and values are written from their
        first slot on.
    place
        ``(1 + rows, 4)`` int32 on the device, see `placed`.
    cos, sin
        ``(positions, head_dim)``.

    Returns
    -------
    Tensor
        ``(T, heads * head_dim)``.
    """
    _, kv_heads, _, size = memory.shape
    shared = heads // kv_heads * rows
    s = spread(size)
    tile_rows = min(s.tile_rows, padded(shared))
    tiles = triton.cdiv(shared, tile_rows)
    parts = kv_heads * tiles * s.splits * tile_rows
    part = torch.empty((parts, size), dtype=torch.float32, device=qkv.device)
    tops = torch.empty((2, parts), dtype=torch.float32, device=qkv.device)
    out = torch.empty((len(qkv), heads * size), dtype=qkv.dtype, device=qkv.device)
    _attend[(kv_heads, tiles, s.splits)](
        qkv, cos, sin, place, memory, out, part, tops[0], tops[1], products.counters,
        rows, shared, size**-0.5, memory.stride(0), memory.stride(1),
        heads, kv_heads, size, s.splits, tile_rows, s.tile_slots,
        len(qkv), num_warps=s.warps, num_stages=s.stages,
    )  # fmt: skip
    return out
