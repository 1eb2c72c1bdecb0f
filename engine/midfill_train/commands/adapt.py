"""``midfill train adapt``: fit a checkpoint to your own code, from a folder to a checkpoint.

One command for the steps `corpus`, `run` and `export`. By default a low-rank adapter is trained: a
small folder that works on top of the checkpoint that it began with, or is merged into its weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from midfill_engine.models.locate import base_of, locate
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import MidfillError
from midfill_train.commands.run import positive, trained
from midfill_train.corpus.build import build
from midfill_train.corpus.clean import LANGUAGES, MAX_BYTES, MIN_BYTES
from midfill_train.data.marks import read_marks
from midfill_train.learn.loop import Run, Trainer
from midfill_train.learn.memory import rows_that_fit
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.start import Adapters, Feed, start
from midfill_train.learn.workers import Workers
from midfill_train.model import files
from midfill_train.model.network import Shape

#: The default precision: what was trained stays beside its base.
ADAPTER = "adapter"
RANK, RATE, FULL_RATE = 16, 2e-4, 2e-5
EXIT_INTERRUPTED = 130
#: Positions a row, and rows of logits at a time: with and without a GPU.
GPU_SIZES, CPU_SIZES = (4096, 8192), (1024, 1024)
#: Shares of the run at which its state is kept.
_KEEP_AT = tuple(n / 10 for n in range(1, 10))


def main(argv: Sequence[str]) -> int:
    """Adapt, and write the checkpoint into ``--out``."""
    args = _parser().parse_args(argv)
    args.precision = args.precision or ("int8" if args.full else ADAPTER)
    base, out = locate(args.base), args.out.expanduser()
    work = out.with_name(f"{out.name}.part")
    marks = read_marks(base)
    if args.precision == ADAPTER and args.full:
        raise MidfillError("--full trains no adapter.", "Name another --precision.")
    _check_folders(args.files, out)
    workers = Workers.join()
    if workers.count > 1:
        workers.leave()
        raise MidfillError("`adapt` uses one GPU.", "For several, use the steps: see `run --help`.")
    feed, chunk = _sizes(args, base, workers.device)
    state = work / "state.pt"
    if not (args.resume and (work / "corpus" / "packages.json").exists()):  # it is written last
        _clear(work)
        _write_corpus(args.files, work / "corpus")
    trainer, source = start(
        base,
        work / "corpus" / "train",
        Run(
            Schedule(args.rate or (FULL_RATE if args.full else RATE), rounding=_rounding(args)),
            seconds=args.minutes * 60,
            steps=0 if args.minutes else args.steps,
            chunk=chunk,
            log_every=args.log_every,
            save_at=_KEEP_AT,
        ),
        feed,
        workers,
        adapters=None if args.full else Adapters(args.rank, args.alpha or 2 * args.rank),
        state=state,
    )
    _say(f"{_method(args)}, {feed.rows} rows of {feed.length} positions a step, {workers.device}")
    began = time.monotonic()
    try:
        trainer.fit(source, on_save=lambda _: trainer.save_state(state), say=_say)
    except KeyboardInterrupt:
        _say(f"Interrupted. The same command with --resume goes on from what {work} holds.")
        return EXIT_INTERRUPTED
    _say(f"trained {trainer.step} steps in {time.monotonic() - began:.0f} s")
    card = _card(base, args, trainer)
    texts = {"README.md": card}
    if args.precision == ADAPTER:
        files.save_adapter(trainer.network, out, base=base, texts=texts)
    else:
        files.save(
            trainer.network,
            out,
            like=base,
            precision=args.precision,
            diffusion=trained(marks),
            texts=texts,
        )
    shutil.rmtree(work)
    size = sum(path.stat().st_size for path in out.iterdir())
    _say(f"{out}: {args.precision}, {size / 1e6:.0f} MB. Try it: midfill engine --model {out}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _clear(work: Path) -> None:
    """Remove what an earlier run left, and nothing that is not of a run."""
    if work.exists() and not (work / "corpus").is_dir():
        raise MidfillError(f"{work} is in the way and of no run.", "Move it away.")
    shutil.rmtree(work, ignore_errors=True)


def _check_folders(folders: Sequence[Path], out: Path) -> None:
    for folder in folders:
        if not folder.expanduser().is_dir():
            raise MidfillError(f"{folder} is not a folder.", "--files takes folders of code.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MidfillError(f"{out} exists.", "Name another --out, or move it away.")


def _sizes(args: argparse.Namespace, base: Path, device: torch.device) -> tuple[Feed, int]:
    """The batches' size and the rows of logits at a time, by what the device has room for."""
    cuda = device.type == "cuda"
    if not cuda:
        _say("No GPU is used: PyTorch finds none. A CPU takes minutes for what a GPU does at once.")
    length, chunk = GPU_SIZES if cuda else CPU_SIZES
    length = args.length or length
    shape = Shape.from_config(json.loads((base_of(base) / "config.json").read_text()))
    rows = rows_that_fit(shape, device, length=length, chunk=chunk, full=args.full)
    return Feed(args.rows or rows, length, loaders=2 if cuda else 0, seed=args.seed), chunk


def _write_corpus(folders: Sequence[Path], out: Path) -> None:
    counts = build([f.expanduser() for f in folders], out, whole=True, held_out_files=0)["train"]
    if not counts:
        shutil.rmtree(out.parent)
        raise MidfillError(
            f"There is no code to learn from in {', '.join(map(str, folders))}.",
            f"Files count that end in {', '.join(f'.{ending}' for ending in LANGUAGES)}, have "
            f"{MIN_BYTES} to {MAX_BYTES:,} bytes, and are neither generated nor copies of others.",
        )
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    _say(f"learning from {counts.total()} files ({kinds})")


def _rounding(args: argparse.Namespace) -> float:
    """Finer precisions need no getting used to: their rounding is smaller than what is learned."""
    return 0.7 if args.precision == "int4" else 1.0


def _method(args: argparse.Namespace) -> str:
    return "all weights" if args.full else f"adapters of rank {args.rank}"


def _card(base: Path, args: argparse.Namespace, trainer: Trainer) -> str:
    return (
        f"# {args.out.name}\n\n{base.name}, changed: adapted to own code with `midfill train adapt`"
        f" ({_method(args)}, {trainer.step} steps).\nLICENSE and NOTICE are those of {base.name}.\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train adapt", description=__doc__)
    add = parser.add_argument
    add(
        "--from",
        dest="base",
        metavar="MODEL",
        default=EngineSettings().model,
        help="name of an installed model, or path of a Midfill checkpoint (default: %(default)s)",
    )
    add("--files", required=True, nargs="+", type=Path, help="folders of code to learn from")
    add("--out", required=True, type=Path, help="folder of the new checkpoint")
    add(
        "--precision",
        choices=(ADAPTER, "int8", "int4", "bf16"),
        help="an adapter beside its base (default), or a whole checkpoint with the adapters "
        "merged (default with --full: int8); for int4 the last 30 %% of the run trains through "
        "the rounding",
    )
    add("--full", action="store_true", help="train all weights instead of adapters")
    add("--rank", type=positive, default=RANK, help="of the adapters (default: %(default)s)")
    add("--alpha", type=float, help="adapters count alpha / rank (default: twice the rank)")
    add("--steps", type=positive, default=200, help="length of the run (default: %(default)s)")
    add("--minutes", type=float, default=0.0, help="end after so many minutes instead")
    add("--rate", type=float, help=f"peak learning rate (default: {RATE}, with --full {FULL_RATE})")
    add("--rows", type=positive, help="packed rows a step (default: what there is memory for)")
    add(
        "--length",
        type=positive,
        help=f"positions a row (default: {GPU_SIZES[0]}, without a GPU {CPU_SIZES[0]})",
    )
    add("--log-every", type=positive, default=10, help="steps between two lines of the log")
    add("--resume", action="store_true", help="go on with an interrupted run; same arguments")
    add("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
