"""What a forward, the head and loading cost on this CPU, and how much memory stays resident.

    python benchmarks/cpu_step.py [--threads 2] [--slots 1500] [--out FILE]

Medians of several forwards by number of rows over a filled cache, random token ids; then fills of
this repository's own source with other contexts each time. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.service.engine import load_filler
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import FillRequest

ROWS = [1, 4, 8, 12, 16, 24, 32, 36, 48, 64, 128]
SOURCE = Path(__file__).parent.parent / "engine/midfill_engine/fill/filler.py"


def memory_mb() -> dict[str, float]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        key: round(int(value.split()[0]) / 1024, 1)
        for key, _, value in (line.partition(":") for line in lines)
        if key in ("VmRSS", "VmHWM", "RssAnon", "RssFile")
    }


def median_ms(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs + 1):  # the first one warms up
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times[1:]) * 1000, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--slots", type=int, default=1500)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    began = time.perf_counter()
    filler = load_filler(EngineSettings(threads=args.threads), lambda *_: None)
    found: dict[str, object] = {"load_s": round(time.perf_counter() - began, 2)}
    found["memory_mb_loaded"] = memory_mb()
    text = SOURCE.read_text()
    for cut in range(3000, 4500, 100):
        filler.fill(
            FillRequest(text[:cut], text[cut + 200 : cut + 3000], path="filler.py", max_tokens=16),
            deadline=Deadline.after_ms(None),
            stop=StopToken(),
        )
    found["memory_mb_after_15_fills"] = memory_mb()
    filler.rest()
    found["memory_mb_at_rest"] = memory_mb()
    import torch  # noqa: PLC0415  (late, as in the engine: its import is part of loading)

    decoder = filler._decoder
    cache = decoder.new_cache()
    for start in range(0, args.slots, 50):
        decoder.forward(torch.randint(0, 40000, (50,)), cache, start)
    block, head = {}, {}
    for rows in args.rows:
        ids = torch.randint(0, 40000, (rows,))

        def forward(ids: torch.Tensor = ids) -> torch.Tensor:
            return decoder.forward(ids, cache, args.slots, open_rows=len(ids))

        hidden = forward()
        block[rows] = median_ms(forward, args.runs)
        head[rows] = median_ms(lambda hidden=hidden: decoder.logits(hidden), args.runs)
    found |= {"slots": args.slots, "forward_ms_by_rows": block, "head_ms_by_rows": head}
    result = {**machine.describe(), "threads": args.threads, **found}
    print(json.dumps(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
