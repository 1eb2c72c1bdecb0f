"""Int8 matrix products on CPUs: PyTorch's two kernels, and which of them suits this machine.

Activations are scaled row by row, so that a row's result never depends on its company: a chunked
prefill equals a whole one, and one outlier row does not blur the others. Knows nothing of how
weights are stored (`models.weights`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal, Protocol

import torch
from torch import Tensor

from midfill_engine.device import packing

Kernel = Literal["onednn", "fbgemm"]

#: Numbers of rows that are multiplied; above them, multiples of the last.
_ROWS = (1, 4, 16, 32)
_TINY = 1e-12
#: Best first.
_KERNELS: tuple[Kernel, ...] = ("onednn", "fbgemm")
#: A kernel crawls if 4 rows take it so many times as long as 256 rows take in float32.
_CRAWLS = 4


class Int8Product(Protocol):
    """``rows (R, in)`` float32 times packed int8 weights: ``(R, out)`` float32."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply."""
        ...


class OneDnnProduct:
    """OneDNN: AMX, AVX-512 VNNI or AVX VNNI, 8-bit activations."""

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        self._packed = packing.pack(values, _ROWS[-1])
        self._scale = scale.contiguous()
        self._zeros = torch.zeros(len(scale), dtype=torch.int32)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply."""
        scale = _largest(rows).div_(127)
        small = torch.empty((_usual(len(rows)), rows.shape[1]), dtype=torch.int8)
        small[: len(rows)] = (rows / scale).round_()
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            small, 1.0, 0, self._packed, self._scale, self._zeros,
            None, 1.0, 0, torch.float32, "none", [], "",
        )[: len(rows)]  # fmt: skip
        out *= scale
        return out


class FbgemmProduct:
    """FBGEMM: any x86 CPU with AVX2.

    Its dynamic kernel takes one activation scale for all rows. Rows are therefore scaled to
    [-1, 1] first and given to its kernel for a range known before.
    """

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        zeros = torch.zeros(len(scale), dtype=torch.long)
        with warnings.catch_warnings():
            # The quantised tensor types are on their way out of PyTorch; the kernels stay.
            warnings.filterwarnings("ignore", message=".*quantize_per.*")
            warnings.filterwarnings("ignore", message=".*quantized tensor.*")
            make = torch._make_per_channel_quantized_tensor  # noqa: SLF001  (no public twin)
            quantized = make(values, scale.double(), zeros, 0)
            self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        # Without VNNI, pairs of products are added in 16 bits: 7-bit activations cannot overflow.
        vnni = torch.cpu._is_vnni_supported()  # noqa: SLF001  (no public twin)
        self._levels, self._zero = (127, 128) if vnni else (63, 64)

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply."""
        scale = _largest(rows)
        out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / scale, 1 / self._levels, self._zero, self._packed
        )
        out *= scale
        return out


def pack(values: Tensor, scale: Tensor, kernel: Kernel) -> Int8Product:
    """Weights ``(out, in)`` int8, to be multiplied by ``scale (out,)``, packed for ``kernel``."""
    return _PRODUCTS[kernel](values, scale)


@cache
def kernels() -> tuple[Kernel, ...]:
    """What this machine can use, best first; empty where PyTorch has neither.

    OneDNN is faster wherever it multiplies eight bits by eight bits exactly. On CPUs without
    VNNI instructions it adds pairs of products in 16 bits, which overflows; on some with VNNI but
    without AMX it has no kernel for signed activations and multiplies in plain loops, a thousand
    times slower. Either is tried, as neither PyTorch nor every operating system tells.
    """
    return tuple(kernel for kernel in _KERNELS if _exact(kernel) and _quick(kernel))


def _exact(kernel: Kernel) -> bool:
    size = 64
    extreme = torch.full((size, size), 127, dtype=torch.int8)
    try:
        product = pack(extreme, torch.ones(size), kernel)
        found = product(torch.full((2, size), 127.0))
    except (RuntimeError, AttributeError):  # this build of PyTorch lacks it
        return False
    return bool(torch.allclose(found, torch.full_like(found, 127.0 * 127 * size), rtol=1e-3))


def _quick(kernel: Kernel) -> bool:
    ones = torch.ones((256, 256))
    product = pack(ones.to(torch.int8), ones[0], kernel)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # others may be slow to wake
    try:
        return _seconds(product, ones[:4]) < _CRAWLS * _seconds(ones.mm, ones)
    finally:
        torch.set_num_threads(threads)


def _seconds(product: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    """What a product takes at best."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        product(rows)
        times.append(time.perf_counter() - began)
    return min(times)


def _usual(rows: int) -> int:
    """``rows`` or some more, so that few different numbers occur.

    For each number oneDNN makes, and keeps, a kernel for every shape of weights: 4 ms and 2 MB.
    """
    few = next((usual for usual in _ROWS if usual >= rows), 0)
    return few or -(-rows // _ROWS[-1]) * _ROWS[-1]


def _largest(rows: Tensor) -> Tensor:
    """The largest magnitude of each row, ``(R, 1)``, never zero."""
    # Not vector_norm, which takes ten times as long.
    return rows.abs().amax(1, keepdim=True).clamp_(min=_TINY)


_PRODUCTS: dict[Kernel, type[OneDnnProduct | FbgemmProduct]] = {
    "onednn": OneDnnProduct,
    "fbgemm": FbgemmProduct,
}
