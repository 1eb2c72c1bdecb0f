"""What a forward costs on a CPU beside processes that never rest, by threads.

    [OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=3000] python benchmarks/beside.py [--out FILE]

Forwards of some rows over 1,500 slots, with all threads, with one, and with as many as the engine
takes (`device.cores.Threads`), beside none, one and two busy processes. Medians and means in
milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cores  # noqa: F401
import machine
from report import tell

from midfill_engine.device.cores import Threads
from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings

SLOTS, CHUNK = 1500, 50
ROWS = (1, 8, 16)
BUSY = [sys.executable, "-c", "while True: pass"]


def measured(forward: Callable[[], object], threads: Threads, seconds: float) -> dict[str, float]:
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        threads.share()
        began = time.perf_counter()
        forward()
        times.append((time.perf_counter() - began) * 1000)
    return {"median": round(statistics.median(times), 1), "mean": round(statistics.mean(times), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    filler = Filler.load(EngineSettings(model=args.model, device="cpu"))
    import torch  # noqa: PLC0415  (late, as in the engine)

    decoder, most = filler._decoder, torch.get_num_threads()
    cache = decoder.new_cache()
    for start in range(0, SLOTS, CHUNK):
        decoder.forward(torch.arange(CHUNK) + start, cache, start)

    def forward(rows: int) -> Callable[[], object]:
        ids = torch.arange(rows)
        return lambda: decoder.forward(ids, cache, SLOTS, open_rows=rows)

    found = {}
    for busy in (0, 1, 2):
        others = [subprocess.Popen(BUSY) for _ in range(busy)]
        try:
            for name, wanted in (("all", most), ("one", 1), ("shared", 0)):
                for rows in ROWS:
                    threads = Threads(wanted)
                    found[f"{busy} busy, {name}, {rows} rows"] = measured(
                        forward(rows), threads, args.seconds
                    )
        finally:
            for other in others:
                other.kill()
    wait = {key: os.environ[key] for key in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    report = {**machine.describe(), **wait, "model": filler.info.name, "threads": most, "ms": found}
    tell(report, args.out)


if __name__ == "__main__":
    main()
