"""The Triton kernel of `llada.py` that rounds activations to fp8, row by row."""

import triton
import triton.language as tl


@triton.jit
def quantise(rows, values, scale, size: tl.constexpr, block: tl.constexpr):  # noqa: ANN001, ANN201
    row = tl.program_id(0)
    at = tl.arange(0, block)
    inside = at < size
    x = tl.load(rows + row * size + at, inside, 0.0).to(tl.float32)
    largest = tl.maximum(tl.max(tl.abs(x), 0), 1e-12)
    tl.store(scale + row, largest / 448)
    tl.store(values + row * size + at, (x * (448 / largest)).to(values.dtype.element_ty), inside)
