"""``midfill train corpus``: packages and folders to training text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from midfill_train.corpus.build import build
from midfill_train.corpus.decontaminate import benchmark_texts


def main(argv: Sequence[str]) -> int:
    """Build a corpus and print what it holds."""
    parser = argparse.ArgumentParser(prog="midfill train corpus", description=__doc__)
    add = parser.add_argument
    add(
        "roots",
        nargs="+",
        type=Path,
        help="folders of packages (.whl, .tgz, .deb, Debian sources), or folders of code",
    )
    add("--out", required=True, type=Path)
    add(
        "--benchmark",
        action="append",
        default=[],
        type=Path,
        help="a file no text of which may be learned (.jsonl, .jsonl.gz or plain); repeatable",
    )
    add(
        "--patterns",
        type=Path,
        help="a file of regular expressions, one a line, no match of which may be learned",
    )
    add(
        "--whole",
        action="store_true",
        help="take each root as one folder of code, all of it: no archives, no limit a package",
    )
    add("--held-out-files", type=int, default=120, help="files a language kept for measuring")
    add(
        "--held-out",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package to keep for measuring in any case; repeatable",
    )
    add("--seed", type=int, default=0)
    add("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    counts = build(
        args.roots,
        args.out,
        benchmarks=[text for path in args.benchmark for text in benchmark_texts(path)],
        patterns=args.patterns.read_text().split("\n")[:-1] if args.patterns else (),
        held_out_files=args.held_out_files,
        held_out_packages=args.held_out,
        whole=args.whole,
        seed=args.seed,
        processes=args.processes,
        progress=_progress,
    )
    print(file=sys.stderr)
    for part, languages in counts.items():
        files = ", ".join(f"{name} {count}" for name, count in sorted(languages.items()))
        print(f"{part}: {languages.total()} files ({files})")
    return 0


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} packages", end="", file=sys.stderr, flush=True)
