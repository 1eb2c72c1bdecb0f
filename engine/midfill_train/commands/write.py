"""``midfill train write``: a chat model writes exercises, as source files in a folder.

`midfill train corpus` makes a corpus of them, and keeps benchmarks out of it. Code that the model
wrote is run, in child processes with limits, which is no sandbox. Several GPUs: one process each,
with another ``--seed`` and ``--out``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import torch
from tokenizers import Tokenizer

from midfill_engine.errors import UnsupportedArchitecture
from midfill_engine.wire import MidfillError
from midfill_train.commands.run import positive
from midfill_train.convert import base
from midfill_train.written import ask
from midfill_train.written.sample import Sampler
from midfill_train.written.tidy import brief, restyled, tidy

#: Where a text ends: its fence, or the answer's end.
_STOP = ("```", "<|im_end|>", "<|endoftext|>")
#: How files are called.
_ENDINGS = {"python": "py", "typescript": "ts", "javascript": "js", "rust": "rs"}
#: Of the Python files, how many write their examples in another way than doctests.
_RESTYLED = 0.3
#: How many of those are kept that are solved in one line: a small model writes them most often.
_BRIEF = 0.25


def main(argv: Sequence[str]) -> int:
    """Ask until the time is over, and write what is worth keeping into ``--out``."""
    args = _parser().parse_args(argv)
    began, rng = time.monotonic(), random.Random(f"write {args.seed}")
    names = ask.function_names(args.corpus) if args.corpus else []
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.iterdir()):
        raise MidfillError(
            f"{args.out} holds files already.", "Give a folder that is empty or new."
        )
    with ProcessPoolExecutor(args.processes) as pool:
        pool.submit(int).result()  # its processes start before this one touches a GPU
        sampler = _sampler(args)
        waiting: list[tuple[str, Future[str | None]]] = []
        while not waiting or time.monotonic() - began < args.minutes * 60:
            asked = [ask.draw(rng, names) for _ in range(args.batch)]
            texts = sampler.answer([one.prompt for one in asked])
            for one, text in zip(asked, texts, strict=True):
                waiting.append((one.language, pool.submit(tidy, text, one.language)))
            print(f"{len(waiting)} texts, {time.monotonic() - began:.0f}s", flush=True)
        kept = _keep(args.out, rng, waiting)
    print(f"{kept} of {len(waiting)} texts kept")
    return 0


def _keep(folder: Path, rng: random.Random, found: list[tuple[str, Future[str | None]]]) -> int:
    """Write each text once, under the name of what it defines."""
    known: set[str] = set()
    count = 0
    for language, future in found:
        text = future.result()
        if text is None or text in known:
            continue
        known.add(text)
        if language == "python":
            if brief(text) and rng.random() >= _BRIEF:
                continue
            if rng.random() < _RESTYLED:
                text = restyled(text, rng) or text
        ending = _ENDINGS.get(language, language)
        count += 1
        place = folder / f"{count:06}" / f"{_name(text)}.{ending}"
        place.parent.mkdir()
        place.write_text(text)
    return count


def _name(text: str) -> str:
    """What the first definition is called, if that can be seen."""
    for line in text.split("\n"):
        words = line.split("(")[0].split()
        if words and words[0] in {"def", "class", "func", "fn", "function", "export", "pub"}:
            return "".join(c for c in words[-1] if c.isalnum() or c == "_")[:40] or "main"
    return "main"


def _sampler(args: argparse.Namespace) -> Sampler:
    found = base.read(args.model)
    if found.config["model_type"] != "qwen2":
        raise UnsupportedArchitecture(
            "Questions are written in Qwen's chat format.", "Give a chat model of the Qwen2 family."
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = Tokenizer.from_str(json.dumps(found.tokenizer))
    return Sampler(
        found.config,
        found.tensors,
        tokenizer,
        device,
        stop=_STOP,
        longest=args.tokens,
        temperature=args.temperature,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midfill train write", description=__doc__)
    add = parser.add_argument
    add("--model", required=True, type=Path, help="chat model: a Qwen2 folder or GGUF file")
    add("--corpus", type=Path, help="corpus whose functions' names are used for some exercises")
    add("--out", required=True, type=Path, help="folder for the files")
    add("--minutes", type=float, default=5.0, help="end after so many minutes")
    add("--batch", type=positive, default=768, help="texts at a time")
    add("--tokens", type=positive, default=400, help="tokens a text; longer ones are dropped")
    add("--temperature", type=float, default=0.8)
    add("--processes", type=positive, default=4, help="processes that look through the texts")
    add("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
