"""``midfill train chain``: train what a checkpoint's guesses say of one another.

Only forwards may get fewer, no answer changes: what is guessed is verified. One process:
``midfill train chain …``; several GPUs:
``torchrun --nproc-per-node 2 -m midfill_train.commands.chain …``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from midfill_train.commands.run import positive
from midfill_train.data.marks import read_marks
from midfill_train.data.pack import Mixture
from midfill_train.learn.chain import Run, fit
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.start import Feed, feed
from midfill_train.learn.workers import Workers
from midfill_train.model import files
from midfill_train.model.chain import Chain, save_chain


def main(argv: Sequence[str]) -> int:
    """Train, and write the chain into the checkpoint's folder."""
    args = _parser().parse_args(argv)
    workers = Workers.join()
    mixture = Mixture(exercises=args.exercises, exercised=args.exercised)
    shape = Feed(args.rows, args.length, args.loaders, args.seed, mixture)
    batches = feed(args.checkpoint, args.corpus, shape, workers)
    network = files.load(args.checkpoint).to(workers.device)
    torch.manual_seed(args.seed)  # the same beginning in all processes
    chain = Chain(network.shape.hidden, args.rank).to(workers.device)
    run = Run(Schedule(args.rate), args.minutes * 60, args.steps, args.chunk, args.log_every)
    mask = read_marks(args.checkpoint).mask
    fit(network, chain, batches, run, workers, mask=mask, say=lambda s: print(s, flush=True))
    if workers.leads:
        save_chain(chain, args.checkpoint)
    workers.leave()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train chain", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, help="Midfill checkpoint or adapter")
    add("--corpus", required=True, type=Path, help="the train part of a corpus")
    add("--exercises", type=Path, help="a second corpus, as for `run`")
    add("--exercised", type=float, default=0.5, help="share of the cuts that are drawn from it")
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--minutes", type=float, default=0.0, help="end after so many minutes")
    until.add_argument("--steps", type=int, default=0, help="end after so many steps")
    add("--rank", type=positive, default=256, help="width of the network that is trained")
    add("--rate", type=float, default=1e-3, help="peak learning rate")
    add("--rows", type=int, default=14, help="packed rows a step and process")
    add("--length", type=int, default=4096, help="positions a row")
    add("--chunk", type=int, default=8192, help="rows of logits at a time")
    add("--loaders", type=int, default=2, help="processes that draw batches, a GPU")
    add("--log-every", type=int, default=50)
    add("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
