"""Triton kernels that multiply few rows by a large matrix, as a decoder step does.

Owns reading a weight in each stored form (dense, int8 or fp8 rows, int4 groups) and what is fused
around the product: the norm before it, the gate, the residual sum or the head's statistics after
it. Weights become the type of the rows in registers, tile by tile. Knows neither layers nor caches.

A norm costs no launch: whoever writes a residual also writes it times the next norm's gain, and
its sums of squares; the product that follows divides its rows by the root of their mean.

Imported on CUDA devices only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from midfill_engine.models.weights import StoredWeight

#: Programs that fill the device, about one a multiprocessor.
_PROGRAMS = 112
_MOST_SPLITS = 8
#: How much slower one multiprocessor reads than all of them.
_ALONE = 50
#: Inputs and outputs of a large matrix at least.
_LARGE = 2048
#: Types that become those of the rows by several instructions: narrow tiles were slower (fp8) or
#: not measured (int4).
_SLOWLY_WIDENED = (torch.float8_e4m3fn, torch.uint8)
#: Rows of the vocabulary in one tile of the head.
_HEAD_TILE = 128
#: Most rows of one launch.
MOST_ROWS = 64


@triton.jit
def _nibbles(packed, dtype: tl.constexpr):
    """Low and high nibbles less 8, in the type of the rows."""
    if dtype == tl.bfloat16:
        # 0x4300 is 128 and its last bits count ones, so that a nibble needs no conversion.
        return tl.inline_asm_elementwise(
            """{
            .reg .b32 a, b, c, d, one, less;
            mov.b32 one, 0x3f803f80;
            mov.b32 less, 0xc308c308;
            prmt.b32 a, $4, 0, 0x4140;
            prmt.b32 b, $4, 0, 0x4342;
            shr.b32 c, a, 4;
            shr.b32 d, b, 4;
            lop3.b32 a, a, 0x000f000f, 0x43004300, 0xea;
            lop3.b32 b, b, 0x000f000f, 0x43004300, 0xea;
            lop3.b32 c, c, 0x000f000f, 0x43004300, 0xea;
            lop3.b32 d, d, 0x000f000f, 0x43004300, 0xea;
            fma.rn.bf16x2 $0, a, one, less;
            fma.rn.bf16x2 $1, b, one, less;
            fma.rn.bf16x2 $2, c, one, less;
            fma.rn.bf16x2 $3, d, one, less;
            }""",
            "=r,=r,=r,=r,r", [packed], dtype=(tl.bfloat16, tl.bfloat16), is_pure=True, pack=4,
        )  # fmt: skip
    return ((packed & 15).to(tl.float32) - 8).to(dtype), ((packed >> 4).to(tl.float32) - 8).to(
        dtype
    )


@triton.jit
def _widened(tile, dtype: tl.constexpr):
    """Int8, fp8 or dense weights in the type of the rows, less the scale of their rows."""
    if dtype == tl.bfloat16 and tile.dtype == tl.float8e4nv:
        # Both formats have their bits in the same order; 2^120 moves the exponent's zero.
        return tl.inline_asm_elementwise(
            """{
            .reg .b32 a, b, c, d, far, zero;
            mov.b32 far, 0x7b807b80;
            mov.b32 zero, 0x80008000;
            prmt.b32 a, $2, 0, 0x1404;
            prmt.b32 b, $2, 0, 0x3424;
            and.b32 c, a, 0x7f007f00;
            and.b32 d, b, 0x7f007f00;
            shr.b32 c, c, 4;
            shr.b32 d, d, 4;
            lop3.b32 a, a, 0x80008000, c, 0xea;
            lop3.b32 b, b, 0x80008000, d, 0xea;
            fma.rn.bf16x2 $0, a, far, zero;
            fma.rn.bf16x2 $1, b, far, zero;
            }""",
            "=r,=r,r", [tile], dtype=tl.bfloat16, is_pure=True, pack=4,
        )  # fmt: skip
    return tile.to(dtype)


@triton.jit
def _accumulate(
    x, row, w, scale, n, low, high, inner,
    tile_rows: tl.constexpr, tile_out: tl.constexpr, tile_in: tl.constexpr,
):  # fmt: skip
    """Rows ``row`` of ``x`` times rows ``n`` of ``w``, over inputs ``low`` to ``high``."""
    acc = tl.zeros((tile_rows, tile_out), tl.float32)
    if w.dtype.element_ty == tl.uint8:
        half: tl.constexpr = tile_in // 2
        groups: tl.constexpr = tile_in // 32
        byte = tl.arange(0, half)
        group = tl.arange(0, groups)
        # Low nibbles hold the first 16 inputs of a group, high nibbles the other 16.
        column = byte // 16 * 32 + byte % 16
        bytes_in = tl.multiple_of(inner // 2, half)
        groups_in = tl.multiple_of(inner // 32, groups)
        for k in range(low, high, tile_in):
            packed = tl.load(
                w + n[:, None] * bytes_in + tl.multiple_of(k // 2, half) + byte[None, :]
            )
            s = tl.load(
                scale + n[:, None] * groups_in + tl.multiple_of(k // 32, groups) + group[None, :]
            )
            s = tl.broadcast_to(s.to(x.dtype.element_ty)[:, :, None], (tile_out, groups, 16))
            s = tl.reshape(s, (tile_out, half))
            first, other = _nibbles(packed, x.dtype.element_ty)
            at = x + row[:, None] * inner + k + column[None, :]
            acc = tl.dot(tl.load(at), tl.trans(first * s), acc, input_precision="ieee")
            acc = tl.dot(tl.load(at + 16), tl.trans(other * s), acc, input_precision="ieee")
    else:
        for k in range(low, high, tile_in):
            at = k + tl.arange(0, tile_in)[None, :]
            tile = _widened(tl.load(w + n[:, None] * inner + at), x.dtype.element_ty)
            rows = tl.load(x + row[:, None] * inner + at)
            acc = tl.dot(rows, tl.trans(tile), acc, input_precision="ieee")
    if w.dtype.element_ty == tl.int8 or w.dtype.element_ty == tl.float8e4nv:  # noqa: PLR1714
        acc *= tl.load(scale + n).to(tl.float32)[None, :]
    return acc


@triton.jit
def _finish(
    acc, row, n, tile, bias, gain, residual, out, sums, outputs,
    tile_rows: tl.constexpr, tile_out: tl.constexpr,
    biased: tl.constexpr, gated: tl.constexpr, added: tl.constexpr,
):  # fmt: skip
    """What stands behind the product of one tile: bias, gate or residual sum."""
    if biased:
        acc += tl.load(bias + n).to(tl.float32)[None, :]
    if gated:
        # Gate and up rows alternate in a tile.
        gate, up = tl.split(tl.reshape(acc, (tile_rows, tile_out // 2, 2)))
        y = gate * tl.sigmoid(gate) * up
        at = tile * (tile_out // 2) + tl.arange(0, tile_out // 2)
        place = row[:, None] * (outputs // 2) + at[None, :]
        tl.store(out + place, y.to(out.dtype.element_ty))
    else:
        place = row[:, None] * outputs + n[None, :]
        if added:
            acc += tl.load(residual + place).to(tl.float32)
            total = acc.to(residual.dtype.element_ty)
            tl.store(residual + place, total)
            # The norm sees what later layers will see: the rounded sum.
            acc = total.to(tl.float32)
            tl.store(sums + tile * tile_rows + row, tl.sum(acc * acc, 1))
            acc *= tl.load(gain + n).to(tl.float32)[None, :]
        tl.store(out + place, acc.to(out.dtype.element_ty))


@triton.jit
def _mean_root(sums, row, size, eps, parts: tl.constexpr, tile_rows: tl.constexpr):
    """``1 / sqrt(mean of squares + eps)`` of each row, from the sums of its parts."""
    part = tl.arange(0, triton.next_power_of_2(parts))[:, None]
    squares = tl.load(sums + part * tile_rows + row[None, :], part < parts, 0.0)
    return 1 / tl.sqrt(tl.sum(squares, 0) / size + eps)


@triton.jit
def _project(
    x, w, scale, sums, bias, gain, residual, out, next_sums, partial, counters,
    inner, outputs, eps,
    tile_rows: tl.constexpr, tile_out: tl.constexpr, tile_in: tl.constexpr,
    splits: tl.constexpr, parts: tl.constexpr,
    biased: tl.constexpr, gated: tl.constexpr, added: tl.constexpr,
):  # fmt: skip
    """One tile of outputs over one part of the inputs; the last part to come adds all up."""
    tile, split = tl.program_id(0), tl.program_id(1)
    row = tl.arange(0, tile_rows)
    lane = tl.arange(0, tile_out)
    n = tile * tile_out + lane
    if gated:
        n = tile * (tile_out // 2) + lane // 2 + lane % 2 * (outputs // 2)
    step = tl.cdiv(inner // tile_in, splits) * tile_in
    low = split * step
    high = tl.minimum(low + step, inner)
    acc = _accumulate(x, row, w, scale, n, low, high, inner, tile_rows, tile_out, tile_in)
    if parts > 0:
        acc *= _mean_root(sums, row, inner, eps, parts, tile_rows)[:, None]
    if splits == 1:
        _finish(
            acc, row, n, tile, bias, gain, residual, out, next_sums, outputs,
            tile_rows, tile_out, biased, gated, added,
        )  # fmt: skip
    else:
        place = (tile * splits * tile_rows + row[:, None]) * tile_out + lane[None, :]
        size: tl.constexpr = tile_rows * tile_out
        tl.store(partial + place + split * size, acc)
        tl.debug_barrier()
        if tl.atomic_add(counters + tile, 1) == splits - 1:
            tl.store(counters + tile, 0)
            # Always in the same order, whoever came last: results do not vary. Past L1, which may
            # hold what stood there before.
            acc = tl.load(partial + place, cache_modifier=".cg")
            for other in tl.static_range(1, splits):
                acc += tl.load(partial + place + other * size, cache_modifier=".cg")
            _finish(
                acc, row, n, tile, bias, gain, residual, out, next_sums, outputs,
                tile_rows, tile_out, biased, gated, added,
            )  # fmt: skip


@triton.jit(do_not_specialize=["rows", "forbid", "end"])
def _head(
    x, w, scale, bias, asked, table, rows, inner, vocab, forbid, end,
    tile_rows: tl.constexpr, tile_out: tl.constexpr, tile_in: tl.constexpr,
):  # fmt: skip
    """Logits of one tile of the vocabulary, of which only seven numbers a row are kept."""
    tile, tiles = tl.program_id(0), tl.num_programs(0)
    row = tl.arange(0, tile_rows)
    lane = tl.arange(0, tile_out)
    n = tl.minimum(tile * tile_out + lane, vocab - 1)
    source = tl.minimum(row, rows - 1)
    logits = _accumulate(x, source, w, scale, n, 0, inner, inner, tile_rows, tile_out, tile_in)
    logits += tl.load(bias + n)[None, :]
    # Finite, so that no product below is infinity times zero.
    token = tile * tile_out + lane
    closed = (token >= vocab)[None, :] | ((row == 0)[:, None] & (token == forbid)[None, :])
    logits = tl.where(closed, -1e30, tl.maximum(logits, -1e30))
    wanted = tl.load(asked + source)
    top = tl.max(logits, 1)
    index = tl.argmax(logits, 1)
    second = tl.max(tl.where(lane[None, :] == index[:, None], -1e30, logits), 1)
    e = tl.exp(logits - top[:, None])
    at = table + tile * tile_rows + row
    field = tiles * tile_rows
    tl.store(at, top)
    tl.store(at + field, (tile * tile_out + index).to(tl.float32))
    tl.store(at + 2 * field, second)
    tl.store(at + 3 * field, tl.sum(e, 1))
    tl.store(at + 4 * field, tl.sum(e * logits, 1))
    found = tl.where(token[None, :] == wanted[:, None], logits, -1e30)
    tl.store(at + 5 * field, tl.max(found, 1))
    tl.store(at + 6 * field, tl.max(tl.where((token == end)[None, :], logits, -1e30), 1))


@triton.jit(do_not_specialize=["rows"])
def _head_merge(
    table, out, rows, tiles, tile_rows: tl.constexpr, block: tl.constexpr
):  # fmt: skip
    """Statistics of one row from those of all tiles."""
    row = tl.program_id(0)
    tile = tl.arange(0, block)
    inside = tile < tiles
    at = table + tile * tile_rows + row
    field = tiles * tile_rows
    tops = tl.load(at, inside, -1e30)
    tokens = tl.load(at + field, inside, 3e38)
    seconds = tl.load(at + 2 * field, inside, -1e30)
    top = tl.max(tops, 0)
    token = tl.min(tl.where(tops == top, tokens, 3e38), 0)
    second = tl.max(tl.where(tokens == token, seconds, tops), 0)
    weight = tl.exp(tops - top)
    total = tl.sum(tl.load(at + 3 * field, inside, 0.0) * weight, 0)
    mean = tl.sum(tl.load(at + 4 * field, inside, 0.0) * weight, 0) / total
    tl.store(out + row, token)
    tl.store(out + rows + row, 1 / total)
    tl.store(out + 2 * rows + row, (1 - tl.exp(second - top)) / total)
    tl.store(out + 3 * rows + row, top + tl.log(total) - mean)
    wanted = tl.max(tl.load(at + 5 * field, inside, -1e30), 0)
    tl.store(out + 4 * rows + row, tl.exp(wanted - top) / total)
    end = tl.max(tl.load(at + 6 * field, inside, -1e30), 0)
    tl.store(out + 5 * rows + row, tl.exp(end - top) / total)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is spread over the device."""

    tile_out: int
    tile_in: int
    splits: int
    warps: int = 4
    stages: int = 4


def tiling(outputs: int, inner: int, rows: int, stored: torch.dtype) -> Tiling:
    """The tiles that fill the device with the least traffic besides the weights.

    Larger tiles read the rows less often; more parts of the inputs write and read partial sums,
    the last of them on one multiprocessor alone. Weights ``stored`` in a byte or less have longer
    tiles, so that as many bytes are under way. Large matrices of what is quickly made a number are
    streamed best in narrow tiles, two parts of the inputs each, whatever traffic they cause
    (measured: docs/decisions/0010-five-launches-a-layer.md).
    """
    small = stored.itemsize == 1
    even = outputs % 64 == 0 and inner % 128 == 0
    if even and min(outputs, inner) >= _LARGE and stored not in _SLOWLY_WIDENED:
        wide = Tiling(64, 128 if small else 64, 1)
        return wide if outputs > 4 * _LARGE else Tiling(32, 128, 2)
    tiles = [t for t in (128, 64, 32) if outputs % t == 0] or [min(_power_in(outputs), 32)]
    choices = []
    for tile_out in tiles:
        tile_in = min(_power_in(inner), 128 if small or tile_out < 64 else 64)
        chunks = inner // tile_in
        for wanted in range(1, min(chunks, _MOST_SPLITS) + 1):
            per_split = -(-chunks // wanted)
            splits = -(-chunks // per_split)
            programs = outputs // tile_out * splits
            read = programs * rows * per_split * tile_in * 2
            summed = splits * rows * (outputs * 8 + _ALONE * tile_out * 4) if splits > 1 else 0
            idle = max(_PROGRAMS - programs, 0)
            choices.append((idle, read + summed, Tiling(tile_out, tile_in, splits)))
    return min(choices, key=lambda choice: choice[:2])[2]


@dataclass(frozen=True, slots=True)
class Stream:
    """The residual rows on their way through the layers, padded to a tile.

    Attributes
    ----------
    x
        ``(T, hidden)``.
    scaled
        ``x`` times the gain of the norm that comes next.
    sums
        ``(parts, T)`` float32: sums of squares over parts of each row of ``x``.
    """

    x: Tensor
    scaled: Tensor
    sums: Tensor


class Products:
    """Launches products on one device.

    Owns the counters by which the parts of a split product find out which of them comes last;
    each launch leaves them at zero.
    """

    def __init__(self, device: torch.device) -> None:
        self.counters = torch.zeros(8192, dtype=torch.int32, device=device)
        self._nothing = torch.full((MOST_ROWS,), -1, device=device)
        self.choose = tiling

    def tiling(self, weight: StoredWeight, rows: int) -> Tiling:
        """How the product of ``rows`` rows with ``weight`` is spread."""
        return self.choose(*weight.shape, padded(rows), weight.values.dtype)

    def normed(
        self,
        stream: Stream,
        weight: StoredWeight,
        bias: Tensor | None,
        eps: float,
        *,
        gated: bool = False,
    ) -> Tensor:
        """``norm(x) @ weight.T + bias``, or ``silu`` of its first half times its second."""
        outputs = len(weight.values) // (2 if gated else 1)
        rows = len(stream.x)
        out = torch.empty((rows, outputs), dtype=stream.x.dtype, device=stream.x.device)
        self._launch(stream.scaled, weight, out, sums=stream.sums, bias=bias, eps=eps, gated=gated)
        return out

    def add(self, stream: Stream, y: Tensor, weight: StoredWeight, gain: Tensor) -> Stream:
        """Add ``y @ weight.T`` to the residual in place; ``gain`` is the next norm's."""
        parts = self.parts(weight, len(y))
        sums = torch.empty((parts, len(y)), dtype=torch.float32, device=y.device)
        after = Stream(stream.x, torch.empty_like(stream.x), sums)
        self._launch(y, weight, after.scaled, gain=gain, residual=stream.x, next_sums=sums)
        return after

    def parts(self, weight: StoredWeight, rows: int) -> int:
        """In how many parts `add` sums the squares of ``rows`` rows."""
        return weight.shape[0] // self.tiling(weight, rows).tile_out

    def _launch(
        self,
        x: Tensor,
        weight: StoredWeight,
        out: Tensor,
        *,
        sums: Tensor | None = None,
        bias: Tensor | None = None,
        gain: Tensor | None = None,
        residual: Tensor | None = None,
        next_sums: Tensor | None = None,
        eps: float = 0.0,
        gated: bool = False,
    ) -> None:
        outputs, inner = weight.shape
        t = self.tiling(weight, len(x))
        tiles = outputs // t.tile_out
        size = t.splits * len(x) * outputs if t.splits > 1 else 0
        partial = torch.empty(size, dtype=torch.float32, device=x.device)
        _project[(tiles, t.splits)](
            x, weight.values, weight.scale, sums, bias, gain, residual, out, next_sums, partial,
            self.counters, inner, outputs, eps, len(x), t.tile_out, t.tile_in, t.splits,
            0 if sums is None else len(sums), bias is not None, gated, residual is not None,
            num_warps=t.warps, num_stages=t.stages,
        )  # fmt: skip

    def statistics(
        self,
        hidden: Tensor,
        weight: StoredWeight,
        bias: Tensor,
        *,
        forbid: int | None,
        asked: Sequence[int],
        end: int,
    ) -> Tensor:
        """See `Decoder.statistics`. The logits never reach memory; ties go to the lowest id."""
        wanted = self._nothing
        if asked:
            padding = [-1] * (len(hidden) - len(asked))
            # From pinned memory: the host must not wait for the forward that runs now.
            host = torch.tensor([*asked, *padding], pin_memory=hidden.is_cuda)
            wanted = host.to(hidden.device, non_blocking=True)
        parts = []
        for first in range(0, len(hidden), MOST_ROWS):
            rows = slice(first, first + MOST_ROWS)
            never = -1 if forbid is None or first else forbid
            asks = wanted[rows] if asked else wanted
            parts.append(self._statistics(hidden[rows], weight, bias, asks, never, end))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _statistics(
        self,
        hidden: Tensor,
        weight: StoredWeight,
        bias: Tensor,
        asked: Tensor,
        forbid: int,
        end: int,
    ) -> Tensor:
        rows, inner = hidden.shape
        vocab = len(weight.values)
        tile_rows = padded(rows)
        tiles = triton.cdiv(vocab, _HEAD_TILE)
        tile_in = min(_power_in(inner), 128 if weight.values.itemsize == 1 else 64)
        table = torch.empty((7, tiles, tile_rows), dtype=torch.float32, device=hidden.device)
        out = torch.empty((6, rows), dtype=torch.float32, device=hidden.device)
        _head[(tiles,)](
            hidden, weight.values, weight.scale, bias, asked, table, rows, inner, vocab, forbid,
            end, tile_rows, _HEAD_TILE, tile_in, num_warps=4, num_stages=4,
        )  # fmt: skip
        block = triton.next_power_of_2(tiles)
        _head_merge[(rows,)](table, out, rows, tiles, tile_rows, block)
        return out


def padded(rows: int) -> int:
    """Rows of the tile that holds ``rows`` rows, at most `MOST_ROWS`."""
    return max(16, triton.next_power_of_2(rows))


def _power_in(number: int) -> int:
    """The largest power of two that divides ``number``."""
    return number & -number
