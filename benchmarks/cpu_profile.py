"""Where one denoising step spends its time on the CPU: linear layers, attention, head and so on.

    python benchmarks/cpu_profile.py [--rows 16] [--context 1500] [--threads 2] [--out FILE]

A step is a forward of an open block over a cached context, its head and its statistics. The shares
come from torch.profiler with a range around each part; Python is what ranges spend outside of any
operator. The milliseconds a step are measured without the profiler.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cores  # noqa: F401
import machine
from report import tell
from torch.profiler import ProfilerActivity, profile, record_function

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.deadline import Deadline
from midfill_engine.fill import run as run_module
from midfill_engine.fill.costs import Costs
from midfill_engine.fill.filler import Filler
from midfill_engine.fill.run import Run, Sampler
from midfill_engine.fill.steps import alone
from midfill_engine.settings import EngineSettings

#: Any ids will do: time does not depend on them.
CONTEXT_ID = 100


def ranged(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any, **named: Any) -> Any:
        with record_function(name):
            return call(*args, **named)

    return inner


def shares(filler: Filler, step: Callable[[], Any], runs: int) -> dict[str, float]:
    """Share of each part in ``runs`` steps."""
    decoder = filler._decoder
    for layer in decoder.layers:
        for name in ("qkv", "o", "gate_up", "down"):
            object.__setattr__(layer, name, ranged("linear", getattr(layer, name)))
    decoder._attend = ranged("attend", decoder._attend)
    decoder.head = ranged("head", decoder.head)
    run_module.row_stats = ranged("statistics", run_module.row_stats)
    step = ranged("step", step)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(runs):
            step()
    events = {event.key: event for event in profiled.key_averages()}
    whole = events["step"].cpu_time_total
    # The ranges nest: the projections around attention are linear layers.
    inside = sum(
        event.cpu_time_total
        for event in profiled.events()
        if event.name == "linear" and event.cpu_parent and event.cpu_parent.name == "attend"
    )
    parts = {
        "linear layers": events["linear"].cpu_time_total,
        "attention, rotation, cache": events["attend"].cpu_time_total - inside,
        "head": events["head"].cpu_time_total,
        "statistics": events["statistics"].cpu_time_total,
    }
    parts["norms, SiLU, embedding, mask, loop"] = whole - sum(parts.values())
    parts["of all: outside operators (Python)"] = sum(
        events[name].self_cpu_time_total
        for name in ("step", "linear", "attend", "head", "statistics")
    )
    return {name: round(spent / whole, 3) for name, spent in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--context", type=int, default=1500)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    filler = Filler.load(EngineSettings(model=args.model, device="cpu", threads=args.threads))
    decoder, cache, costs = filler._decoder, KeystrokeCache(filler._decoder.new_cache()), Costs()
    run = Run(
        decoder, cache, Deadline.after_ms(None), costs, Sampler(filler._bias, filler._spec.eom_id)
    )
    began = time.perf_counter()
    alone(run.prefill([CONTEXT_ID] * args.context), decoder, costs)
    result: dict[str, Any] = {
        **machine.describe(),
        "threads": args.threads,
        "context": args.context,
        "prefill_ms_per_token": round((time.perf_counter() - began) * 1000 / args.context, 3),
    }

    def step_of(rows: int) -> Callable[[], Any]:
        block = [filler._spec.mask_id] * rows
        return lambda: run.stats(alone(run.step(block=block), decoder, costs))

    for rows in args.rows:
        step, times = step_of(rows), []
        for _ in range(args.runs):
            started = time.perf_counter()
            step()
            times.append((time.perf_counter() - started) * 1000)
        result[f"{rows} rows"] = {"ms": round(median(times), 2)}
    for rows in args.rows:
        result[f"{rows} rows"]["shares"] = shares(filler, step_of(rows), args.runs)
    tell(result, args.out)


if __name__ == "__main__":
    main()
