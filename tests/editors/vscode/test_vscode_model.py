"""VS Code and the shipped model, nothing scripted: the language server starts the engine."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.editors.vscode import install
from tests.editors.vscode.workbench import CodeServer, Installation, Window, browser, private, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.editor, pytest.mark.model, pytest.mark.timeout(400)]

MODEL = install.REPOSITORY / "models" / "midfill-0.5b-v2"
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
    finally:
        await server.stop()
        ending = await asyncio.create_subprocess_exec(program, "stop", env={**os.environ, **env})
        await ending.wait()
