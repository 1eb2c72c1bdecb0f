"""A scripted engine below `midfill lsp`: in a thread of its own, on a Unix socket."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from tests.fake_engine import FakeEngine, fill, middle

LANGUAGE_SERVER = [sys.executable, "-m", "midfill_lsp.cli", "lsp"]


class ScriptedEngine:
    """Completes the texts it was given, wherever the cursor's line begins one of them."""

    def __init__(self, completions: Sequence[str] = ()) -> None:
        # Not under pytest's folder: the path of a Unix socket holds about a hundred bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="midfill-"))
        self.completions = list(completions)
        self.delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.fake: Any = self._do(self._make())

    async def _make(self) -> Any:
        fake = FakeEngine(self.directory)
        fake.answer = self.answer
        return fake

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def start(self) -> ScriptedEngine:
        self._do(self.fake.start())
        return self

    def kill(self) -> None:
        """Hang up on everybody."""
        self._do(self.fake.close())

    def call(self, function: Callable[[], object]) -> None:
        """Run a function in the engine's loop."""
        self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        self.call(self.fake.go.set)
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def answer(self, request: dict[str, Any]) -> Any:
        """The rest of the first text that the cursor's line begins, a token for each word."""
        before = request["prefix"].rpartition("\n")[2].lstrip()
        for text in self.completions:
            if before and text.startswith(before) and text != before:
                pieces = []
                rest = text[len(before) :]
                rest = rest.split("\n")[0] if request.get("single_line") else rest
                for line in rest.splitlines(keepends=True):
                    pieces += [word + " " for word in line.split(" ")]
                    pieces[-1] = pieces[-1][:-1]
                return fill(middle(*pieces))
        return fill(middle(""))

    def environment(self) -> dict[str, str]:
        """Variables that lead a language server here, and away from the user's files."""
        return {
            "MIDFILL_RUNTIME_DIR": str(self.directory),
            "MIDFILL_STATE_DIR": str(self.directory / "state"),
            "MIDFILL_CONFIG": str(self.directory / "user.toml"),
            "MIDFILL_LSP_ENGINE_AUTOSTART": "false",
        }
