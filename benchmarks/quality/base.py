r"""The base model on the held-out cuts, asked as it was taught: its own FIM prompt, by llama.cpp.

    python benchmarks/quality/base.py --gguf FILE --server llama-server --first 300 --out FILE

Whole answers, and their first lines alone, since the base hardly ever ends by itself. Greedy. For
the peer's server see `benchmarks/llama_cpp.py`; for the same cuts through Midfill, `heldout.py`
with the same ``--first``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from served import Server

from midfill_train.evaluate import cuts_file
from midfill_train.evaluate.cuts_file import HeldOut
from midfill_train.evaluate.measure import table
from midfill_train.evaluate.score import Scored

CUTS = Path(__file__).with_name("heldout.jsonl.gz")


def answer(server: Server, cut: HeldOut, max_tokens: int) -> Scored:
    """What the base writes into ``cut``; one forward a token."""
    said = server.post(
        "/completion",
        {
            "prompt": f"<|fim_prefix|>{cut.prefix}<|fim_suffix|>{cut.suffix}<|fim_middle|>",
            "n_predict": max_tokens,
            "temperature": 0,
            "cache_prompt": False,
        },
    )
    ended, tokens = said["stop_type"] == "eos", said["tokens_predicted"]
    text, tokens = said["content"], tokens - ended
    place = (cut.prefix, cut.middle, cut.suffix)
    return Scored(*place, text, tokens, tokens, 0, ended, cut.language)


def first_line(whole: Scored) -> Scored:
    """The answer up to its first newline, as clients cut it that want a line."""
    line, newline, _ = whole.answer.partition("\n")
    return replace(whole, answer=line, ended=bool(newline) or whole.ended)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--gguf", type=Path, required=True)
    add("--server", default="llama-server")
    add("--cuts", type=Path, default=CUTS)
    add("--first", type=int, default=0, help="so many cuts only, evenly taken")
    add("--max-tokens", type=int, default=128)
    add("--threads", type=int, default=2)
    add("--out", type=Path)
    args = parser.parse_args()
    cuts = cuts_file.sample(args.cuts, args.first)
    command = [args.server, "-m", str(args.gguf), "-t", str(args.threads), "-c", "4096", "-np", "1"]
    with closing(Server(command)) as server:
        whole = [answer(server, cut, args.max_tokens) for cut in cuts]
    tables = {
        "whole": table(cuts, whole),
        "first_line": table(cuts, [first_line(row) for row in whole]),
    }
    for name, rows in tables.items():
        print(name, len(cuts), " ".join(f"{k} {v:.4g}" for k, v in rows["all"].items()))
    if args.out:
        model = hashlib.sha256(args.gguf.read_bytes()).hexdigest()
        args.out.write_text(json.dumps({"base": model, **tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
