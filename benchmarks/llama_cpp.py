"""Midfill beside llama.cpp on the CPU: the same keystrokes in the same files, in one run.

    python benchmarks/llama_cpp.py --gguf FILE [--server llama-server] [--out FILE]

Both serve HTTP on this machine with the same threads and are asked in turn after each character;
times are the client's. The first request of a place is cold, the others are warm. Decoding is
greedy, up to ``--max-tokens`` tokens. The peer is llama.cpp's own server and its ``/infill``, asked
in the form of llama.vim and llama.vscode (lines above, line up to the cursor, text behind):

* ``infill``: as it comes. The prompt cache keeps what two prompts begin with. (``n_cache_reuse``
  changes nothing: it looks for equal chunks from the first changed token on, which is typed text.)
* ``suffix-first``: llama.cpp at its best. ``--spm-infill`` puts the suffix before the prefix, so
  that the prompt cache holds while typing; ``-fa off``, as plain attention generates faster here.

The server is built from llama.cpp's source, which llama-cpp-python's source release carries too:

    cmake -S vendor/llama.cpp -B build -DGGML_NATIVE=ON -DLLAMA_USE_PREBUILT_UI=OFF
    cmake --build build --target llama-server

With GCC 12 and AMX add ``-DCMAKE_CXX_FLAGS="-fno-tree-dse -fno-dse"``: that compiler drops most of
the tile configuration (``ggml-cpu/amx/mmq.cpp``), and the server dies at its first prompt.

``--seconds N --resume`` measures in pieces of some N seconds; exit code 3 says that some are left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import machine
from served import Server
from typing_places import KEYS, Keystroke, Place, percentile, places

STRATEGIES = ("quality", "balanced")
PEERS = ("infill", "suffix-first")
MODES = ("block", "line")
SUFFIX_FIRST = ("--spm-infill", "-fa", "off")
#: Between two requests idle threads of the one engine go to sleep before the other begins.
PAUSE_S = 0.05
#: A middle agrees if it begins with so many characters that really follow, or all on the line.
AGREES_CHARS = 8
RESAMPLES = 2000
#: What tells a request from the others of its arm.
KEYSTROKE = ("mode", "repeat", "place", "key")
INCOMPLETE = 3


@dataclass(frozen=True)
class Question:
    """A keystroke at ``place``; ``line``: the rest of the line is asked for, and no more."""

    place: Place
    stroke: Keystroke
    session: str = ""
    line: bool = False


@dataclass(frozen=True)
class Answer:
    """What an engine said. ``nfe`` of an autoregressive engine: one forward a token."""

    text: str
    engine_ms: float
    prompt_tokens: int
    read_again: int
    tokens: int
    nfe: int


Arm = Callable[[Question], Answer]


def midfill(server: Server, strategy: str, max_tokens: int) -> Arm:
    """Midfill's native dialect."""

    def ask(question: Question) -> Answer:
        fill = server.post(
            "/v1/midfill",
            {
                "prefix": question.stroke.prefix,
                "suffix": question.stroke.suffix,
                "path": question.place.file,
                "session": f"{question.session} {strategy}",
                "max_tokens": max_tokens,
                "strategy": strategy,
                "single_line": question.line,
            },
        )
        return Answer(
            fill["middles"][0]["text"] if fill["middles"] else "",
            fill["total_ms"],
            fill["prompt_tokens"],
            fill["prompt_tokens"] - fill["cached_tokens"],
            fill["completion_tokens"],
            fill["nfe"],
        )

    return ask


def infill(server: Server, max_tokens: int) -> Arm:
    """The ``/infill`` of a llama.cpp server with one slot, whose last prompt is its cache."""

    def ask(question: Question) -> Answer:
        prefix = question.stroke.prefix
        above = prefix.rfind("\n") + 1
        said = server.post(
            "/infill",
            {
                "input_prefix": prefix[:above],
                "prompt": prefix[above:],
                "input_suffix": question.stroke.suffix,
                "n_predict": max_tokens,
                "temperature": 0,
                "cache_prompt": True,
                "stop": ["\n"] if question.line else [],
            },
        )
        timings = said["timings"]
        return Answer(
            said["content"],
            round(timings["prompt_ms"] + timings["predicted_ms"], 3),
            said["tokens_evaluated"],
            timings["prompt_n"],
            timings["predicted_n"],
            timings["predicted_n"],
        )

    return ask


def start(args: argparse.Namespace, stack: ExitStack) -> dict[str, Arm]:
    """Start what ``args.arms`` need, each ready and warmed up."""
    threads, arms = str(args.threads), {}

    def serve(*command: str) -> Server:
        return stack.enter_context(closing(Server(command)))

    ours = [name for name in STRATEGIES if name in args.arms]
    if ours:
        command = [sys.executable, "-m", "midfill_lsp.cli", "serve", "--device", "cpu"]
        server = serve(*command, "--threads", threads, "--model", args.model)
        arms.update({name: midfill(server, name, args.max_tokens) for name in ours})
    # Without a store of old prompts: a place asked once more would not be cold.
    peer = [args.server, "-m", str(args.gguf), "-t", threads, "-tb", threads]
    peer += ["-c", "4096", "-np", "1", "--cache-ram", "0"]
    for name in (name for name in PEERS if name in args.arms):
        server = serve(*peer, *(SUFFIX_FIRST if name == "suffix-first" else ()))
        arms[name] = infill(server, args.max_tokens)
    anywhere = Place("warm-up.py", 4, "x = 1\n")
    for arm in arms.values():
        arm(Question(anywhere, Keystroke("x = ", "\n", "1")))
    return arms


def measure(
    arms: dict[str, Arm], place: Place, args: argparse.Namespace, *, session: str, line: bool
) -> Iterator[dict[str, Any]]:
    """Type at ``place``; after each key every arm is asked, each time another one first."""
    names = list(arms)
    for key, stroke in enumerate(place.keystrokes(args.context * 4, args.keys)):
        for name in names[key % len(names) :] + names[: key % len(names)]:
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            answer = arms[name](Question(place, stroke, session, line))
            row = {"arm": name, "key": key, "ms": round((time.perf_counter() - began) * 1000, 2)}
            row |= asdict(answer)
            text, rest = row.pop("text"), stroke.rest.rstrip()
            row["chars"] = len(text)
            row["agrees"] = text.startswith(rest[:AGREES_CHARS])
            row["exact"] = text.split("\n")[0].rstrip() == rest
            yield row


def report(rows: list[dict[str, Any]]) -> dict[str, float]:
    """One arm's requests in one state of its cache."""
    return {
        "requests": len(rows),
        "p50_ms": round(percentile([row["ms"] for row in rows], 0.5), 1),
        "p95_ms": round(percentile([row["ms"] for row in rows], 0.95), 1),
        "mean_ms": round(mean(row["ms"] for row in rows), 1),
        **{
            name: round(mean(row[name] for row in rows), 3)
            for name in ("prompt_tokens", "read_again", "tokens", "chars", "nfe", "agrees", "exact")
        },
    }


def ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Ours over theirs: of medians, of means, and by place.

    Behind the first two stands the interval that holds 95 % of resampled places; by place are the
    quartiles of the ratios of medians. ``full_length`` is the ratio of medians of those requests in
    which ours wrote all tokens that it was allowed, and their number.
    """
    pairs = {
        place: [[row["ms"] for row in rows if row["place"] == place] for rows in (ours, theirs)]
        for place in sorted({row["place"] for row in ours})
    }
    rng = random.Random(1)

    def of(statistic: Any) -> list[float]:
        def once(names: list[str]) -> float:
            a, b = ([ms for name in names for ms in pairs[name][side]] for side in (0, 1))
            return float(statistic(a) / statistic(b))

        drawn = sorted(once(rng.choices(list(pairs), k=len(pairs))) for _ in range(RESAMPLES))
        return [
            round(value, 3)
            for value in (once(list(pairs)), drawn[RESAMPLES // 40], drawn[-RESAMPLES // 40])
        ]

    own = sorted(median(a) / median(b) for a, b in pairs.values())
    return {
        "of_medians": of(median),
        "of_means": of(mean),
        "full_length": full_length(ours, theirs),
        "by_place": [round(percentile(own, share), 3) for share in (0.25, 0.5, 0.75)],
    }


def full_length(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    most = max(row["tokens"] for row in ours)
    full = {tuple(row[k] for k in KEYSTROKE) for row in ours if row["tokens"] == most}
    times = [
        [row["ms"] for row in rows if tuple(row[k] for k in KEYSTROKE) in full]
        for rows in (ours, theirs)
    ]
    return {"requests": len(times[0]), "ratio": round(median(times[0]) / median(times[1]), 3)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Reports and ratios, by mode and state of the cache."""
    result: dict[str, Any] = {}
    for mode in MODES:
        for state in ("cold", "warm"):
            these = [r for r in rows if r["mode"] == mode and (r["key"] == 0) == (state == "cold")]
            arms = {
                name: found
                for name in (*STRATEGIES, *PEERS)
                if (found := [row for row in these if row["arm"] == name])
            }
            if arms:
                result[f"{mode} {state}"] = {name: report(found) for name, found in arms.items()}
                result[f"{mode} {state} ratio"] = {
                    f"{ours} / {theirs}": ratio(arms[ours], arms[theirs])
                    for ours in STRATEGIES
                    for theirs in PEERS
                    if ours in arms and theirs in arms
                }
    return result


def header(args: argparse.Namespace) -> dict[str, Any]:
    """What was compared, where."""
    with args.gguf.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    told = subprocess.run([args.server, "--version"], capture_output=True, text=True, check=True)
    said = (told.stderr + told.stdout).splitlines()
    return {
        **machine.describe(),
        "threads": args.threads,
        "midfill_model": args.model,
        "llama_cpp": [line for line in said if line.startswith(("version", "built"))],
        "gguf": {"name": args.gguf_name, "sha256": checksum},
        "context": args.context,
        "max_tokens": args.max_tokens,
        "keys": args.keys,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, required=True, help="the peer's weights")
    parser.add_argument("--gguf-name", default="Qwen2.5-Coder-0.5B-Instruct Q4_K_M")
    parser.add_argument("--server", default="llama-server", help="llama.cpp's server")
    parser.add_argument("--model", default="midfill-0.5b-v8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arms", nargs="+", default=[*STRATEGIES, *PEERS])
    parser.add_argument("--modes", nargs="+", default=["block"], choices=MODES)
    parser.add_argument("--places", type=int, default=2, help="per file")
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--context", type=int, default=1500, help="tokens, roughly")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on with --out")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after about that")
    args = parser.parse_args()
    if shutil.which(args.server) is None:
        parser.error(
            f"There is no {args.server!r}. Build llama.cpp's server (how: at the head of "
            "benchmarks/llama_cpp.py) and give --server PATH."
        )
    if not args.gguf.is_file():
        parser.error(f"There is no {args.gguf}; give the peer's weights as a GGUF file.")
    return args


def main() -> None:
    # Ended from outside, it still ends the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    args, began = parse(), time.monotonic()
    result: dict[str, Any] = {"about": header(args), "rows": []}
    if args.resume and args.out and args.out.exists():
        earlier = json.loads(args.out.read_text())
        if earlier["about"] != result["about"]:
            raise SystemExit(f"{args.out} was begun otherwise; leave out --resume to begin anew.")
        result = earlier
    rows = result["rows"]
    done = {(row["mode"], row["repeat"], row["place"]) for row in rows}
    todo = [
        (mode, repeat, place)
        for repeat in range(args.repeats)
        for mode in args.modes
        for place in places(args.places, args.context * 4)
        if (mode, repeat, place.name) not in done
    ]
    with ExitStack() as stack:
        arms = start(args, stack) if todo else {}
        longest = 0.0
        while todo and time.monotonic() - began + longest < args.seconds:
            started = time.monotonic()
            mode, repeat, place = todo.pop(0)
            which = {"mode": mode, "repeat": repeat, "place": place.name}
            for row in measure(arms, place, args, session=f"{which}", line=mode == "line"):
                rows.append(which | row)
            longest = max(longest, time.monotonic() - started)
            print(f"{place.name} ({mode}): {longest:.0f} s, {len(todo)} left", flush=True)
            result = {"about": result["about"], **summary(rows), "rows": rows}
            if args.out:
                args.out.write_text(written(result))
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))
    if todo:
        sys.exit(INCOMPLETE)


def written(result: dict[str, Any]) -> str:
    """As JSON, a request a line."""
    head = json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1)
    lines = ",\n".join(json.dumps(row) for row in result["rows"])
    return f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    main()
