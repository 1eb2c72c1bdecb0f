"""From the moment that a request is superseded until the device is free.

    python benchmarks/cancel.py [--times 40] [--out FILE]

Requests are stopped after a random while: some while they read a context that is new, some while
they write behind one that was read. What they take until they return is set beside what the usual
forwards cost. Prints one JSON object; milliseconds.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from pathlib import Path

import cores  # noqa: F401
import machine
from report import tell
from typing_places import percentile

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import FillRequest

SOURCE = Path(__file__).parent.parent / "engine/midfill_engine/fill/filler.py"


def freed_ms(filler: Filler, session: str, cut: int, after_s: float) -> float | None:
    """How long a request runs on that is stopped ``after_s``; ``None`` if it was over by then."""
    text, stop, stopped = SOURCE.read_text(), StopToken(), 0.0

    def stop_it() -> None:
        nonlocal stopped
        stopped = time.perf_counter()
        stop.stop("superseded")

    timer = threading.Timer(after_s, stop_it)
    timer.start()
    request = FillRequest(text[:cut], text[cut + 100 : cut + 3000], session=session, max_tokens=64)
    fill = filler.fill(request, deadline=Deadline.after_ms(None), stop=stop)
    end = time.perf_counter()
    timer.join()
    return (end - stopped) * 1000 if fill.finish_reason == "superseded" else None


def told(times: list[float]) -> dict[str, float]:
    shares = {f"p{n}_ms": round(percentile(times, n / 100), 1) for n in (50, 90, 99)}
    return {"requests": len(times), **shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    filler = Filler.load(EngineSettings(model=args.model, device=args.device))
    rng = random.Random(1)
    reading = [
        freed_ms(filler, f"new {n}", 3000 + 150 * n, rng.uniform(0.1, 1.2))
        for n in range(args.times)
    ]
    writing = [
        freed_ms(filler, "read", 4000 + 10 * n, rng.uniform(0.02, 0.3)) for n in range(args.times)
    ]
    report = {
        **machine.describe(),
        "model": filler.info.name,
        "device": filler.info.device,
        "precision": filler.info.precision,
        "reading": told([ms for ms in reading if ms is not None]),
        "writing": told([ms for ms in writing if ms is not None]),
        "forward_ms_by_rows": {  # as far as these requests showed it
            rows: round(ms, 1)
            for rows in (8, 16, 28, 64)
            if (ms := filler._costs.expected(rows, "open"))
        },
    }
    tell(report, args.out)


if __name__ == "__main__":
    main()
