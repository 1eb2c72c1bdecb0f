"""``midfill train run``: train a checkpoint on a corpus.

One process: ``midfill train run …``; several GPUs:
``torchrun --nproc-per-node 2 -m midfill_train.commands.run …``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from midfill_engine.models.locate import base_of
from midfill_engine.wire import MidfillError
from midfill_train.data.marks import Marks, read_marks
from midfill_train.data.noise import MIN_WIDTH
from midfill_train.data.pack import BLOCK, MAX_CONTEXT, MAX_MIDDLE, Mixture
from midfill_train.learn.loop import Run
from midfill_train.learn.risk import RISK
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.start import Adapters, Feed, start
from midfill_train.learn.workers import Workers
from midfill_train.model import files

#: Share of the run that the last part, with rounded weights, follows.
ROUNDING = 0.7


def main(argv: Sequence[str]) -> int:
    """Train, and write exports into ``--out``: adapters, or all weights in int4."""
    args = _parser().parse_args(argv)
    if args.further:
        args.rank = files.rank_of(args.checkpoint)
        if not args.rank:
            raise MidfillError(f"{args.checkpoint} is no adapter.", "Train one: --rank 32.")
    rounding = (1.0 if args.rank else ROUNDING) if args.rounding is None else args.rounding
    mixture = Mixture(tuple(args.answers), args.answered, args.exercises, args.exercised)
    workers = Workers.join()
    state = args.out / "state.pt"
    trainer, source = start(
        args.checkpoint,
        args.corpus,
        Run(
            Schedule(args.rate, rounding=rounding),
            seconds=args.minutes * 60,
            steps=args.steps,
            chunk=args.chunk,
            risk=args.risk,
            log_every=args.log_every,
            save_at=tuple(args.save_at),
        ),
        Feed(args.rows, args.length, args.loaders, args.seed, mixture),
        workers,
        adapters=Adapters(args.rank, args.alpha or 2 * args.rank, args.further)
        if args.rank
        else None,
        state=state if args.resume else None,
    )
    marks = read_marks(args.checkpoint)

    def save(name: str) -> None:
        if not workers.leads:
            return
        folder = args.out / name
        if args.rank:
            base = base_of(args.checkpoint) if args.further else args.checkpoint
            files.save_adapter(trainer.network, folder, base=base)
        else:
            files.save(trainer.network, folder, like=args.checkpoint, diffusion=trained(marks))
        if args.resume:
            trainer.save_state(state)
        print(f"saved {folder}", flush=True)

    trainer.fit(source, on_save=save, say=lambda line: print(line, flush=True))
    workers.leave()
    return 0


def trained(marks: Marks) -> dict[str, object]:
    """What ``config.json`` says of the layout that this training used."""
    return {
        "near_token_id": marks.near,
        "middle_token_id": marks.middle,
        "trained_segments": ["snippets", "far_suffix", "path", "prefix", "near_suffix"],
        "trained_block_widths": list(range(MIN_WIDTH, BLOCK + 1)),
        "token_editing": True,
        "trained_context_tokens": MAX_CONTEXT,
        "trained_middle_tokens": MAX_MIDDLE,
        "layout": "[<|file_sep|> other-path \\n text]* <|fim_suffix|> S_far <|fim_prefix|> "
        "[<|file_sep|> path \\n] P [<|fim_suffix|> S_near <|fim_middle|>] then blocks of 4 to 32: "
        "the first token of a block from the causal row before it, the rest <|fim_pad|> masks "
        "predicting their own position; the middle ends with <|endoftext|>. S_near (to the first, "
        "second ... tenth newline of the suffix) was there in most of the training; without it "
        "the whole suffix is S_far",
    }


def positive(text: str) -> int:
    """A whole number above zero, for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it has to be 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train run", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, help="Midfill checkpoint to go on from")
    add(
        "--corpus",
        required=True,
        type=Path,
        help="folder that `midfill train corpus` wrote: its train part",
    )
    add(
        "--exercises",
        type=Path,
        help="a second corpus, of solutions behind their statements (`midfill train write`)",
    )
    add("--exercised", type=float, default=0.5, help="their share of the cuts without answers")
    add(
        "--answers",
        type=Path,
        nargs="*",
        default=[],
        help="folders that `midfill train answers` wrote: the better of its answers are preferred",
    )
    add("--answered", type=float, default=0.6, help="share of the cuts that have answers")
    add("--risk", type=float, default=RISK, help="weight of what its answers cost, beside the loss")
    add("--out", required=True, type=Path, help="folder for the exports")
    add("--minutes", type=float, default=0.0, help="end after so many minutes")
    add("--steps", type=int, default=0, help="end after so many steps")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--rank", type=positive, help="train adapters of this rank instead of all weights"
    )
    how.add_argument(
        "--further",
        action="store_true",
        help="train the adapter that the checkpoint is, instead of one beside it",
    )
    add("--alpha", type=float, help="adapters count alpha / rank (default: twice the rank)")
    add("--rate", type=float, default=6e-5, help="peak learning rate")
    add(
        "--rounding",
        type=float,
        help="share of the run after which weights are rounded to int4 in the forward pass "
        f"(default: {ROUNDING}; adapters are not rounded)",
    )
    add("--rows", type=int, default=14, help="packed rows a step and process")
    add("--length", type=int, default=4096, help="positions a row")
    add("--chunk", type=int, default=8192, help="rows of logits at a time")
    add("--loaders", type=int, default=2, help="processes that draw batches, a GPU")
    add("--log-every", type=int, default=50)
    add(
        "--save-at",
        type=float,
        nargs="*",
        default=[0.5],
        help="shares of the run at which an export is written besides the last",
    )
    add("--resume", action="store_true", help="keep state in --out, and go on from it")
    add("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
