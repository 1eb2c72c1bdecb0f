"""How long `midfill engine` takes from the start of its process until it can answer.

    python benchmarks/start.py [TREE ...] [--starts 7] [--out FILE]

Starts the engine of each working tree in turn (of this one if none is named), each time in an
empty runtime directory, after one start that is not counted and makes the files warm. Seconds until
it listens, until it says that the model is loaded, and until the first fill has come back; what the
process computed until it was loaded, what others did meanwhile on all cores, and its memory then. A
start beside which others computed more than ``--others`` seconds is made again. Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import psutil
from report import tell

#: Not from the environment of who measures: the engine chooses for itself.
LEFT_OUT = {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"}
FILL = {"prefix": "def area(width, height):\n    return ", "suffix": "\n", "max_tokens": 8}
MEASURED = ("accepts_s", "ready_s", "filled_s", "cpu_s", "others_cpu_s", "rss_mb", "peak_mb")


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Reach the engine."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def ask(self, path: str, body: object) -> dict[str, object]:
        """The JSON answer."""
        self.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(self.getresponse().read())


def start(tree: Path) -> dict[str, float]:
    """One start, one fill, and the end."""
    with tempfile.TemporaryDirectory() as place:
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        packages = f"{tree / 'lsp_server'}:{tree / 'engine'}"
        runtime = Path(place) / "r"
        others, began = busy_s(), time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "midfill_lsp.cli", "engine"],
            env=kept | {"PYTHONPATH": packages, "MIDFILL_RUNTIME_DIR": str(runtime)},
            cwd=place,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            found = watched(process, began)
            others = found.pop("busy_s") - others - found["cpu_s"]
            answer = Connection(runtime / "engine.sock").ask("/v1/midfill", FILL)
            found |= {"filled_s": seconds(began), "others_cpu_s": round(others, 2)}
        finally:
            process.terminate()
            process.communicate()
        if not answer.get("middles"):
            raise SystemExit(f"The engine did not answer: {answer}")
        return found


def watched(process: subprocess.Popen[str], began: float) -> dict[str, float]:
    """What its log tells until the model is loaded: asking would take time from it."""
    found: dict[str, float] = {}
    for line in process.stderr or ():
        event = json.loads(line)["event"] if line.startswith("{") else ""
        if event == "started":
            found["accepts_s"] = seconds(began)
        elif event == "loaded":
            break
        elif event:
            raise SystemExit(f"The engine did not load: {line}")
    found |= {"ready_s": seconds(began), "busy_s": busy_s()}
    used = psutil.Process(process.pid).cpu_times()
    status = Path(f"/proc/{process.pid}/status").read_text()
    memory = dict(line.split(":", 1) for line in status.splitlines())
    return found | {
        "cpu_s": round(used.user + used.system, 2),
        "rss_mb": int(memory["VmRSS"].split()[0]) // 1024,
        "peak_mb": int(memory["VmHWM"].split()[0]) // 1024,
    }


def seconds(began: float) -> float:
    """Since ``began``."""
    return round(time.perf_counter() - began, 3)


def busy_s() -> float:
    """What all cores have computed so far."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trees", type=Path, nargs="*", default=[machine.ROOT])
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--others", type=float, default=0.15, help="seconds; more: start again")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    trees = [tree.resolve() for tree in args.trees]
    runs: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    for number in range(args.starts + 1):
        for tree in trees:
            found = start(tree)
            while number and found["others_cpu_s"] > args.others:
                time.sleep(1)
                found = start(tree)
            if number:
                runs[tree].append(found)
                print(tree.name, found, file=sys.stderr, flush=True)
    tell(
        {
            **machine.describe(),
            "trees": [
                {
                    **machine.state(tree),
                    "median": {
                        name: round(statistics.median(run[name] for run in runs[tree]), 3)
                        for name in MEASURED
                    },
                    "starts": runs[tree],
                }
                for tree in trees
            ],
        },
        args.out,
    )


if __name__ == "__main__":
    main()
