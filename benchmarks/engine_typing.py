"""Type through real files, asking the engine after each key: what a warm keystroke costs.

    python benchmarks/engine_typing.py [--model NAME] [--device cpu|cuda] [--strategy balanced ...]

For each file some places are chosen by a seed; at each, ten characters that really stand there are
typed one by one into a context of some 1.5k tokens, and the engine is asked after each. The first
request of a place is cold, the others are warm. Exact: the middle begins with what really follows
on the line. Times are the engine's own (prefill, denoising; no transport).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import cores  # noqa: F401
import torch
from typing_places import Place, percentile, places

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Fill, FillRequest


def type_at(
    filler: Filler, place: Place, *, chars: int, max_tokens: int, strategy: str
) -> Iterator[tuple[Fill, str]]:
    """Fills for each key typed at ``place``, each with what really follows on the line."""
    for stroke in place.keystrokes(chars):
        request = FillRequest(
            prefix=stroke.prefix,
            suffix=stroke.suffix,
            path=place.file,
            session=place.name,
            max_tokens=max_tokens,
            strategy=strategy,
        )
        fill = filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())
        yield fill, stroke.rest
    filler.forget(place.name)


def report(fills: list[tuple[Fill, str]]) -> dict[str, object]:
    times = [fill.total_ms for fill, _ in fills]
    return {
        "requests": len(fills),
        "p50_ms": round(percentile(times, 0.5), 2),
        "p95_ms": round(percentile(times, 0.95), 2),
        "prefill_p50_ms": round(percentile([fill.prefill_ms for fill, _ in fills], 0.5), 2),
        "nfe": round(statistics.mean(fill.nfe for fill, _ in fills), 2),
        "tokens": round(statistics.mean(fill.completion_tokens for fill, _ in fills), 2),
        "prompt_tokens": round(statistics.mean(fill.prompt_tokens for fill, _ in fills)),
        "read_again": round(
            statistics.mean(fill.prompt_tokens - fill.cached_tokens for fill, _ in fills), 1
        ),
        "exact": round(
            statistics.mean(fill.text.split("\n")[0].rstrip() == rest for fill, rest in fills), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--strategy", nargs="+", default=["balanced"])
    parser.add_argument("--places", type=int, default=5, help="per file")
    parser.add_argument("--context", type=int, default=1500, help="tokens, roughly")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings = EngineSettings(model=args.model, device=args.device, precision=args.precision)
    filler = Filler.load(settings)
    result: dict[str, object] = {
        "model": filler.info.to_dict(),
        "torch": torch.__version__,
        "max_tokens": args.max_tokens,
    }
    chars = args.context * 4
    for strategy in args.strategy:
        cold: list[tuple[Fill, str]] = []
        warm: list[tuple[Fill, str]] = []
        for place in places(args.places, chars):
            first, *rest = type_at(
                filler, place, chars=chars, max_tokens=args.max_tokens, strategy=strategy
            )
            cold.append(first)
            warm += rest
        result[strategy] = {"cold": report(cold), "warm": report(warm)}
        print(strategy, json.dumps(result[strategy]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
