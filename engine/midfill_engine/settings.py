"""Settings of the engine process: one frozen dataclass, each field with unit and reason.

Precedence: defaults < user file (``midfill.toml``, table ``[engine]``) < ``MIDFILL_*`` in the
environment < command line. Only this module reads ``os.environ``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine process is told at its start; editors never change it."""

    model: str = field(
        default="midfill-0.5b",
        metadata={"doc": "Name of an installed model, or the path of a checkpoint directory."},
    )
    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata={"doc": "Where the model runs; auto takes a GPU if there is one."}
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8", "int4"] = field(
        default="auto", metadata={"doc": "Precision of the weights at run time."}
    )
    threads: int = field(default=0, metadata={"doc": "CPU threads; 0 takes one a physical core."})
    cache_mb: int = field(
        default=256, metadata={"doc": "Memory for the context caches of all sessions, MiB."}
    )
    idle_exit_s: float = field(
        default=1800.0, metadata={"doc": "The daemon ends after so many idle seconds; 0: never."}
    )
    max_waiting: int = field(
        default=32, metadata={"doc": "Requests that may wait; more are refused as busy."}
    )
    max_body_mb: int = field(default=16, metadata={"doc": "Largest request body, MiB."})
