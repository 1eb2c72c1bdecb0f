"""What masks behind the places of a draft save: forwards, time, and no token changed.

    python benchmarks/branches.py [--cuts 80] [--data HumanEval-....jsonl.gz] [--device cuda] \
        --out results.json

Held-out cuts, or the tasks of an infilling file, are filled over a context that was read before:
without such masks, with as many as the costs of this machine make worth while, and with masks
behind every place, as where rows cost nothing: all that the device runs well in one forward.
The ways follow one another in turns on each task.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import cores  # noqa: F401
import machine
from report import tell

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill import governor
from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Fill, FillRequest
from midfill_train.evaluate import cuts_file

sys.path.insert(0, str(Path(__file__).parent / "quality"))

import infilling

HELD_OUT = Path(__file__).parent / "quality/heldout.jsonl.gz"
WAYS = ("without", "chosen", "everywhere")


def tasks(data: Path | None, count: int) -> list[tuple[str, str]]:
    """Prefix and suffix of ``count`` tasks, evenly from all."""
    if data is None:
        found = [(cut.prefix, cut.suffix) for cut in cuts_file.sample(HELD_OUT, 0)]
    else:
        found = [(task.prefix, task.suffix) for task in infilling.tasks(data)]
    return found[:: max(1, len(found) // count)][:count]


def everywhere(_costs: object, draft: list[float], rows: int, device: str) -> list[int]:
    # More would run without a captured graph on a GPU, and spoil what is known of costs.
    most = 1000 if device == "cpu" else governor.MOST_ROWS[device]
    return list(range(len(draft)))[: max(most - rows, 0) // governor.BRANCH]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--strategy", default="balanced")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--cuts", type=int, default=80)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    filler = Filler.load(EngineSettings(model=args.model, device=args.device))
    decoder = type(filler._decoder)  # on a GPU one that replays captured graphs
    counts = {way: Counter[str]() for way in WAYS}
    ms: dict[str, list[float]] = {way: [] for way in WAYS}
    differing = 0

    def fill(prefix: str, suffix: str, way: str) -> Fill:
        request = FillRequest(prefix, suffix, max_tokens=128, strategy=args.strategy, session="s")
        filler._sessions.get("s").middle = []  # no way has the answer of another as its draft
        choose = everywhere if way == "everywhere" else governor.branches
        with (
            patch.object(decoder, "branching", way != "without"),
            patch("midfill_engine.fill.causal.branches", choose),
        ):
            return filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())

    for number, (prefix, suffix) in enumerate(tasks(args.data, args.cuts)):
        fill(prefix, suffix, "chosen")  # reads the context
        texts = set()
        for turn in range(len(WAYS)):
            way = WAYS[(number + turn) % len(WAYS)]
            answer = fill(prefix, suffix, way)
            texts.add(answer.text)
            ms[way].append(answer.total_ms)
            counts[way]["forwards"] += answer.nfe
            counts[way]["tokens"] += answer.completion_tokens
        differing += len(texts) > 1
    ratios = {way: [a / b for a, b in zip(ms[way], ms["without"], strict=True)] for way in WAYS[1:]}
    report = {
        **machine.describe(),
        "model": filler.info.name,
        "device": filler.info.device,
        "precision": filler.info.precision,
        "strategy": args.strategy,
        "tasks": len(ms["without"]),
        "data": args.data.name if args.data else HELD_OUT.name,
        "texts_that_differ": differing,
        "forward_and_row_ms": filler._costs.line(),
        "ways": {
            way: {
                **counts[way],
                "tokens_per_forward": round(counts[way]["tokens"] / counts[way]["forwards"], 3),
                "ms": round(sum(ms[way])),
            }
            for way in WAYS
        },
        "time_against_without": {
            way: {
                "of_sums": round(sum(ms[way]) / sum(ms["without"]), 3),
                "quartiles": [round(q, 3) for q in statistics.quantiles(of_way, n=4)],
            }
            for way, of_way in ratios.items()
        },
    }
    tell(report, args.out)


if __name__ == "__main__":
    main()
