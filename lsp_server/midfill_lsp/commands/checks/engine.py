"""Checks of the engine: its model, its device, the daemon and a completion through it.

Children run `midfill models` and `midfill engine`; nothing of the engine is imported here.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from midfill_engine.wire import FillRequest, MidfillError
from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.commands import connection
from midfill_lsp.commands.checks.finding import Finding
from midfill_lsp.settings import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midfill_lsp.settings import LspSettings

#: Reading the model from a slow disk and warming it up, seconds.
CHILD_TIMEOUT_S = 300.0
#: An answer to a short question that takes longer is of no use while typing.
SLOW_MS = 1_000.0
MIDFILL = (sys.executable, "-m", "midfill_lsp.cli")

TEST = FillRequest(
    prefix="def area(width, height):\n    return ",
    suffix="\n\n\nprint(area(2, 3))\n",
    path="area.py",
    language="python",
    session="midfill-doctor",
    max_tokens=16,
    single_line=True,
)


async def models(command: Sequence[str] = MIDFILL) -> Finding:
    """Files, shapes and checksums of the installed models."""
    code, out, err = await _child([*command, "models", "verify"])
    lines = out.splitlines()
    if code == 0:
        return Finding("models", "good", "; ".join(lines))
    said = "; ".join(line for line in lines if not line.endswith(": good")) or _last_line(err)
    hint = "Fetch what is damaged again, or set MIDFILL_MODELS to where your models are."
    return Finding("models", "bad", said or f"`midfill models verify` ended with {code}", hint)


async def self_test(command: Sequence[str] = MIDFILL) -> Finding:
    """Load the model in a child and fill one hole."""
    code, out, err = await _child([*command, "engine", "--self-test", "--json"])
    try:
        said: dict[str, Any] = json.loads(_last_line(out))
    except ValueError:
        said = {}
    if code == 0 and said.get("ok"):
        model = said["model"]
        words = (
            f"{model['name']}, {model['precision']} on {model['device']}: loaded in "
            f"{said['load_ms'] / 1000:.1f} s, filled in {said['fill_ms']:.0f} ms"
        )
        # What it says beside that are faults in the settings of the engine.
        return Finding("self-test", "note" if err.strip() else "good", words, err.strip())
    detail = said.get("message") or _last_line(err) or f"the engine ended with code {code}"
    hint = said.get("hint") or "Run `midfill engine --self-test` to see all of it."
    return Finding("self-test", "bad", str(detail), str(hint))


async def running() -> Finding:
    """The daemon, which need not run."""
    directory = runtime_directory()
    try:
        health = await connection.health()
    except EngineUnavailable as error:
        if (directory / "engine.sock").exists():
            hint = f"`midfill stop --force` ends it; its log is {directory / 'engine.log'}."
            return Finding("daemon", "note", str(error), hint)
        return Finding("daemon", "good", "none runs; editors start it")
    words = f"process {health.get('pid')}, {health.get('status')}, at {directory}"
    if health.get("status") == "error":
        return Finding("daemon", "bad", f"{words}: {health.get('message')}", "`midfill stop`")
    return Finding("daemon", "good", words)


async def completion(settings: LspSettings) -> Finding:
    """A completion the way an editor asks, twice: cold, and with the context known."""
    began = time.monotonic()
    try:
        async with connection.connected(settings) as backend:
            ready = time.monotonic() - began
            await backend.fill(TEST)
            asked = time.monotonic()
            fill = await backend.fill(TEST)
            answered = time.monotonic()
    except MidfillError as error:
        log = runtime_directory() / "engine.log"
        return Finding("completion", "bad", str(error), f"The engine's log is {log}.")
    answer_ms = (answered - asked) * 1000
    words = (
        f"engine ready after {ready:.1f} s, answer after {answer_ms:.0f} ms "
        f"({fill.total_ms:.0f} ms in the engine, {fill.nfe} forwards)"
    )
    if answer_ms > SLOW_MS:
        hint = "Too slow to type with: is the machine busy? Else use a GPU or a remote engine."
        return Finding("completion", "note", words, hint)
    return Finding("completion", "good", words)


async def _child(command: Sequence[str]) -> tuple[int, str, str]:
    """Exit code and output of a child; a crash and a missing program are codes as well."""
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    except OSError as error:
        return -1, "", f"{command[0]}: {error.strerror}"
    try:
        out, err = await asyncio.wait_for(child.communicate(), CHILD_TIMEOUT_S)
    except TimeoutError:
        child.kill()
        await child.wait()
        return -1, "", f"it did not end within {CHILD_TIMEOUT_S:.0f} s"
    return child.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
