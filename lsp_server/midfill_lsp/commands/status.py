"""`midfill status`: what runs, which model, how fast. Starts nothing."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.commands import connection
from midfill_lsp.settings import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLE = re.compile(r'^(midfill_\w+?)(?:\{(\w+)="([^"]*)"[^}]*\})? ([-+.\deE]+)$', re.MULTILINE)


def main(argv: Sequence[str]) -> int:
    """Run the command; exit code 1 when no engine is ready."""
    parser = argparse.ArgumentParser(
        prog="midfill status",
        description="Say what runs, which model it has and how fast it was. Starts nothing. "
        "Exit code 0 if the engine is ready, 1 otherwise.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args(argv)
    return connection.run("status", _status(as_json=args.json))


async def _status(*, as_json: bool) -> int:
    try:
        health = await connection.health()
        metrics = read_metrics((await connection.facts("/metrics")).decode())
    except EngineUnavailable as error:
        health, metrics = {"status": "down", "message": str(error)}, {}
    if as_json:
        directory = str(runtime_directory())
        print(json.dumps({"health": health, "metrics": metrics, "directory": directory}))
    else:
        print("\n".join(_lines(health, metrics)))
    return 0 if health.get("status") == "ok" else 1


def read_metrics(text: str) -> dict[str, float]:
    """Samples of the Prometheus text, as ``name`` or ``name.label``."""
    return {
        f"{name}.{label}" if label else name: float(value)
        for name, _, label, value in _SAMPLE.findall(text)
    }


def _lines(health: dict[str, Any], metrics: dict[str, float]) -> list[str]:
    state = {"ok": "ready", "loading": f"loading the model, {health.get('progress') or 0:.0%}"}
    words = state.get(str(health.get("status")), str(health.get("message") or "failed"))
    rows = [("engine", words), ("directory", str(runtime_directory()))]
    if "pid" in health:
        rows.append(("process", f"{health['pid']}, midfill {health.get('version', '?')}"))
    if model := health.get("model"):
        rows += _model_rows(model)
    if fills := metrics.get("midfill_fill_seconds_count.total"):
        rows += _speed_rows(fills, metrics)
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _model_rows(model: dict[str, Any]) -> list[tuple[str, str]]:
    size = f"{model.get('parameters', 0) / 1e6:,.0f} M parameters"
    memory = f"{model.get('bytes_resident', 0) / 2**20:,.0f} MiB"
    where = f"{model.get('precision')} on {model.get('device')}"
    return [("model", f"{model.get('name')}, {size}"), ("runs", f"{where}, weights {memory}")]


def _speed_rows(fills: float, metrics: dict[str, float]) -> list[tuple[str, str]]:
    mean_ms = 1000 * metrics.get("midfill_fill_seconds_sum.total", 0.0) / fills
    forwards = metrics.get("midfill_forwards_total", 0.0)
    read, cached = (metrics.get(f"midfill_tokens_total.{k}", 0.0) for k in ("prompt", "cached"))
    share = cached / read if read else 0.0
    return [
        ("fills", f"{fills:,.0f}, {mean_ms:,.0f} ms and {forwards / fills:.1f} forwards each"),
        ("cache", f"{share:.0%} of the context tokens were still known"),
    ]
