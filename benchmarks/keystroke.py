"""Type through real files over LSP: keystroke to answer, calls saved, forwards wasted.

    python benchmarks/keystroke.py [--places 4] [--gap-ms 180] [--max-tokens 96]
        [--engine RUNTIME_DIR] [--out FILE]

A real `midfill lsp` and a real engine. At each place the second half of a line is typed key by key,
with the pauses of a typist (log-normal around ``--gap-ms``, a seed); after each key the editor's
change and question are sent, and an unanswered older question is cancelled, as editors do. At the
end of a place the typist waits for the last answer. A wasted forward is one whose fill was
cancelled or superseded. Lost device time is what such a fill took and the session's next one had
no use for: neither rows of its context, nor tokens that proved right. Forwards that only read a
context count as device time, not as forwards.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from report import tell
from typing_places import FILES

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.protocol.client import Client

LONGEST_LINE = 40


@dataclass
class Trace:
    """What happened while typing."""

    answered_ms: list[float] = field(default_factory=list)
    warm_model_ms: list[float] = field(default_factory=list)
    by_source: Counter[str] = field(default_factory=Counter)
    silences: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    cancelled: int = 0
    right: int = 0

    def note(self, result: dict[str, Any], ms: float, rest: str, *, warm: bool) -> None:
        """Take an answer to a question into account; ``rest`` really follows on the line.

        ``warm``: not the first question of a place, whose context is read for it.
        """
        items = (result.get("result") or {}).get("items") or []
        if not items:
            self.silences["error" if "error" in result else "null"] += 1
            return
        self.answered_ms.append(ms)
        source = items[0]["command"]["arguments"][0]["source"]
        self.by_source[source] += 1
        if warm and source == "model":
            self.warm_model_ms.append(ms)
        self.right += items[0]["insertText"].split("\n")[0].rstrip().endswith(rest.rstrip()[-12:])


def places(text: str, count: int, rng: random.Random) -> list[tuple[int, int, str]]:
    """Line number, column and rest of lines of code whose second half is typed."""
    lines = text.splitlines()
    good = [
        n
        for n, line in enumerate(lines)
        if 25 < len(line.strip()) < 2 * LONGEST_LINE
        and not line.strip().startswith(("#", '"', "'"))
    ]
    chosen = sorted(rng.sample(good[len(good) // 4 :], count))
    return [(n, c := (len(lines[n]) + 1) // 2, lines[n][c:]) for n in chosen]


async def type_line(
    client: Client, trace: Trace, at: tuple[int, int, str], *, version: int, gap: float, uri: str
) -> int:
    """Type the rest of a line; return the document's new version."""
    line, column, rest = at
    rng = random.Random(line)
    version += 1
    client.replace("", (line, column), (line, column + len(rest)), version, uri)
    waiting: asyncio.Task[None] | None = None
    asked = 0

    async def answered(msg_id: int, began: float, left: str, *, warm: bool) -> None:
        result = await client.answer(msg_id)
        trace.note(result, (time.perf_counter() - began) * 1000, left, warm=warm)

    for n, char in enumerate(rest[:LONGEST_LINE]):
        await asyncio.sleep(rng.lognormvariate(math.log(gap / 1000), 0.4))
        if waiting is not None and not waiting.done():
            client.notify("$/cancelRequest", {"id": asked})
            trace.cancelled += 1
        version += 1
        began = time.perf_counter()
        client.type(char, line, column + n, version, uri)
        asked = client.ask_inline(line, column + n + 1, uri=uri)
        trace.keys += 1
        waiting = asyncio.create_task(answered(asked, began, rest[n + 1 :], warm=n > 0))
    if waiting is not None:
        await waiting
    # Leave the line as it was found: what was not typed is put back.
    if rest[LONGEST_LINE:]:
        version += 1
        end = column + LONGEST_LINE
        client.replace(rest[LONGEST_LINE:], (line, end), (line, end), version, uri)
    return version


async def metrics(directory: Path) -> dict[str, float]:
    """Counters of the engine in a runtime directory."""
    connector = aiohttp.UnixConnector(str(directory / "engine.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://engine/metrics") as answer,
    ):
        lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def percentile(values: list[float], share: float) -> float | None:
    return round(sorted(values)[int(share * (len(values) - 1))], 1) if values else None


def report(trace: Trace, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    def spent(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    forwards = spent("midfill_forwards_total")
    served = sum(trace.by_source.values())
    return {
        "keys": trace.keys,
        "answered": served,
        "silent": dict(trace.silences),
        "cancelled_by_the_next_key": trace.cancelled,
        "p50_ms": percentile(trace.answered_ms, 0.5),
        "p95_ms": percentile(trace.answered_ms, 0.95),
        "by_source": dict(trace.by_source),
        "warm_model_p50_ms": percentile(trace.warm_model_ms, 0.5),
        "warm_model_p95_ms": percentile(trace.warm_model_ms, 0.95),
        "answered_without_a_call": round(1 - trace.by_source["model"] / max(served, 1), 3),
        "right_to_the_line_end": round(trace.right / max(served, 1), 3),
        "fills": sum(
            v - before.get(k, 0.0) for k, v in after.items() if "midfill_fills_total" in k
        ),
        "forwards": forwards,
        "share_of_forwards_wasted": round(
            spent("midfill_abandoned_forwards_total") / max(forwards, 1), 3
        ),
        **device_time(spent),
    }


def device_time(spent: Callable[[str], float]) -> dict[str, Any]:
    """Seconds on the device, and which share was lost: of all, of reading and of writing."""

    def seconds(name: str, *kinds: str) -> float:
        return sum(spent(f'midfill_{name}_seconds_total{{kind="{kind}"}}') for kind in kinds)

    shares = {
        f"share_of_{what}_time_lost": round(
            seconds("lost_device", *kinds) / max(seconds("device", *kinds), 1e-6), 3
        )
        for what, *kinds in (
            ("device", "reading", "writing"),
            ("reading", "reading"),
            ("writing", "writing"),
        )
    }
    return {
        "reading_s": round(seconds("device", "reading"), 3),
        "writing_s": round(seconds("device", "writing"), 3),
        **shares,
    }


async def trace_of(args: argparse.Namespace, directory: Path) -> dict[str, Any]:
    client = await Client.start(directory, MIDFILL_LSP_ENGINE_AUTOSTART="true")
    await client.initialize(initializationOptions={"maxTokens": args.max_tokens})
    await client.ready()
    before, trace = await metrics(directory), Trace()
    for file in FILES:
        uri = f"file://{urllib.parse.quote(str(file))}"
        client.open(file.read_text(), uri=uri)
        version = 1
        for at in places(file.read_text(), args.places, random.Random(args.seed)):
            version = await type_line(client, trace, at, version=version, gap=args.gap_ms, uri=uri)
    result = report(trace, before, await metrics(directory))
    await client.stop()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=4, help="lines typed per file")
    parser.add_argument("--gap-ms", type=float, default=180, help="median pause between keys")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=96, help="of a suggestion")
    parser.add_argument("--engine", type=Path, help="runtime directory of a running engine")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        result = {"gap_ms": args.gap_ms, **asyncio.run(trace_of(args, args.engine or Path(fresh)))}
        asyncio.run(stop(args.engine or Path(fresh), ours=args.engine is None))
    tell(result, args.out)


async def stop(directory: Path, *, ours: bool) -> None:
    """End the engine that this run has started."""
    if not ours:
        return
    connector = aiohttp.UnixConnector(str(directory / "engine.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        await session.post("http://engine/v1/midfill/stop")


if __name__ == "__main__":
    main()
