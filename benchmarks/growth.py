"""How cost grows on the CPU: with context, middle, open documents, candidates, editors; lateness.

    python benchmarks/growth.py [--parts context middle sessions …] [--out FILE]

The end marker is forbidden here, so that middles become long; what begins to write the text that
follows is cut off all the same, so what is left is noted beside what was asked. Only ``context``
goes beyond the length that the checkpoint was trained with: what is timed there is the arithmetic,
not the answer.
``--plot DIRECTORY`` draws what ``--out`` holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import cores  # noqa: F401
import machine
import torch
from chart import Chart, Line
from typing_places import BEFORE, FILES, percentile

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill import ending
from midfill_engine.fill.filler import Filler
from midfill_engine.models.decoder import Decoder
from midfill_engine.service.engine import Engine
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Fill, FillRequest

CONTEXTS = (512, 1024, 2048, 4096, 8192)
MIDDLES = (8, 16, 32, 64, 128, 256)
SESSIONS = (1, 2, 4, 8, 16)
CANDIDATES = (1, 2, 3, 4)
CROWDS = (1, 2, 4)
STRATEGIES = ("balanced", "autoregressive")
BUDGETS_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
#: Context of a document that takes turns with others, in tokens.
SESSION_TOKENS = 1000
#: Forwards where they are not what is measured.
STEPS = 4
TEXT = next(file for file in FILES if file.name == "argparse.py").read_text()


class Typist:
    """Asks about one text again and again, a character further each time."""

    def __init__(self, filler: Filler, tokens: int, session: str, start: int = 0) -> None:
        self._filler, self._session = filler, session
        before = int(tokens * 4 * BEFORE)
        self._start, self._cursor = start, start + before
        self._suffix = TEXT[self._cursor + 200 :][: tokens * 4 - before]

    def request(self, **wanted: Any) -> FillRequest:
        """What is asked behind one more character."""
        self._cursor += 1
        return FillRequest(
            TEXT[self._start : self._cursor],
            self._suffix,
            session=self._session,
            **{"max_tokens": 16, "strategy": f"steps:{STEPS}", "allow_empty": False} | wanted,
        )

    def ask(self, budget_ms: float | None = None, **wanted: Any) -> Fill:
        """The fill behind one more character."""
        deadline, request = Deadline.after_ms(budget_ms), self.request(**wanted)
        return self._filler.fill(request, deadline=deadline, stop=StopToken())


def of_context(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """A request of a 16-token middle by context: cold, and warm five times as often as others."""
    rows = []
    for tokens in CONTEXTS:
        typist = Typist(filler, tokens, "context")
        cold = typist.ask()
        warm = [typist.ask() for _ in range(runs * 5)]
        filler.forget("context")
        rows.append(
            {
                "tokens": cold.prompt_tokens,
                "cold_ms": cold.total_ms,
                "warm_ms": median(fill.total_ms for fill in warm),
                "warm_prefill_ms": median(fill.prefill_ms for fill in warm),
                "read_again": median(fill.prompt_tokens - fill.cached_tokens for fill in warm),
            }
        )
    return rows


def of_middle(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """A warm request by length of the middle, each way of decoding."""
    rows = []
    typist = Typist(filler, 1500, "middle")
    typist.ask()
    for tokens in MIDDLES:
        for strategy in STRATEGIES:
            fills = [typist.ask(max_tokens=tokens, strategy=strategy) for _ in range(runs)]
            rows.append(
                {
                    "strategy": strategy,
                    "asked": tokens,
                    "tokens": median(fill.completion_tokens for fill in fills),
                    "ms": median(fill.denoise_ms for fill in fills),
                    "nfe": median(fill.nfe for fill in fills),
                }
            )
    filler.forget("middle")
    return rows


def of_sessions(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """A request that takes turns with those of other documents, by their number."""
    rows = []
    for count in SESSIONS:
        typists = [Typist(filler, SESSION_TOKENS, f"session {n}", n * 400) for n in range(count)]
        for typist in typists:
            typist.ask()
        fills = [typist.ask() for _ in range(runs) for typist in typists]
        rows.append(
            {
                "sessions": count,
                "ms": median(fill.total_ms for fill in fills),
                "read_again": median(fill.prompt_tokens - fill.cached_tokens for fill in fills),
                "cache_mb": round(filler._sessions.nbytes / 2**20),
                "resident_mb": resident_mb(),
            }
        )
        for n in range(count):
            filler.forget(f"session {n}")
    return rows


def of_candidates(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """A warm request by number of candidates; further ones side by side, or each for itself."""
    typist = Typist(filler, 1500, "candidates")
    typist.ask()
    rows = []
    for count in CANDIDATES:
        shared, apart = [], []
        for _ in range(runs):
            shared.append(typist.ask(candidates=count))
            with one_lane():
                apart.append(typist.ask(candidates=count))
        rows.append(
            {
                "candidates": count,
                "ms": median(fill.total_ms for fill in shared),
                "apart_ms": median(fill.total_ms for fill in apart),
                "nfe": median(fill.nfe for fill in shared),
                "apart_nfe": median(fill.nfe for fill in apart),
            }
        )
    filler.forget("candidates")
    return rows


def of_budgets(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """How late answers are, of warm and of cold requests, by the time that they were given."""
    warm = Typist(filler, 1500, "warm")
    warm.ask()
    rows = []
    for budget_ms in BUDGETS_MS:
        for kind in ("warm", "cold"):
            late, fills = [], []
            for number in range(runs * 2):
                typist = warm if kind == "warm" else Typist(filler, 1500, "cold", number * 700)
                began = time.perf_counter()
                fills.append(typist.ask(budget_ms, strategy="balanced"))
                late.append(max(0.0, (time.perf_counter() - began) * 1000 - budget_ms))
                filler.forget("cold")
            rows.append(
                {
                    "budget_ms": budget_ms,
                    "kind": kind,
                    "requests": len(late),
                    "late_p50_ms": round(percentile(late, 0.5), 1),
                    "late_p95_ms": round(percentile(late, 0.95), 1),
                    "late_max_ms": round(max(late), 1),
                    "nfe": median(fill.nfe for fill in fills),
                    "tokens": median(fill.completion_tokens for fill in fills),
                }
            )
    filler.forget("warm")
    return rows


def of_crowd(filler: Filler, runs: int) -> list[dict[str, Any]]:
    """Warm requests of several editors at the same moment; then one beside a cold context."""
    return asyncio.run(_crowd(filler, runs))


async def _crowd(filler: Filler, runs: int) -> list[dict[str, Any]]:
    engine = Engine(EngineSettings(), lambda *_: filler)
    await engine.start()
    await engine.loaded()
    typists = [Typist(filler, SESSION_TOKENS, f"crowd {n}", n * 400) for n in range(max(CROWDS))]

    async def times(some: list[Typist]) -> list[float]:
        fills = await asyncio.gather(*(engine.fill(typist.request()) for typist in some))
        return sorted(fill.total_ms for fill in fills)

    async def beside_cold() -> float:
        """A warm key while another document, asked about a moment before, is read."""
        filler.forget("cold")
        cold = Typist(filler, SESSION_TOKENS, "cold", 5000).request()
        reading = asyncio.create_task(engine.fill(cold))
        await asyncio.sleep(0.1)
        [ms] = await times(typists[:1])
        await reading
        return ms

    def summary(kind: str, found: list[list[float]]) -> dict[str, float]:
        return {
            f"{kind}_mean_ms": round(median(sum(ms) / len(ms) for ms in found), 1),
            f"{kind}_last_ms": round(median(ms[-1] for ms in found), 1),
        }

    rows: list[dict[str, Any]] = []
    await times(typists)
    for count in (*CROWDS, 0):
        shared, apart = [], []
        for _ in range(runs):
            shared.append(await times(typists[:count]) if count else [await beside_cold()])
            with one_lane():
                apart.append(await times(typists[:count]) if count else [await beside_cold()])
        name = {"editors": count} if count else {"beside": "cold"}
        rows.append(name | summary("shared", shared) | summary("apart", apart))
    await engine.close()
    for n in range(len(typists)):
        filler.forget(f"crowd {n}")
    return rows


def one_lane() -> AbstractContextManager[object]:
    """Inside, no forward is shared."""
    return patch.object(Decoder, "lanes", 1)


def resident_mb() -> int:
    """What of this process is in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))


PARTS = {
    "context": of_context,
    "middle": of_middle,
    "sessions": of_sessions,
    "candidates": of_candidates,
    "crowd": of_crowd,
    "budgets": of_budgets,
}


def unbounded(filler: Filler) -> None:
    """Take contexts of any length, and never end a middle early."""
    filler._spec = replace(filler._spec, trained_context_tokens=max(CONTEXTS) * 2)
    filler._bias[filler._spec.eom_id] = -torch.inf
    ending.MARGIN = math.inf


def plots(result: dict[str, Any]) -> Iterable[tuple[str, Chart]]:
    """A chart for each part that was measured."""

    def line(name: str, rows: list[dict[str, Any]], x: str, y: str) -> Line:
        return Line(name, [(row[x], row[y]) for row in rows])

    if rows := result.get("context"):
        lines = [line("cold", rows, "tokens", "cold_ms"), line("warm", rows, "tokens", "warm_ms")]
        yield "growth-context", Chart("context, tokens", "ms a request", lines)
    if rows := result.get("middle"):
        rows = sorted(rows, key=lambda row: row["nfe"])
        lines = [
            line(strategy, [r for r in rows if r["strategy"] == strategy], "nfe", "ms")
            for strategy in STRATEGIES
        ]
        yield (
            "growth-middle",
            Chart(
                "forwards for a middle of 8 to 256 tokens", "ms after reading the context", lines
            ),
        )
    if rows := result.get("sessions"):
        lines = [line("a request in turn", rows, "sessions", "ms")]
        yield "growth-sessions", Chart("documents in turn", "ms a request", lines)
    if rows := [row for row in result.get("crowd", []) if "editors" in row]:
        lines = [
            line("last, in turn", rows, "editors", "apart_last_ms"),
            line("mean, in turn", rows, "editors", "apart_mean_ms"),
            line("last, sharing", rows, "editors", "shared_last_ms"),
            line("mean, sharing", rows, "editors", "shared_mean_ms"),
        ]
        yield "growth-crowd", Chart("editors that ask at once", "ms a request", lines)
    if rows := result.get("candidates"):
        lines = [
            line("each for itself", rows, "candidates", "apart_ms"),
            line("side by side", rows, "candidates", "ms"),
        ]
        yield "growth-candidates", Chart("candidates", "ms a request", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--runs", type=int, default=3, help="warm requests of each kind")
    parser.add_argument("--out", type=Path, help="parts that are there and not asked for stay")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    result = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    if args.parts:
        settings = EngineSettings(model=args.model, device="cpu", threads=args.threads)
        filler = Filler.load(settings)
        unbounded(filler)
        about = machine.describe() | {"threads": args.threads, "cache_mb": settings.cache_mb}
        for part in args.parts:
            result[part] = PARTS[part](filler, args.runs)
            result.setdefault("about", {})[part] = about
            print(part, json.dumps(result[part]), flush=True)
            if args.out:
                args.out.write_text(json.dumps(result, indent=1) + "\n")
    if args.plot:
        for name, chart in plots(result):
            (args.plot / f"{name}.svg").write_text(chart.svg())


if __name__ == "__main__":
    main()
