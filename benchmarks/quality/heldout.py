r"""The held-out cuts through the engine, as editors ask it: one request a cut and strategy.

    python benchmarks/quality/heldout.py --model models/midfill-0.5b-v8 \
        --strategy autoregressive --strategy balanced --strategy fast --out results.json

`midfill train eval` measures the weights, in batches and without the engine. This measures what a
request gets: the engine's layout, precision and decoding, one request at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from midfill_engine.settings import EngineSettings, share_cores

share_cores()  # before PyTorch is imported

from midfill_engine.deadline import Deadline, StopToken  # noqa: E402
from midfill_engine.fill.filler import Filler  # noqa: E402
from midfill_engine.wire import Fill, FillRequest  # noqa: E402
from midfill_train.evaluate import cuts_file  # noqa: E402
from midfill_train.evaluate.cuts_file import HeldOut  # noqa: E402
from midfill_train.evaluate.measure import table  # noqa: E402
from midfill_train.evaluate.score import Scored  # noqa: E402

CUTS = Path(__file__).with_name("heldout.jsonl.gz")


def scored(cut: HeldOut, fill: Fill) -> Scored:
    reason = fill.middles[0].finish_reason if fill.middles else ""
    ended, tokens = reason in {"end", "stop"}, fill.completion_tokens - (reason == "end")
    place = (cut.prefix, cut.middle, cut.suffix)
    return Scored(*place, fill.text, tokens, fill.nfe, 0, ended, cut.language)


def answer(filler: Filler, cut: HeldOut, strategy: str, max_tokens: int) -> tuple[Scored, float]:
    """The scored answer and its denoising time in ms.

    Each strategy has a session of its own: an earlier middle would serve it as a draft.
    """
    request = FillRequest(
        cut.prefix,
        cut.suffix,
        path=cut.path,
        session=strategy,
        strategy=strategy,
        max_tokens=max_tokens,
    )
    fill = filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())
    return scored(cut, fill), fill.denoise_ms


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--model", default=EngineSettings().model)
    add("--cuts", type=Path, default=CUTS)
    add("--strategy", action="append", required=True, help="repeatable")
    add("--max-tokens", type=int, default=128)
    add("--device", default="auto")
    add("--in-place", action="store_true", help="nothing is missing: the true middle stands there")
    add("--first", type=int, default=0, help="so many cuts only, evenly taken")
    add("--minutes", type=float, default=0, help="end after so many, with what is done")
    add("--out", type=Path)
    args = parser.parse_args()
    cuts = cuts_file.sample(args.cuts, args.first)
    if args.in_place:
        cuts = [replace(cut, prefix=cut.prefix + cut.middle, middle="") for cut in cuts]
    filler = Filler.load(EngineSettings(model=args.model, device=args.device))
    began = time.monotonic()
    found: dict[str, list[tuple[Scored, float]]] = {name: [] for name in args.strategy}
    for done, cut in enumerate(cuts):
        if args.minutes and time.monotonic() - began > args.minutes * 60:
            cuts = cuts[:done]
            break
        for name, rows in found.items():
            rows.append(answer(filler, cut, name, args.max_tokens))
    tables = {}
    for name, rows in found.items():
        tables[name] = table(cuts, [row for row, _ in rows])
        every = tables[name]["all"]
        every["denoise_ms"] = round(sum(ms for _, ms in rows) / len(rows), 2)
        shown = ("exact", "similar", "runs_away", "blank", "echoes", "parses", "tokens")
        shown = (*shown, "duplicates_closer", "unbalances", "forwards", "denoise_ms")
        print(name, len(rows), " ".join(f"{key} {every[key]:.4g}" for key in shown), flush=True)
    if args.out:
        info = {"device": filler.info.device, "precision": filler.info.precision}
        args.out.write_text(json.dumps({**info, **tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
