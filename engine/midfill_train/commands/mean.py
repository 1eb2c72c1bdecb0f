"""``midfill train mean``: a checkpoint moved part of the way to another one, without training.

What a model could do before it was trained comes back, and little of what it learned is lost:
"Robust fine-tuning of zero-shot models", Wortsman et al. 2022, arXiv:2109.01903.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from midfill_engine.errors import CheckpointError
from midfill_engine.models.checkpoint import TOKENIZER_FILE
from midfill_engine.models.configuration import CONFIG_FILE, read_json
from midfill_engine.models.locate import base_of, is_adapter
from midfill_train.convert import base as bases
from midfill_train.convert.vocabulary import rows_for
from midfill_train.model import files
from midfill_train.model.network import Network


def main(argv: Sequence[str]) -> int:
    """Write a checkpoint folder; of an adapter and the model that it adapts, an adapter."""
    args = _parser().parse_args(argv)
    if is_adapter(args.checkpoint) and base_of(args.checkpoint).resolve() == args.other.resolve():
        files.scale_adapter(args.checkpoint, args.out, 1 - args.share)
    else:
        network = files.load(args.checkpoint)
        _move(network, args)
        files.save(network, args.out, like=args.checkpoint, precision=args.precision)
    print(f"{args.out}: {args.checkpoint} and {args.share:.0%} of {args.other}")
    return 0


@torch.no_grad()
def _move(network: Network, args: argparse.Namespace) -> None:
    try:
        pairs = zip(network.parameters(), _other(args, network).parameters(), strict=True)
        for one, other in pairs:
            one.lerp_(other, args.share)
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{args.checkpoint} and {args.other} are models of different shapes.",
            "Take two of one model, or what the first was converted from.",
        ) from error


def _other(args: argparse.Namespace, network: Network) -> Network:
    """The other one, with the vocabulary of ``network``."""
    if _fills(args.other):
        return files.load(args.other)
    base = bases.read(args.other)
    pruned = base_of(args.checkpoint) / TOKENIZER_FILE
    rows = base.tensors[files.EMBEDDING], network.embedding.weight.detach()
    other = Network(network.shape)
    tensors = {**base.tensors, files.EMBEDDING: rows_for(pruned, base.tokenizer, *rows)}
    files.fill(other, tensors)
    return other


def _fills(path: Path) -> bool:
    """Whether ``path`` is a checkpoint of Midfill's, with its marks and vocabulary."""
    config = path / CONFIG_FILE
    return is_adapter(path) or (config.is_file() and "diffusion" in read_json(config))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train mean", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, help="Midfill checkpoint or adapter")
    add(
        "other",
        type=Path,
        help="the same, or what it was converted from: a Hugging Face folder, or .gguf",
    )
    add("out", type=Path)
    add("--share", type=_share, default=0.5, help="of the other one, from 0 to 1")
    add("--precision", choices=("int4", "int8", "bf16"), default="int4")
    return parser


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("it has to be from 0 to 1")
    return number
