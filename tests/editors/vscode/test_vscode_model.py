"""VS Code and the shipped model, nothing scripted: the language server starts the engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from tests.editors.vscode import install
from tests.editors.vscode.conftest import OUTPUT
from tests.editors.vscode.workbench import CodeServer, Installation, Window, browser, private, until

pytestmark = [pytest.mark.editor, pytest.mark.model, pytest.mark.timeout(400)]

MODEL = install.REPOSITORY / "models" / "midfill-0.5b-v8"
TEXT = "def mean(values):\n    return sum(values) / len(values)\n\n\ndef total(values):\n    \n"
LOAD_LIMIT_S = 240


async def test_the_shipped_model_completes_in_vscode(
    installation: Installation, program: Path, tmp_path: Path
):
    if not any(MODEL.glob("*.safetensors")):
        pytest.skip(f"MISSING model: {MODEL} is not there")
    env = {**private(tmp_path), "MIDFILL_MODEL": str(MODEL)}
    server = CodeServer(installation, tmp_path / "home", env)
    server.profile({"midfill.client.serverPath": str(program)})
    server.configure({"midfill.explicitBudgetMs": 60_000, "midfill.candidates": 1})
    await server.start()
    try:
        async with browser(installation.chromium) as chromium:
            window = Window(server, await chromium.new_page())
            await window.open(server.write("work.py", TEXT))
            await until("the model", window.has_engine, LOAD_LIMIT_S)
            await window.cursor(5, 4)
            await window.command("Midfill: Complete Now")
            await until("ghost text", window.ghost, LOAD_LIMIT_S)
            await window.press("Tab")
            assert "def total(values):\n    return" in await window.saved()

            # The engine is killed while the window is open: another one is started, and completes.
            described = Path(env["MIDFILL_RUNTIME_DIR"]) / "engine.json"
            first = json.loads(described.read_text())["pid"]
            os.kill(first, signal.SIGKILL)
            await window.press("Control+End")
            await window.type("\n\ndef mean_of_squares(")
            await until("another engine", lambda: _pid(described) not in (0, first), LOAD_LIMIT_S)
            await until("the model again", window.has_engine, LOAD_LIMIT_S)
            await window.command("Midfill: Complete Now")
            await until("ghost text again", window.ghost, LOAD_LIMIT_S)
            await window.keep(OUTPUT / "after-a-killed-engine.png")
    finally:
        await server.stop()
        ending = await asyncio.create_subprocess_exec(program, "stop", env={**os.environ, **env})
        await ending.wait()


def _pid(described: Path) -> int:
    """The process that the running engine names; 0 while there is none."""
    try:
        return int(json.loads(described.read_text())["pid"])
    except (OSError, ValueError):
        return 0
