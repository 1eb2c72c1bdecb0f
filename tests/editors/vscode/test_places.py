"""Where code comes from in VS Code: a workspace that nobody trusts, and one that is no folder."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.editors.vscode.conftest import OUTPUT
from tests.editors.vscode.workbench import (
    GAP,
    MEAN,
    CodeServer,
    Installation,
    Window,
    browser,
    private,
    until,
)
from tests.fake_engine import FakeEngine, fill, middle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.editor,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

MEMORY = Path(__file__).parent / "memory_extension.js"
#: As a user has it, but for the question at the start.
TRUST = {
    "security.workspace.trust.enabled": True,
    "security.workspace.trust.startupPrompt": "never",
}


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def memory_extension(folder: Path) -> Path:
    """The package of an extension with a file system of its own."""
    manifest = {
        "name": "memory",
        "publisher": "midfill",
        "version": "1.0.0",
        "engines": {"vscode": "^1.91.0"},
        "main": "./extension.js",
        "activationEvents": ["onFileSystem:memory", "*"],
        "capabilities": {"untrustedWorkspaces": {"supported": True}, "virtualWorkspaces": True},
    }
    path = folder / "memory.vsix"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("extension/package.json", json.dumps(manifest))
        package.write(MEMORY, "extension/extension.js")
    return path


@dataclass
class Place:
    """A VS Code that asks whom to trust, where no `midfill` is on the PATH."""

    server: CodeServer
    engine: FakeEngine
    context: Any

    def install(self, program: Path) -> None:
        """Leave a command where the extension's own installation would."""
        storage = self.server.home / "data/User/globalStorage/midfill.midfill"
        command = storage / "environment/bin/midfill"
        command.parent.mkdir(parents=True, exist_ok=True)
        command.unlink(missing_ok=True)
        command.symlink_to(program)

    async def window(self, what: Path | str) -> Window:
        window = Window(self.server, await self.context.new_page())
        await window.open(what)
        return window


@pytest_asyncio.fixture(loop_scope="module")
async def place(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    home = tmp_path_factory.mktemp("places")
    env = {"PATH": "/usr/bin:/bin", "MIDFILL_LSP_ENGINE_AUTOSTART": "false"}
    server = CodeServer(installation, home, {**private(home), **env})
    server.profile({}, TRUST)
    await server.install(memory_extension(home))
    await server.start()
    engine = FakeEngine(home / "run")
    engine.answer = fill(middle("um(numbers)"))
    try:
        async with browser(installation.chromium) as chromium:
            context = await chromium.new_context(viewport={"width": 1000, "height": 520})
            yield Place(server, engine, context)
    finally:
        await server.stop()
        await engine.close()


async def test_a_workspace_that_nobody_trusts_runs_nothing_of_its_own(place: Place, program: Path):
    server, engine = place.server, place.engine
    named, venv = server.home / "named-was-run", server.home / "venv-was-run"
    bait = script(server.workspace / "bait", f'touch "{named}"', "exec sleep 60")
    script(server.workspace / ".venv/bin/midfill", f'touch "{venv}"', f'exec "{program}" "$@"')
    server.configure(
        {
            "midfill.client.serverPath": str(bait),
            "midfill.client.python": str(bait),
            "midfill.engine.autostart": True,
            "midfill.engine.command": [str(bait)],
            "midfill.backend.url": "http://127.0.0.1:9",
        }
    )
    window = await place.window(server.write("work.py", MEAN))
    await window.says("not installed")
    assert "In Restricted Mode the workspace's .venv is not used" in await window.tooltip()
    await window.keep(OUTPUT / "restricted.png")

    # What the user installed does run, and completes.
    place.install(program)
    await window.command("Midfill: Install or Start the Language Server")
    await window.says("engine down")
    await engine.start()
    await window.focus()
    await window.cursor(*GAP)
    await window.type("x")  # looks for the engine again
    await window.is_ready()
    await window.press("Backspace")
    await window.type("s")
    await window.sees("um(numbers)")
    await window.keep(OUTPUT / "restricted-completes.png")
    assert not named.exists()
    assert not venv.exists()

    # Trust admits the .venv, and not the settings that only this machine may have.
    await window.command("Workspaces: Manage Workspace Trust")
    await window.page.click('.workspace-trust-editor .monaco-button:text-is("Trust")')
    await window.command("Midfill: Install or Start the Language Server")
    await until("the program of the .venv", venv.exists)
    await window.is_ready()
    assert not named.exists()
    await window.page.close()
    await engine.close()


async def test_a_start_that_overtakes_another_leaves_one_server(place: Place, program: Path):
    server, pids, go = place.server, place.server.home / "pids", place.server.home / "go"
    held = f'while [ ! -e "{go}" ]; do sleep 0.1; done'
    place.install(
        script(server.home / "slow", f'echo $$ >> "{pids}"', held, f'exec "{program}" "$@"')
    )
    await place.engine.start()
    window = await place.window(server.write("work.py", MEAN))
    await until("a first start", pids.exists)
    await window.command("Midfill: Install or Start the Language Server")
    await until("a second start", lambda: len(pids.read_text().split()) == 2)
    go.touch()
    await window.is_ready()
    first, second = (Path("/proc") / pid for pid in pids.read_text().split())
    assert not first.exists()
    assert second.exists()
    await window.cursor(*GAP)
    await window.type("s")
    await window.sees("um(numbers)")


async def test_documents_that_are_no_files(place: Place, program: Path):
    place.install(program)
    await place.engine.start()
    workspace = {"folders": [{"uri": "memory:/", "name": "memory"}]}
    (place.server.home / "virtual.code-workspace").write_text(json.dumps(workspace))
    window = await place.window("memory:/work.py")
    await window.is_ready()
    await window.cursor(*GAP)
    await window.type("s")
    await window.sees("um(numbers)")
    await window.keep(OUTPUT / "virtual.png")

    # Its ignore file is read by VS Code, as the language server cannot.
    other = await place.window("memory:/ignored.py")
    await other.is_ready()
    asked = len(place.engine.requests)
    await other.type("s")
    await other.says("excluded file")
    await other.command("Midfill: Why Nothing?")
    await other.reads("/.midfillignore names this file.")
    assert len(place.engine.requests) == asked
    await other.page.close()

    await window.command("Midfill: Try It in a Sample File")
    await window.page.wait_for_selector('.tab.active:has-text("Untitled-1")')
    await window.sees("um(numbers)")
    await window.keep(OUTPUT / "untitled.png")

    place.engine.answer = fill(middle(""))
    await window.press("Control+Alt+N")  # in the palette, "New Untitled" also compares two
    await window.page.wait_for_selector('.tab.active:has-text("Untitled-2")')
    await window.type("T")
    await window.says("nothing to add")

    await window.command("Preferences: Open Default Settings (JSON)")
    await window.says("not completed here")
    await window.command("Midfill: Why Nothing?")
    await window.reads("Documents of the kind `vscode:` are not completed.")
    await window.keep(OUTPUT / "not-completed-here.png")
