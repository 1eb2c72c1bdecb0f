"""``midfill train eval``: measure a checkpoint on held-out code."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from midfill_train.evaluate import cuts_file
from midfill_train.evaluate.decode import Reading
from midfill_train.evaluate.measure import Measured, table

READINGS = ("causal", "diffusion:0.9", "diffusion:0.7", "speculative")
_SHOWN = (
    "exact",
    "similar",
    "runs_away",
    "blank",
    "echoes",
    "parses",
    "duplicates_closer",
    "unbalances",
    "forwards",
    "tokens_per_forward",
)


def main(argv: Sequence[str]) -> int:
    """Print figures of each reading, and write all of them with ``--out``."""
    parser = argparse.ArgumentParser(prog="midfill train eval", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path)
    add("--cuts", required=True, type=Path, help="file of cuts (JSON lines)")
    add(
        "--reading",
        action="append",
        help="causal, speculative, diffusion:THRESHOLD[:WIDTH]; "
        f"repeatable (default: {' '.join(READINGS)})",
    )
    add("--near", type=int, default=0, help="newlines of the suffix that stand beside the block")
    add("--first", type=int, default=0, help="measure on so many cuts only, evenly taken")
    add("--batch", type=int, default=128)
    add("--out", type=Path, help="file for all figures (JSON)")
    add("--answers", type=Path, help="file for the answers themselves (JSON lines)")
    args = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cuts = cuts_file.read(args.cuts)
    if args.first:
        cuts = cuts[:: max(1, len(cuts) // args.first)][: args.first]
    measured = Measured(args.checkpoint, device, near=args.near)
    tables, lines = {}, []
    for name in args.reading or READINGS:
        began = time.monotonic()
        answers = measured.answer(cuts, Reading.parse(name), args.batch)
        tables[name] = table(cuts, answers)
        shown = " ".join(f"{key} {tables[name]['all'][key]:.4f}" for key in _SHOWN)
        print(f"{name}: {len(cuts)} cuts, {time.monotonic() - began:.0f} s, {shown}", flush=True)
        lines += [
            json.dumps(
                {"reading": name, "answer": a.answer, "ended": a.ended, "forwards": a.forwards}
            )
            for a in answers
        ]
        if args.out:
            args.out.write_text(json.dumps(tables, indent=1) + "\n")
    if args.answers:
        args.answers.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
