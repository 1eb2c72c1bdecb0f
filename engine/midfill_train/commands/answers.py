"""``midfill train answers``: what a checkpoint answers to cuts of a corpus, and what it costs.

Several GPUs: one process each, with another ``--seed`` and ``--out``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from midfill_engine.wire import MidfillError
from midfill_train.answers import draw
from midfill_train.answers.branch import Branches
from midfill_train.answers.cost import graded
from midfill_train.answers.draw import DrawnCuts
from midfill_train.commands.run import positive
from midfill_train.data.answered import Answered, write
from midfill_train.evaluate.measure import Measured


def main(argv: Sequence[str]) -> int:
    """Answer cuts until the time is over or there are enough, and write them into ``--out``."""
    args = _parser().parse_args(argv)
    began = time.monotonic()
    cuts = DrawnCuts(
        args.corpus,
        args.checkpoint,
        longest=args.budget - 1,
        seed=args.seed,
        tested=args.tested,
    )
    grade = partial(graded, tested=args.tested)
    source = iter(DataLoader(cuts, batch_size=None, num_workers=args.loaders))
    found: list[Answered] = []
    waiting: list[Future[Answered]] = []
    with ProcessPoolExecutor(max(1, args.loaders)) as pool:
        pool.submit(int).result()  # its processes start before this one touches a GPU
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = Measured(args.checkpoint, device, budget=args.budget)
        branches, eom = Branches(model.decoder, args.ways), model.marks.eom
        for batch in draw.batches(source, args.batch):
            for drawn, answers in zip(
                batch, branches.answer([d.context for d in batch]), strict=True
            ):
                texts = [
                    (model.tokenizer.decode(ids, skip_special_tokens=True), ids[-1] == eom)
                    for ids in answers
                ]
                truth = [*drawn.middle, eom]
                waiting.append(pool.submit(grade, drawn, truth, answers, texts))
            seconds, count = time.monotonic() - began, len(found) + len(waiting)
            over = 0 < args.minutes * 60 < seconds or 0 < args.cuts <= count
            if over or len(waiting) >= draw.POOL:
                found += [future.result() for future in waiting]
                waiting.clear()
                print(f"{len(found)} cuts, {seconds:.0f}s", flush=True)
            if over:
                break
        found += [future.result() for future in waiting]
    if not found:
        raise MidfillError(
            f"{args.corpus} has no cuts to answer.",
            "Give a corpus of exercises with doctests." if args.tested else "Give a longer corpus.",
        )
    write(args.out, found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train answers", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, help="Midfill checkpoint that answers")
    add(
        "--corpus", required=True, type=Path, help="train part of what `midfill train corpus` wrote"
    )
    add(
        "--tested",
        action="store_true",
        help="cuts of Python exercises whose examples tell right answers from wrong ones: what "
        "passes costs little. Code that the model wrote is run, in child processes with limits, "
        "which is no sandbox",
    )
    add("--out", required=True, type=Path, help="folder for the answers")
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--minutes", type=float, default=0.0, help="end after so many minutes")
    until.add_argument("--cuts", type=int, default=0, help="end after so many cuts")
    add("--ways", type=positive, default=4, help="answers beside the greedy one")
    add("--budget", type=positive, default=40, help="tokens an answer; longer middles are left out")
    add("--batch", type=positive, default=256, help="cuts at a time")
    add("--loaders", type=int, default=4, help="processes that draw cuts, and that grade answers")
    add("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
