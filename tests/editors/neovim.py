"""Drives a real Neovim over msgpack-rpc and keeps the grid that a terminal would show.

Owns the process, the keyboard and the screen; knows nothing of Midfill.
"""

from __future__ import annotations

import itertools
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgpack
from tests.editors.waiting import PATIENCE_S, wait_for

T = TypeVar("T")


class NeovimError(Exception):
    """Neovim answered a call with an error."""


@dataclass
class Cell:
    """One cell of the grid: its text and the number of its highlight."""

    text: str = " "
    highlight: int = 0


@dataclass
class Screen:
    """What a user sees: cells, cursor and highlights, as the redraw events tell."""

    width: int
    height: int
    cells: list[list[Cell]] = field(default_factory=list)
    cursor: tuple[int, int] = (0, 0)
    attributes: dict[int, dict[str, Any]] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    colours: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.cells = [[Cell() for _ in range(self.width)] for _ in range(self.height)]

    def apply(self, event: str, arguments: Sequence[Any]) -> None:
        """Take one redraw event."""
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(*arguments)

    def _on_grid_resize(self, _grid: int, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.clear()

    def _on_grid_clear(self, _grid: int) -> None:
        self.clear()

    def _on_grid_cursor_goto(self, _grid: int, row: int, column: int) -> None:
        self.cursor = (row, column)

    def _on_grid_line(
        self, _grid: int, row: int, column: int, cells: Sequence[Sequence[Any]], *_: Any
    ) -> None:
        highlight = 0
        for cell in cells:
            if len(cell) > 1:
                highlight = cell[1]
            for _ in range(cell[2] if len(cell) > 2 else 1):
                self.cells[row][column] = Cell(cell[0], highlight)
                column += 1

    def _on_grid_scroll(
        self, _grid: int, top: int, bottom: int, left: int, right: int, rows: int, _columns: int
    ) -> None:
        order = range(top, bottom - rows) if rows > 0 else range(bottom - 1, top - rows - 1, -1)
        for row in order:
            source = self.cells[row + rows]
            self.cells[row][left:right] = [Cell(c.text, c.highlight) for c in source[left:right]]

    def _on_hl_attr_define(
        self, number: int, rgb: dict[str, Any], _cterm: Any, info: Sequence[dict[str, Any]]
    ) -> None:
        self.attributes[number] = rgb
        self.groups[number] = " ".join(str(part.get("hi_name", "")) for part in info)

    def _on_default_colors_set(self, fg: int, bg: int, *_: Any) -> None:
        self.colours = {"foreground": fg, "background": bg}

    def rows(self) -> list[str]:
        """The rows as text, without trailing blanks."""
        return ["".join(cell.text for cell in row).rstrip() for row in self.cells]

    def text(self) -> str:
        return "\n".join(self.rows())

    def marked(self, prefix: str) -> str:
        """The text of all cells whose highlight group starts with a prefix, row by row."""
        rows = []
        for row in self.cells:
            kept = [cell for cell in row if self.in_group(cell, prefix)]
            if kept:
                rows.append("".join(cell.text for cell in kept))
        return "\n".join(rows)

    def in_group(self, cell: Cell, prefix: str) -> bool:
        return any(g.startswith(prefix) for g in self.groups.get(cell.highlight, "").split())


class Neovim:
    """A running Neovim with a user interface attached."""

    def __init__(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        cwd: Path,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self.screen = Screen(*size)
        self.flushed = 0.0  # when the screen last changed
        self.frames: list[list[str]] | None = None
        self.notifications: list[tuple[str, list[Any]]] = []
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **env},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[tuple[Any, Any]]] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        options = {"ext_linegrid": True, "rgb": True, "ext_hlstate": True}
        self.call("nvim_ui_attach", *size, options)
        # Attaching returns before the file is loaded.
        self.wait(lambda: self.call("nvim_get_vvar", "vim_did_enter") == 1, "Neovim has started")

    # -- the wire ---------------------------------------------------------------------------------

    def _read(self) -> None:
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="replace")
        stdout = self.process.stdout
        assert stdout is not None
        while chunk := os.read(stdout.fileno(), 65536):
            unpacker.feed(chunk)
            for message in unpacker:
                self._take(message)
        with self._changed:
            self._changed.notify_all()
        for waiting in self._answers.values():
            waiting.put(("Neovim has ended", None))

    def _take(self, message: Sequence[Any]) -> None:
        if message[0] == 1:
            self._answers.pop(message[1]).put((message[2], message[3]))
            return
        if message[0] != 2:
            return
        _, method, arguments = message
        with self._changed:
            if method == "redraw":
                for event, *calls in arguments:
                    for call in calls:
                        self.screen.apply(event, call)
                    if event == "flush":
                        self.flushed = time.perf_counter()
                        if self.frames is not None:
                            self.frames.append(self.screen.rows())
            else:
                self.notifications.append((method, arguments))
            self._changed.notify_all()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call the API and return the result."""
        number = next(self._numbers)
        answer: queue.Queue[tuple[Any, Any]] = queue.Queue(1)
        self._answers[number] = answer
        self._send([0, number, method, list(arguments)])
        error, result = answer.get(timeout=PATIENCE_S)
        if error:
            raise NeovimError(f"{method}: {error[1] if isinstance(error, list) else error}")
        return result

    def _send(self, message: Sequence[Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgpack.packb(message))
        self.process.stdin.flush()

    # -- a user's hands and eyes ------------------------------------------------------------------

    def type(self, keys: str) -> None:
        """Press keys, in Neovim's notation, and do not wait."""
        self._send([2, "nvim_input", [keys]])

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.call("nvim_exec_lua", code, list(arguments))

    def command(self, command: str) -> None:
        self.call("nvim_command", command)

    def lines(self) -> list[str]:
        """The buffer's lines, without any ghost."""
        lines: list[str] = self.call("nvim_buf_get_lines", 0, 0, -1, False)
        return lines

    def ghost(self) -> str:
        """The ghost text on the screen."""
        with self._changed:
            return self.screen.marked("Midfill")

    def record(self) -> list[list[str]]:
        """Keep the rows of every frame from now on."""
        with self._changed:
            self.frames = [self.screen.rows()]
            return self.frames

    def mode(self) -> str:
        return str(self.call("nvim_get_mode")["mode"])

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Wait until the condition holds; it is looked at after each redraw and now and then."""

        def look() -> None:
            with self._changed:
                self._changed.wait(0.02)

        return wait_for(condition, what, look=look, screen=self.screen.text)

    def wait_ghost(self, text: str) -> None:
        """Wait until exactly this ghost text is on the screen; blanks at line ends do not count."""

        def stripped(some: str) -> list[str]:
            return [line.rstrip() for line in some.split("\n")]

        def same() -> bool:
            return stripped(self.ghost()) == stripped(text)

        try:
            self.wait(same, "ghost text")
        except AssertionError as error:
            raise AssertionError(f"wanted {text!r}, saw {self.ghost()!r}\n{error}") from None

    def close(self) -> None:
        """End it, gently first."""
        if self.process.poll() is None:
            try:
                self._send([2, "nvim_command", ["qall!"]])
                self.process.wait(5)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait(5)
        self._reader.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
