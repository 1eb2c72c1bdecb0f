"""Emacs and Helix in a terminal, set up with what `midfill init` prints; a scripted engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.editors.conftest import OUTPUT, found

pytest.importorskip("pyte", reason="MISSING pyte: pip install -e '.[test]'")
from tests.editors.engine import ScriptedEngine
from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editor

ADD = "def add(left, right):\n    return left + right"
FIRST, SECOND = ADD.split("\n")
#: Emacs of another Debian, unpacked: nothing is compiled, and the packages' folders are named.
EMACS = """\
(setq native-comp-jit-compilation nil native-comp-enable-subr-trampolines nil
      inhibit-startup-screen t make-backup-files nil auto-save-default nil)
(dolist (d (directory-files (getenv "MIDFILL_ELPA") t "^[^.]")) (add-to-list 'load-path d))
(load "lsp-mode-autoloads" t)
(setq lsp-auto-guess-root t lsp-enable-suggest-server-download nil lsp-disabled-clients '(ruff))
"""


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine([ADD])
    yield engine.start()
    engine.close()


@pytest.fixture
def open_terminal(
    request: pytest.FixtureRequest, engine: ScriptedEngine, tmp_path: Path
) -> Iterator[Any]:
    terminals: list[Terminal] = []

    def start(*command: Any, **env: str) -> Terminal:
        home = {"HOME": str(tmp_path), **engine.environment(), **env}
        terminals.append(Terminal([*command, tmp_path / "work.py"], home, tmp_path))
        return terminals[-1]

    (tmp_path / ".git").mkdir()
    (tmp_path / "work.py").write_text("# first\n\n")
    yield start
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for terminal in terminals:
        (OUTPUT / f"{request.node.name}.txt").write_text(terminal.text() + "\n")
        terminal.close()


def recipe(editor: str, folder: Path) -> str:
    """What `midfill init` prints, for the language server of this tree."""
    server = folder / "midfill"
    server.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m midfill_lsp.cli "$@"\n')
    server.chmod(0o755)
    words = [sys.executable, "-m", "midfill_lsp.cli", "init", editor, "--command", str(server)]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout


def holds(file: Path, text: str) -> bool:
    """Whether a file holds a text; while an editor saves, it may be away."""
    return file.exists() and file.read_text() == text


def test_emacs_lsp_mode_shows_ghost_text(open_terminal: Any, tmp_path: Path) -> None:
    program = found("emacs").path
    init = tmp_path / "init.el"
    hook = "(require 'lsp-mode)\n(add-hook 'python-mode-hook #'lsp)\n"
    init.write_text(EMACS + recipe("emacs", tmp_path) + hook)
    emacs = open_terminal(program, "-Q", "-l", init)
    emacs.wait(lambda: "initialized successfully" in emacs.text(), "the server runs")
    emacs.wait(lambda: "work.py" in emacs.text(), "the file is shown")
    emacs.type("\x1b>def a")
    emacs.wait(lambda: FIRST in emacs.text() and SECOND in emacs.text(), "ghost text")
    assert "Warning" not in emacs.text()
    emacs.type("\x1b\r\x18\x13")
    wanted = f"# first\n\n{ADD}\n"
    emacs.wait(lambda: holds(tmp_path / "work.py", wanted), "accepted and saved")


def test_emacs_eglot_completes_at_point(open_terminal: Any, tmp_path: Path) -> None:
    program = found("emacs").path
    init = tmp_path / "init.el"
    hook = "(require 'eglot)\n(add-hook 'python-mode-hook #'eglot-ensure)\n"
    init.write_text(EMACS + recipe("eglot", tmp_path) + hook)
    emacs = open_terminal(program, "-Q", "-l", init)
    emacs.wait(lambda: "Connected!" in emacs.text(), "the server runs")
    emacs.type("\x1b>def a")
    emacs.wait(lambda: "def a" in emacs.text(), "typed")
    # Nothing is offered before the engine was found.
    emacs.press_until("\x1b\t", lambda: SECOND in emacs.text(), "completed")
    emacs.type("\x18\x13")
    wanted = f"# first\n\n{ADD}\n"
    emacs.wait(lambda: holds(tmp_path / "work.py", wanted), "completed and saved")


def test_helix_offers_it_in_its_menu(open_terminal: Any, tmp_path: Path) -> None:
    program = found("helix").path
    config = tmp_path / "config"
    (config / "helix").mkdir(parents=True)
    (config / "helix/languages.toml").write_text(recipe("helix", tmp_path))
    helix = open_terminal(program, XDG_CONFIG_HOME=str(config))
    helix.wait(lambda: "work.py" in helix.text(), "the file is shown")
    helix.type("geo")
    helix.type("def add")
    helix.wait(lambda: "def add" in helix.text(), "typed")
    # Nothing is offered before the engine was found: type the last letter again.
    helix.press_until("\x7fd", lambda: "add(left, right):" in helix.text(), "the menu")
    helix.press_until("\x0e\r", lambda: SECOND in helix.text(), "chosen")
    helix.type("\x1b")
    helix.wait(lambda: "NOR" in helix.text(), "normal mode")
    helix.type(":w\r")
    wanted = f"# first\n\n{ADD}\n"
    helix.wait(lambda: holds(tmp_path / "work.py", wanted), "saved")
