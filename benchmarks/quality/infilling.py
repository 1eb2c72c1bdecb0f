r"""HumanEval-Infilling or SAFIM through the engine; the data comes from a path and stays there.

    python benchmarks/quality/infilling.py --data HumanEval-SingleLineInfilling.jsonl.gz \
        --model models/midfill-0.5b-v8 --strategy balanced --execute --out results.json

HumanEval-Infilling tasks (``prompt``, ``suffix``, ``canonical_solution``, ``test``,
``entry_point``) are executed with ``--execute``: model-written code runs in a child process with
limits on time and memory, which is no sandbox. SAFIM tasks (``eval_prompt`` with
``{{completion}}``, ``ground_truth``) are compared with the truth. The whole answer counts, nothing
is trimmed. ``--whole`` asks for all of a function behind its docstring, with nothing after it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from midfill_engine.settings import EngineSettings, share_cores

share_cores()  # before PyTorch is imported

from midfill_engine.deadline import Deadline, StopToken  # noqa: E402
from midfill_engine.fill.filler import Filler  # noqa: E402
from midfill_engine.wire import FillRequest  # noqa: E402

SECONDS, BYTES = 10, 2 << 30
HOLE = "{{completion}}"


@dataclass(frozen=True, slots=True)
class Task:
    """One gap; ``check`` is appended to the completed program."""

    name: str
    prefix: str
    suffix: str
    truth: str
    check: str = ""


def tasks(path: Path) -> Iterator[Task]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in data.decode().splitlines():
        row = json.loads(line)
        if "eval_prompt" in row:
            prefix, _, suffix = row["eval_prompt"].partition(HOLE)
            yield Task(str(row.get("task_id", "")), prefix, suffix, row["ground_truth"])
        else:
            check = f"\n{row['test']}\ncheck({row['entry_point']})\n"
            truth = row["canonical_solution"]
            yield Task(row["task_id"], row["prompt"], row["suffix"], truth, check)


def whole(some: Iterable[Task]) -> list[Task]:
    """Of each program the task with the shortest prefix, and as its gap all that follows."""
    found: dict[str, Task] = {}
    for task in some:
        after = task.truth + task.suffix
        # A program is known by its checks: names are counted anew in each set of tasks.
        known = found.get(task.check)
        if known is None or len(task.prefix) < len(known.prefix):
            found[task.check] = Task(task.name, task.prefix, "", after, task.check)
    return list(found.values())


def passes(task: Task, answer: str) -> bool:
    """Whether the completed program's tests pass, in a child process."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text(task.prefix + answer + task.suffix + task.check)
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(program)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                preexec_fn=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--data", required=True, type=Path)
    add("--model", default=EngineSettings().model)
    add("--strategy", default="balanced")
    add("--max-tokens", type=int, default=128)
    add("--first", type=int, default=0, help="so many tasks only, evenly taken")
    add("--whole", action="store_true", help="each program once: all behind its first gap's start")
    add("--execute", action="store_true", help="run the completed programs")
    add("--out", type=Path)
    args = parser.parse_args()
    some = list(tasks(args.data))
    some = whole(some) if args.whole else some
    if args.first:
        some = some[:: max(1, len(some) // args.first)][: args.first]
    filler = Filler.load(EngineSettings(model=args.model))
    rows = []
    for number, task in enumerate(some, 1):
        request = FillRequest(
            task.prefix, task.suffix, strategy=args.strategy, max_tokens=args.max_tokens
        )
        fill = filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())
        row = {"name": task.name, "exact": fill.text.strip() == task.truth.strip()}
        row |= {"text": fill.text}
        row |= {"finish": fill.finish_reason, "forwards": fill.nfe}
        if args.execute and task.check:
            row["passes"] = passes(task, fill.text)
        rows.append(row)
        shares = {k: sum(map(bool, (r.get(k) for r in rows))) / number for k in ("passes", "exact")}
        print(f"\r{number} of {len(some)} {shares}", end="", file=sys.stderr, flush=True)
    print(json.dumps({"tasks": len(rows), **shares}, indent=1))
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
