"""Drives a program in a pseudo-terminal and keeps its screen: for editors without an API."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte
from tests.editors.waiting import wait_for


class TerminalScreen(pyte.Screen):
    """A screen that answers nobody, and passes over private forms that pyte does not know."""

    def report_device_status(self, *_: Any, **__: Any) -> None:
        """Stay silent."""

    def select_graphic_rendition(self, *attributes: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attributes)


class Terminal:
    """A running program, its keyboard and its screen."""

    def __init__(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        cwd: Path,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self.screen = TerminalScreen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # pragma: no cover  (the child)
            os.chdir(cwd)
            words = [str(word) for word in command]
            os.execve(words[0], words, {**os.environ, "TERM": "xterm-256color", **env})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read(self, seconds: float = 0.05) -> None:
        """Take in what was drawn meanwhile."""
        while select.select([self._fd], [], [], seconds)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            self._stream.feed(data)
            seconds = 0.0

    def type(self, keys: str) -> None:
        """Press keys, as the bytes that a terminal sends."""
        os.write(self._fd, keys.encode())

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until the condition holds; it is looked at whenever something was drawn."""
        self.read()
        return wait_for(condition, what, look=self.read, screen=self.text)

    def press_until(self, keys: str, condition: Callable[[], Any], what: str) -> None:
        """Press the keys again every other second, until the condition holds."""
        again = 0.0

        def pressed() -> bool:
            nonlocal again
            if condition():
                return True
            if time.monotonic() > again:
                again = time.monotonic() + 2
                self.type(keys)
            return False

        self.wait(pressed, what)

    def close(self) -> None:
        """End it."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                self.read(0.02)
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(self.pid, os.WNOHANG)[0]:
                        os.close(self._fd)
                        return
        os.close(self._fd)
