"""One code-server, one browser window and one scripted engine for all tests of VS Code."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.editors.desk import Program
from tests.editors.vscode import install
from tests.editors.vscode.workbench import CodeServer, Installation, Window, browser, private
from tests.fake_engine import FakeEngine, fill, middle

OUTPUT = Path(__file__).parents[1] / "output" / "vscode"
LATENCY = OUTPUT / "latency.json"
measured: dict[str, dict[str, Any]] = {}


@pytest.fixture(scope="session")
def installation(find_editor: Callable[[str], Program]) -> Installation:
    """What is installed here, and the extension freshly packed."""
    program = find_editor("vscode")
    sys.path.insert(0, str(install.PYLIB))
    return Installation(program.path, install.chromium(), install.package())


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A command `midfill` that runs this checkout."""
    path = tmp_path_factory.mktemp("bin") / "midfill"
    sources = os.pathsep.join(str(install.REPOSITORY / part) for part in ("lsp_server", "engine"))
    run = f'exec "{sys.executable}" -m midfill_lsp.cli "$@"'
    path.write_text(f'#!/bin/sh\nexport PYTHONPATH="{sources}"\n{run}\n')
    path.chmod(0o755)
    return path


@dataclass
class Office:
    """What a test works with: a window, the scripted engine behind it, and files to open."""

    server: CodeServer
    engine: FakeEngine
    window: Window
    texts: int = 0
    output: Path = OUTPUT

    def answers(self, *pieces: str | tuple[str, float], **more: Any) -> None:
        """From now on the engine fills with these tokens (confidence 0.9 unless given)."""
        self.engine.answer = fill(middle(*pieces), **more)

    def user_setting(self, name: str) -> Any:
        """What the user's settings say, as a command of the extension wrote it."""
        path = self.server.home / "data" / "User" / "settings.json"
        return json.loads(path.read_text()).get(f"midfill.{name}")

    def record(self, what: str, samples: list[float]) -> None:
        """Keep a measurement in the output folder and for the closing lines."""
        rounded = [round(sample, 1) for sample in samples]
        measured[what] = {"median_ms": statistics.median(rounded), "samples_ms": rounded}
        LATENCY.parent.mkdir(parents=True, exist_ok=True)
        LATENCY.write_text(json.dumps(measured, indent=1) + "\n")

    def outcomes(self, **wanted: Any) -> list[dict[str, Any]]:
        """Lines of the language server's journal that say this."""
        path = self.server.home / "state" / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if wanted.items() <= line.items()]

    async def edit(self, text: str, cursor: tuple[int, int]) -> None:
        """Put a text into the window's file and the cursor at (line, character)."""
        self.texts += 1
        # A last line of its own keeps what the language server remembers of other tests away.
        self.server.write("work.py", text + self._mark)
        await self.window.reload()
        await self.window.cursor(*cursor)
        self.engine.requests.clear()

    async def goes_on(self) -> None:
        """Behind a typed ``s`` that found no engine: one is there again, and is found."""
        await self.window.says("engine down")
        await self.engine.start()
        self.answers("um(numbers)")
        await self.window.press("Backspace")
        await self.window.is_ready()
        await self.window.type("s")
        await self.window.sees("um(numbers)")

    async def saved(self) -> str:
        """The text as saved to the disk."""
        text = await self.window.saved()
        assert text.endswith(self._mark)
        return text.removesuffix(self._mark)

    @property
    def _mark(self) -> str:
        return f"# {self.texts}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_office(
    installation: Installation, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    """Started once: the workbench takes ten seconds to come up."""
    home = tmp_path_factory.mktemp("vscode")
    server = CodeServer(installation, home, private(home))
    machine = {"midfill.client.serverPath": str(program), "midfill.engine.autostart": False}
    server.profile(machine)
    server.configure({})
    engine = await FakeEngine(home / "run").start()
    await server.start()
    try:
        async with browser(installation.chromium) as chromium:
            context = await chromium.new_context(viewport={"width": 1000, "height": 520})
            window = Window(server, await context.new_page())
            await window.open(server.write("work.py", "pass\n"))
            await window.says("Midfill")
            await window.is_ready()
            yield Office(server, engine, window)
    finally:
        await server.stop()
        await engine.close()


@pytest_asyncio.fixture(loop_scope="module")
async def office(shared_office: Office, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    """The office as it was in the beginning; keeps a picture of how the test left the window."""
    engine = shared_office.engine
    engine.drafts, engine.cancelled = [], 0
    engine.go.set()
    shared_office.answers("fake()")
    shared_office.server.configure({})
    yield shared_office
    await shared_office.window.keep(OUTPUT / f"{request.node.name}.png")
    await shared_office.window.tidy()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how fast it was."""
    for what, found in measured.items():
        median = f"{found['median_ms']:.0f} ms, the median of {len(found['samples_ms'])}"
        terminalreporter.write_line(f"vscode     key to ghost text, {what}: {median}")
