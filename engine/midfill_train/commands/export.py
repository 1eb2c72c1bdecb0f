"""``midfill train export``: a checkpoint in another precision."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from midfill_train.model import files


def main(argv: Sequence[str]) -> int:
    """Write a checkpoint folder with its configuration, tokenizer, notices and checksums."""
    parser = argparse.ArgumentParser(prog="midfill train export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", choices=("int4", "int8", "bf16"), default="int4")
    args = parser.parse_args(argv)
    network = files.load(args.checkpoint)
    files.save(network, args.out, like=args.checkpoint, precision=args.precision)
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {args.precision}, {size / 1e6:.0f} MB")
    return 0
