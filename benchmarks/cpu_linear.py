"""Compare PyTorch's CPU kernels for the linear layers of the 0.5B geometry.

    python benchmarks/cpu_linear.py [--threads 2] [--rows 1 8 16 32 256]

Prints milliseconds for all layers, by number of rows, best of several runs: kernels are compared,
not machines. Every arm runs in turn for each size.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from midfill_engine.models.linear import RowwiseInt8Linear
from midfill_engine.models.weights import StoredWeight

HIDDEN, FF, QKV, LAYERS = 896, 4864, 1152, 24
SHAPES = [(HIDDEN, QKV), (HIDDEN, HIDDEN), (HIDDEN, 2 * FF), (FF, HIDDEN)]
Call = Callable[[Tensor], Tensor]


def float32(weight: Tensor) -> Call:
    return lambda x: x @ weight.T


def bfloat16(weight: Tensor) -> Call:
    w = weight.bfloat16()
    return lambda x: x.bfloat16() @ w.T


def int4(weight: Tensor) -> Call:
    out, inner = weight.shape
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(
        torch.randint(0, 16, (out, inner), dtype=torch.int32), 1
    )
    scales = torch.rand(inner // 32, out, 2, dtype=torch.bfloat16)
    return lambda x: torch.ops.aten._weight_int4pack_mm_for_cpu(x.bfloat16(), packed, 32, scales)


def int8_weight_only(weight: Tensor) -> Call:
    values, scale = StoredWeight(weight).rowwise_int8()
    scale = scale.bfloat16()
    return lambda x: torch.ops.aten._weight_int8pack_mm(x.bfloat16(), values, scale)


def int8_one_scale(weight: Tensor) -> Call:
    linear = RowwiseInt8Linear(StoredWeight(weight), None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, linear._packed, True)


def int8_row_scales(weight: Tensor) -> Call:
    return RowwiseInt8Linear(StoredWeight(weight), None)


ARMS = [float32, bfloat16, int4, int8_weight_only, int8_one_scale, int8_row_scales]


def best_ms(call: Call, x: Tensor, runs: int) -> float:
    call(x)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call(x)
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 16, 32, 256])
    parser.add_argument("--runs", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore")
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'rows':>22}", *(f"{rows:>8}" for rows in args.rows))
    weights = [torch.randn(out, inner) * 0.02 for inner, out in SHAPES]
    calls = {arm.__name__: [arm(weight) for weight in weights] for arm in ARMS}
    for name, layers in calls.items():
        cells = []
        for rows in args.rows:
            inputs = [torch.randn(rows, inner) for inner, _ in SHAPES]
            total = sum(best_ms(c, x, args.runs) for c, x in zip(layers, inputs, strict=True))
            cells.append(f"{total * LAYERS:8.1f}")
        print(f"{name:>22}", *cells, flush=True)


if __name__ == "__main__":
    main()
