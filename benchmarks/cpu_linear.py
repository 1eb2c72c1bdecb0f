"""Compare PyTorch's CPU kernels for the linear layers of the 0.5B geometry.

    python benchmarks/cpu_linear.py [--threads 2] [--rows 1 8 16 32 256] [--out FILE]

Prints milliseconds for all layers, by number of rows, best of several runs: kernels are compared,
not machines. Weights of several layers take turns, as in a forward, so that they come from memory.
Every arm has the quantisation of its activations in it. ``ONEDNN_MAX_CPU_ISA`` shows what oneDNN
would do on lesser CPUs.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch import Tensor

from midfill_engine.device.int8 import pack
from midfill_engine.models.weights import StoredWeight

HIDDEN, FF, QKV, LAYERS = 896, 4864, 1152, 24
SHAPES = [(HIDDEN, QKV), (HIDDEN, HIDDEN), (HIDDEN, 2 * FF), (FF, HIDDEN)]
#: Layers whose weights take turns.
TURNS = 6
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


def int_mm(weight: Tensor) -> Call:
    values, scale = StoredWeight(weight).rowwise_int8()

    def call(x: Tensor) -> Tensor:
        largest = x.abs().amax(1, keepdim=True) / 127
        return torch._int_mm((x / largest).round_().to(torch.int8), values.T) * scale * largest

    return call


def int8_fbgemm(weight: Tensor) -> Call:
    return pack(*StoredWeight(weight).rowwise_int8(), "fbgemm")


def int8_onednn(weight: Tensor) -> Call:
    return pack(*StoredWeight(weight).rowwise_int8(), "onednn")


ARMS = [float32, bfloat16, int4, int8_weight_only, int_mm, int8_fbgemm, int8_onednn]


def best_ms(layers: list[list[Call]], rows: int, runs: int) -> float:
    """All layers of the model once."""
    inputs = [torch.randn(rows, inner) for inner, _ in SHAPES]
    times = []
    for _ in range(runs + 1):  # the first one warms up
        began = time.perf_counter()
        for layer in layers:
            for call, x in zip(layer, inputs, strict=True):
                call(x)
        times.append(time.perf_counter() - began)
    return min(times[1:]) * 1000 * LAYERS / len(layers)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64, 256])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--arms", nargs="+", default=[arm.__name__ for arm in ARMS])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore")
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'rows':>22}", *(f"{rows:>8}" for rows in args.rows))
    weights = [torch.randn(out, inner) * 0.02 for inner, out in SHAPES]
    found = {}
    for arm in ARMS:
        if arm.__name__ not in args.arms:
            continue
        layers = [[arm(weight) for weight in weights] for _ in range(TURNS)]
        found[arm.__name__] = {rows: best_ms(layers, rows, args.runs) for rows in args.rows}
        print(f"{arm.__name__:>22}", *(f"{ms:8.1f}" for ms in found[arm.__name__].values()))
    if args.out:
        result = {**machine.describe(), "threads": args.threads, "milliseconds_by_rows": found}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
