"""A user's desk: a Neovim with the plugin, one file, a language server, and its message log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.editors import screenshot

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "editor-clients" / "neovim"
SCRIPTED = Path(__file__).parent / "scripted_lsp.py"

#: What the scripted servers complete, and its two lines.
ADD = "def add(left, right):\n    return left + right"
FIRST, SECOND = ADD.split("\n")

#: Colours of their own, so that the screen tells which group a cell has.
GROUPS = ("Ghost", "Sure", "Likely", "Unsure", "Open", "Hint")


@dataclass(frozen=True)
class Program:
    """An installed editor."""

    name: str
    version: str
    path: Path


class Desk:
    """Starts with `open`, ends with `close`; ``nvim`` types and looks, `messages` tells all."""

    def __init__(
        self,
        program: Program,
        folder: Path,
        text: str = "",
        *,
        name: str = "work.py",
        options: Mapping[str, Any] | None = None,
        script: Mapping[str, Any] | None = None,
        lua: str = "",
        command: list[str] | None = None,
        env: Mapping[str, str] | None = None,
        encoding: str = "utf-16",
        size: tuple[int, int] = (80, 24),
        package: bool = False,
        plain_colours: bool = False,
        served: bool = True,
    ) -> None:
        self.program, self.folder, self.size, self.served = program, folder, size, served
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / name
        self.file.write_bytes(text.encode())
        self.log = folder / "messages.jsonl"
        self.command = command or [sys.executable, str(SCRIPTED)]
        self.env = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NVIM_LOG_FILE": str(folder / "nvim.log"),
            "SCRIPTED_LSP_LOG": str(self.log),
            "SCRIPTED_LSP_ENCODING": encoding,
            "SCRIPTED_LSP_SCRIPT": json.dumps(dict(script or {})),
            **(env or {}),
        }
        self.path = f"vim.opt.rtp:prepend({lua_string(PLUGIN)})\n"
        if package:
            start = folder / "data/nvim/site/pack/midfill/start"
            start.mkdir(parents=True)
            (start / "midfill").symlink_to(PLUGIN)
            self.path = ""
        self.init = folder / "init.lua"
        self.init.write_text(self._init(dict(options or {}), lua, plain_colours=plain_colours))

    def _init(self, options: dict[str, Any], lua: str, *, plain_colours: bool) -> str:
        options.setdefault("cmd", self.command)
        groups = "".join(
            f"vim.api.nvim_set_hl(0, 'Midfill{group}', {{ fg = {0xFF0000 + i} }})\n"
            for i, group in enumerate(GROUPS)
        )
        return (
            f"{self.path}"
            "vim.o.termguicolors = true\nvim.o.shortmess = vim.o.shortmess .. 'I'\n"
            "vim.g.loaded_python3_provider = 0\n"  # its search costs seconds
            "said = {}\nlocal notify = vim.notify\n"
            "vim.notify = function(message, level)\n"
            "  table.insert(said, message)\n"
            "  if quiet == false then notify(message, level) end\nend\n"
            f"require('midfill').setup(vim.json.decode({lua_string(json.dumps(options))}))\n"
            f"{'' if plain_colours else groups}"
            "for key, name in pairs({ f = 'accept', w = 'accept-word', l = 'accept-line',"
            " s = 'accept-sure', n = 'next', p = 'prev', d = 'dismiss', c = 'complete' }) do\n"
            "  vim.keymap.set('i', '<M-' .. key .. '>', '<Plug>(midfill-' .. name .. ')')\nend\n"
            f"{lua}\n"
        )

    def open(self) -> Desk:
        """Start the editor and wait until the server serves the file."""
        from tests.editors.neovim import Neovim

        words = [self.program.path, "--embed", "-n", "-i", "NONE", "-u", self.init, self.file]
        self.nvim = Neovim(words, self.env, self.folder, self.size)
        if self.served:
            self.wait_served()
        return self

    def wait_served(self) -> None:
        serving = "return require('midfill.client').serving(0) ~= nil"
        self.nvim.wait(lambda: self.nvim.lua(serving), "the server serves the file")

    def messages(self, method: str = "", direction: str = "got") -> list[dict[str, Any]]:
        """What the scripted server got or sent so far, oldest first."""
        if not self.log.exists():
            return []
        rows = [
            json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")
        ]
        return [r for r in rows if r["dir"] == direction and method in ("", r.get("method"))]

    def wait_message(
        self, method: str, count: int = 1, where: Callable[[Any], bool] | None = None
    ) -> list[dict[str, Any]]:
        """Wait until the server has got so many messages of a method."""

        def enough() -> list[dict[str, Any]]:
            kept = [m for m in self.messages(method) if where is None or where(m["params"])]
            return kept if len(kept) >= count else []

        return self.nvim.wait(enough, f"{count} messages {method}")

    def script(self, **changes: Any) -> None:
        """Change what the scripted server does from now on."""
        self.nvim.lua("require('midfill.client').notify('scripted/set', ...)", changes)

    def said(self) -> str:
        """All that the user was told, Neovim's own messages last."""
        told = self.nvim.lua("return table.concat(said, '\\n')")
        return f"{told}\n{self.nvim.call('nvim_exec2', 'messages', {'output': True})['output']}"

    def keep(self, output: Path, name: str) -> None:
        """Keep the last screen as text and, where Pillow is there, as a picture."""
        if hasattr(self, "nvim"):
            output.mkdir(parents=True, exist_ok=True)
            screenshot.save(self.nvim.screen, output / name)

    def close(self) -> None:
        if hasattr(self, "nvim"):
            self.nvim.close()


def ask(desk: Desk, keys: str, ghost: str) -> None:
    """Type and wait for the ghost text."""
    desk.nvim.type(keys)
    desk.nvim.wait_ghost(ghost)


def lua_string(value: object) -> str:
    """A Lua string literal for anything printable."""
    equals = "=" * 4
    return f"[{equals}[{os.fspath(value) if isinstance(value, Path) else value}]{equals}]"
