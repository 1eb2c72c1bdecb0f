"""What happens when between the start of the engine's process and its first answer.

    python benchmarks/start_parts.py [--out FILE]

The engine's own steps in its order, in this process: wall-clock seconds and what all threads
computed in each. Checksums are compared beside them, as in the engine.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS: list[dict[str, object]] = []
STEPS = ("choose_precision", "open_checkpoint", "Tokenizer", "load_decoder")


def part(what: str, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work(*args, **named)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    PARTS.append({"what": what, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    load = importlib.import_module
    part("import the command", load, "midfill_engine.commands.engine")
    engine = load("midfill_engine.service.engine")
    settings = load("midfill_engine.settings").EngineSettings()
    engine.share_cores()
    model = engine.locate(settings.model)
    with engine.sums_checked(model, engine.base_of(model)):
        with engine.uncollected():
            part("import PyTorch", load, "torch")
            filler = part("import the rest", load, "midfill_engine.fill.filler")
        for name in STEPS:
            work = getattr(filler, name)
            setattr(filler, name, lambda *a, _n=name, _w=work, **k: part(_n, _w, *a, **k))
        part("load, with the four above", filler.Filler.load, settings)
    import machine  # noqa: PLC0415  (late: it imports what the engine has to, too)
    from report import tell  # noqa: PLC0415

    tell({**machine.describe(), "parts": PARTS}, args.out)


if __name__ == "__main__":
    main()
