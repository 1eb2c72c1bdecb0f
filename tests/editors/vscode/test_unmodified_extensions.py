"""Other extensions that nobody changed, in VS Code, against the real HTTP engine.

Each runs where a variable names its package (.vsix), set up with what `midfill init` prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.editors.kept import MIDDLE, by_kind, compare
from tests.editors.recording import RecordingEngine
from tests.editors.vscode.conftest import OUTPUT
from tests.editors.vscode.workbench import CodeServer, Installation, Window, browser, private, until

pytestmark = [pytest.mark.editor, pytest.mark.timeout(300)]

# It wakes only in JavaScript, TypeScript and plain text.
TEXT = """\
function mean(values) {
    return sum(values) / values.length;
}

function total(values) {
    \n}
"""
OTHER = "".join(f"function other_{n}() {{\n    return {n};\n}}\n\n" for n in range(20))


async def test_ghost_text_in_llama_vscode(installation: Installation, tmp_path: Path):
    package = os.environ.get("MIDFILL_LLAMA_VSCODE")
    if not package:
        pytest.skip("MISSING llama.vscode: set MIDFILL_LLAMA_VSCODE to its package (.vsix)")
    server = CodeServer(
        replace(installation, package=Path(package)), tmp_path / "home", private(tmp_path)
    )
    engine = RecordingEngine(*MIDDLE).start()
    quiet = {"llama-vscode.ask_install_llamacpp": False, "llama-vscode.rag_enabled": False}
    server.profile({}, {**recipe("llama.vscode", engine.port), **quiet})
    await server.start()
    try:
        async with browser(installation.chromium) as chromium:
            window = Window(server, await chromium.new_page())
            file = server.write("work.js", TEXT)
            await window.open(server.write("other.js", OTHER))
            welcome = '.tab.active:has-text("Information") .tab-actions .action-label'
            await window.page.click(welcome)
            # Of a saved file it takes its extra context.
            await window.focus()
            await window.type(" ")
            await window.saved()
            await until("a warm-up", lambda: "warm-up" in by_kind(engine))
            await window.page.dblclick('.explorer-folders-view :text-is("work.js")')
            await window.page.wait_for_selector('.tab.active:has-text("work.js")')
            window.file = file
            await window.cursor(5, 4)
            await window.type("return")
            await window.sees("sum(values)")
            await window.type(" ")
            await until("what is asked ahead", lambda: asked(engine, "    return sum(values)"))
            await window.sees("sum(values)")
            await window.keep(OUTPUT / "unmodified-llama.vscode.png")
            await window.press("Tab")
            assert "    return sum(values)\n}" in await window.saved()
    finally:
        await server.stop()
        engine.close()
    seen = {
        "warm-up": by_kind(engine)["warm-up"],
        "completion": asked(engine, "    return "),
        "asked ahead": asked(engine, "    return sum(values)"),
    }
    for exchange in seen.values():
        for extra in exchange["body"]["input_extra"]:
            extra["filename"] = "/home/someone/" + Path(extra["filename"]).name
    compare("llama.vscode", "run in code-server", package, seen)


def asked(engine: RecordingEngine, prompt: str) -> dict[str, Any]:
    """The first exchange with this line before the cursor; an empty one if there is none yet."""
    return next((e for e in engine.exchanges if e["body"].get("prompt") == prompt), {})


def recipe(name: str, port: int) -> dict[str, object]:
    """The settings that `midfill init` prints."""
    words = [sys.executable, "-m", "midfill_lsp.cli", "init", name, "--port", str(port)]
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    return json.loads("\n".join(li for li in printed.splitlines() if "//" not in li.split(":")[0]))
