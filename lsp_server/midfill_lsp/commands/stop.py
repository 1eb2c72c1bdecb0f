"""`midfill stop`: end this user's engine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import psutil

from midfill_engine.wire import MidfillError
from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.commands import connection
from midfill_lsp.settings import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long the engine may take to end the running forward and itself.
END_WITHIN_S = 10.0
LOOK_EVERY_S = 0.05


def main(argv: Sequence[str]) -> int:
    """Run the command; nothing to end is no failure."""
    parser = argparse.ArgumentParser(
        prog="midfill stop",
        description="End this user's engine. Editors that still want it start it again.",
    )
    parser.add_argument("--force", action="store_true", help="kill one that does not answer")
    args = parser.parse_args(argv)
    return connection.run("stop", _stop(force=args.force))


async def _stop(*, force: bool) -> int:
    process = _process()
    try:
        await connection.facts("/v1/midfill/stop", post=True)
    except EngineUnavailable as error:
        if process is None:
            print("No engine runs.")
            return 0
        if not force:
            raise MidfillError(
                f"Process {process.pid} is the engine but does not answer.",
                "`midfill stop --force` ends it.",
            ) from error
        process.kill()
    if process is not None and not await _ended(process):
        raise MidfillError(
            f"The engine, process {process.pid}, goes on.", "`midfill stop --force` ends it."
        )
    print("The engine has ended.")
    return 0


def _process() -> psutil.Process | None:
    """The process that says it is the engine, if it lives and looks like it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
        described = json.loads((runtime_directory() / "engine.json").read_text(encoding="utf-8"))
        process = psutil.Process(int(described["pid"]))
        # The number may have been given to another process since.
        if "midfill" in " ".join(process.cmdline()):
            return process
    return None


async def _ended(process: psutil.Process) -> bool:
    until = asyncio.get_running_loop().time() + END_WITHIN_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True
