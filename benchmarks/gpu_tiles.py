"""How products and attention of a step are best spread over a GPU: microseconds of each way.

    python benchmarks/gpu_tiles.py [--sizes 8B 0.5B] [--processes 14] [--seconds 100] [--out FILE]

Each way is launched over as many weights as do not fit into the cache, in one CUDA graph, so that
they come from memory as in a forward. All ways are compiled first, side by side. `kernels.spread`
and `product.tiling` choose among them; at the end a step as they choose and with the best of each.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from gpu_step import (
    SIZES,
    copy_bandwidth,
    geometry,
    launches,
    random_decoder,
    replayed,
    step_times,
)
from report import tell

from midfill_engine.models import kernels, product
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.fused import FusedDecoder, weight_of
from midfill_engine.models.graphs import GraphDecoder
from midfill_engine.models.kernels import Spread
from midfill_engine.models.product import Tiling, tiling

ROWS = 32
KINDS = ("attention", "down", "qkv", "o", "gate_up")
#: Layers of their own weights: all of one kind together are several times what a cache holds.
LAYERS = {"8B": 12, "0.5B": 96}
Way = Spread | Tiling


def ways(size: str, kind: str) -> list[Way]:
    """What is tried, the present choice first."""
    if kind == "attention":
        first: Way = kernels.spread(SIZES[size][5])
        return [first, *(way for way in _spreads() if way != first)]
    shape = shape_of(size, kind)
    first = tiling(*shape, ROWS, torch.bfloat16)
    return [first, *(way for way in _tilings(*shape) if way != first)]


def shape_of(size: str, kind: str) -> tuple[int, int]:
    """``(outputs, inputs)`` of a product."""
    hidden, ff, _, heads, kv, head_dim, _ = SIZES[size]
    return {
        "down": (hidden, ff),
        "qkv": ((heads + 2 * kv) * head_dim, hidden),
        "o": (hidden, heads * head_dim),
        "gate_up": (2 * ff, hidden),
    }[kind]


def _spreads() -> Iterator[Spread]:
    for rows, slots, splits, stages in itertools.product(
        (32, 64), (32, 64, 128), (7, 9, 13, 17), (2, 3)
    ):
        for warps in (4,) if rows == 32 else (4, 8):
            yield Spread(rows, slots, splits, warps, stages)


def _tilings(outputs: int, inner: int) -> Iterator[Tiling]:
    how = ((64, 4, 4), (64, 6, 4), (128, 4, 4), (128, 4, 8), (256, 3, 8))
    for out, splits, (tile_in, stages, warps) in itertools.product(
        (32, 64, 128), (1, 2, 3, 4, 8), how
    ):
        fits = outputs % out == 0 and inner % tile_in == 0 and inner // tile_in >= splits
        if fits and 90 <= outputs // out * splits <= 400:
            yield Tiling(out, tile_in, splits, warps, stages)


def launcher(decoder: Decoder, kind: str, way: Way) -> Callable[[], object]:
    """What launches ``kind`` once a layer in this way."""
    fused = FusedDecoder(decoder)
    launch = launches(decoder, fused)[kind]
    if isinstance(way, Tiling):
        own = weight_of(getattr(decoder.layers[0], kind)).shape
        fused.products.choose = lambda *shape: way if shape[:2] == own else tiling(*shape)
        return launch

    def attend() -> None:
        with patch.object(kernels, "spread", lambda _: way):
            launch()

    return attend


def compiled(jobs: list[tuple[str, str, Way]]) -> list[str]:
    """Compile ``jobs``; those that fail, as text."""
    decoders: dict[str, Decoder] = {}
    failed = []
    for size, kind, way in jobs:
        if size not in decoders:
            decoders[size] = random_decoder(geometry(size, layers=1), "bfloat16")
        try:
            with torch.inference_mode():
                launcher(decoders[size], kind, way)()
            torch.cuda.synchronize()
        except Exception as failure:  # noqa: BLE001  (too much shared memory, say)
            failed.append(f"{size} {kind} {way}: {str(failure)[:100]}")
    return failed


def microseconds(decoder: Decoder, kind: str, way: Way) -> float:
    with torch.inference_mode():
        return round(replayed(launcher(decoder, kind, way), 10) * 1000 / len(decoder.layers), 2)


def measure(
    size: str, kinds: list[str], left: Callable[[], float], best: dict[str, Way]
) -> dict[str, Any]:
    """Of each kind the ways by their time; the best are put into ``best``."""
    found: dict[str, Any] = {}
    decoder = random_decoder(geometry(size, layers=LAYERS[size]), "bfloat16")
    for kind in kinds:
        first, *others = ways(size, kind)
        times: dict[Way, float | str] = {}
        for way in [first, *others]:
            if left() < 0:
                break
            try:
                times[way] = microseconds(decoder, kind, way)
            except Exception as failure:  # noqa: BLE001
                times[way] = repr(failure)[:60]
        good = sorted(((t, w) for w, t in times.items() if isinstance(t, float)), key=itemgetter(0))
        found[kind] = {
            "present_us": times.get(first),
            "tried": len(times),
            "failed": len(times) - len(good),
            "best": [f"{t} {w}" for t, w in good[:12]],
        }
        if good:
            best[kind] = good[0][1]
    return found


def step(size: str, best: dict[str, Way], bandwidth: float) -> dict[str, object]:
    """A step with the ways of ``best``, and as they are chosen for all else."""
    shapes = {shape_of(size, kind): way for kind, way in best.items() if kind != "attention"}
    spread = kernels.spread(SIZES[size][5])
    with (
        patch.object(kernels, "spread", lambda _: best.get("attention", spread)),
        patch.object(product, "tiling", lambda *shape: shapes.get(shape[:2]) or tiling(*shape)),
    ):
        decoder = random_decoder(geometry(size), "bfloat16")
        return step_times(decoder, GraphDecoder(decoder), bandwidth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["8B", "0.5B"], choices=list(SIZES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--processes", type=int, default=14)
    parser.add_argument("--seconds", type=float, default=100, help="measure nothing after so long")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    began = time.perf_counter()
    jobs = [(s, k, way) for s in args.sizes for k in args.kinds for way in ways(s, k)]
    random.Random(1).shuffle(jobs)
    shares = [jobs[n :: args.processes] for n in range(args.processes)]
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        failed = [line for lines in pool.map(compiled, shares) for line in lines]
    bandwidth = copy_bandwidth()
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "ways": len(jobs),
        "compiled_s": round(time.perf_counter() - began, 1),
        "failed": failed[:5],
        "copy_bandwidth_GBps": round(bandwidth / 1e9),
    }
    for size in args.sizes:
        best: dict[str, Way] = {}
        result[size] = measure(
            size, args.kinds, lambda: args.seconds - (time.perf_counter() - began), best
        )
        result[size]["step as chosen"] = step(size, {}, bandwidth)
        result[size]["step with the best"] = step(size, best, bandwidth)
        tell(result, args.out)


if __name__ == "__main__":
    main()
