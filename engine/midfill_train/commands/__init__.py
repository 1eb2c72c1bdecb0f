"""``midfill train``: from other people's models and code to a model that fills the middle.

Owns the table of steps; each is imported when it is called, and builds its own parser.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from midfill_engine.wire import MidfillError

STEPS = {
    "adapt": "fit a checkpoint to your own code, in one command",
    "convert": "an autoregressive checkpoint to a block-diffusion one, not yet trained",
    "corpus": "packages and folders to training text",
    "write": "exercises that a larger model writes, for `run` to learn from",
    "answers": "what a checkpoint answers to cuts of a corpus, for `run` to learn from",
    "run": "train a checkpoint on a corpus",
    "mean": "a checkpoint moved part of the way to another one",
    "chain": "what a checkpoint's guesses say of one another, for fewer forwards",
    "export": "a checkpoint in another precision",
    "eval": "measure a checkpoint on held-out code",
}


def main(argv: Sequence[str]) -> int:
    """Run one step and return its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: midfill train STEP [ARGUMENTS]\n")
        print("\n".join(f"  {name:<8} {help_}" for name, help_ in STEPS.items()))
        print("\n`midfill train STEP --help` says more.")
        return 0 if argv else 2
    if argv[0] not in STEPS:
        print(f"midfill train: unknown step {argv[0]!r}. Try --help.", file=sys.stderr)
        return 2
    module = importlib.import_module(f"midfill_train.commands.{argv[0]}")
    try:
        code: int = module.main(argv[1:])
    except (MidfillError, FileNotFoundError) as error:
        print(f"midfill train {argv[0]}: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
