"""What a result is worth only together with: device, instruction sets, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
ROOT = Path(__file__).parents[1]


def describe() -> dict[str, object]:
    """The machine (Linux) and the working tree."""
    info = Path("/proc/cpuinfo").read_text()
    facts = dict(
        (part.strip() for part in line.split(":", 1)) for line in info.splitlines() if ":" in line
    )
    return {
        "cpu": facts.get("model name", "?"),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [name for name in INSTRUCTIONS if name in facts.get("flags", "").split()],
        "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "python": platform.python_version(),
        "torch": version("torch"),
        **state(ROOT),
    }


def state(tree: Path) -> dict[str, object]:
    """Which commit a working tree is at, and whether its engine differs from that."""
    return {
        "commit": _git(tree, "rev-parse", "--short=12", "HEAD"),
        "changed": bool(_git(tree, "status", "--porcelain", "--", "engine")),
    }


def _git(tree: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout.strip()
