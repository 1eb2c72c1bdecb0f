"""Emacs, Helix and Vim in a terminal, set up with what `midfill init` prints; a scripted engine.

What is no package of Debian runs where a variable names its folder: coc.nvim with its `build`
(`MIDFILL_COC`, and `MIDFILL_NODE` for the Node that it needs), vim-lsp (`MIDFILL_VIM_LSP`),
llama.vim (`MIDFILL_LLAMA_VIM`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.editors.conftest import OUTPUT, found
from tests.editors.desk import ADD, FIRST, SECOND

pytest.importorskip("pyte", reason="MISSING pyte: pip install -e '.[test]'")
from tests.editors.engine import ScriptedEngine
from tests.editors.screenshot import save_terminal
from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editor

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

    def start(*command: Any, name: str = "work.py", **env: str) -> Terminal:
        home = {"HOME": str(tmp_path), **engine.environment(), **env}
        terminals.append(Terminal([*command, tmp_path / name], home, tmp_path))
        return terminals[-1]

    (tmp_path / ".git").mkdir()
    (tmp_path / "work.py").write_text("# first\n\n")
    yield start
    for number, terminal in enumerate(terminals):
        name = f"{request.node.name}-{number}" if number else request.node.name
        save_terminal(terminal.screen, OUTPUT / name)
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
    try:
        return file.read_text() == text
    except FileNotFoundError:
        return False


@pytest.fixture
def lsp_mode(open_terminal: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens Emacs with lsp-mode on a file and waits for the server."""
    program = found("emacs").path
    init = tmp_path / "init.el"
    hook = "(require 'lsp-mode)\n(add-hook 'python-mode-hook #'lsp)\n"
    init.write_text(EMACS + recipe("emacs", tmp_path) + hook)

    def start(name: str = "work.py") -> Terminal:
        emacs: Terminal = open_terminal(program, "-Q", "-l", init, name=name)
        emacs.wait(lambda: "initialized successfully" in emacs.text(), "the server runs")
        emacs.wait(lambda: name in emacs.text(), "the file is shown")
        emacs.type("\x1b>")
        return emacs

    return start


def ghost_after(emacs: Terminal, typed: str, text: str) -> None:
    """Type, and wait until the screen shows the text; the buffer does not hold it yet."""
    emacs.type(typed)
    emacs.wait(lambda: text in emacs.text(), f"ghost text {text!r}")


def test_emacs_lsp_mode_shows_ghost_text(lsp_mode: Any, tmp_path: Path) -> None:
    emacs = lsp_mode()
    ghost_after(emacs, "def a", SECOND)
    assert FIRST in emacs.text()
    assert "Warning" not in emacs.text()
    emacs.type("\x1b\r\x18\x13")
    wanted = f"# first\n\n{ADD}\n"
    emacs.wait(lambda: holds(tmp_path / "work.py", wanted), "accepted and saved")


def test_emacs_accepts_a_word_a_line_and_the_rest(lsp_mode: Any, tmp_path: Path) -> None:
    emacs = lsp_mode()
    typed = "def a"
    for keys, saved in (
        ("\x1bf", "def add"),
        ("\x1bf", "def add("),
        ("\x1be", FIRST),
        ("\x1b\r", ADD),
    ):
        ghost_after(emacs, typed, SECOND)
        emacs.type(f"{keys}\x18\x13")
        wanted = f"# first\n\n{saved}\n"
        emacs.wait(lambda w=wanted: holds(tmp_path / "work.py", w), f"saved {saved!r}")
        typed = "x\x7f"  # saving hides ghost text; a change brings it back


def test_emacs_cancels_when_typing_goes_on(
    lsp_mode: Any, engine: ScriptedEngine, tmp_path: Path
) -> None:
    emacs = lsp_mode()
    engine.call(engine.fake.go.clear)
    emacs.type("def a")
    emacs.wait(lambda: engine.fake.asked, "the engine is asked")
    emacs.type("x")
    emacs.wait(lambda: engine.fake.cancelled >= 1, "the engine is told to stop")
    engine.call(engine.fake.go.set)
    ghost_after(emacs, "\x7f", SECOND)
    emacs.type("z")
    emacs.wait(lambda: SECOND not in emacs.text(), "a key that disagrees hides it")
    emacs.type("\x18\x13")
    emacs.wait(lambda: holds(tmp_path / "work.py", "# first\n\ndef az\n"), "only what was typed")


def test_emacs_goes_on_when_the_engine_is_gone_and_back(
    lsp_mode: Any, engine: ScriptedEngine
) -> None:
    emacs = lsp_mode()
    ghost_after(emacs, "def a", SECOND)
    engine.kill()
    emacs.type("q")
    emacs.wait(lambda: "def aq" in emacs.text() and SECOND not in emacs.text(), "typing goes on")
    engine.start()
    emacs.press_until("\x7fd\x7fd", lambda: SECOND in emacs.text(), "ghost text again")
    assert "exited" not in emacs.text()


def test_two_emacs_and_one_engine(lsp_mode: Any, engine: ScriptedEngine, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("# other\n\n")
    first, second = lsp_mode(), lsp_mode("other.py")
    ghost_after(first, "def a", SECOND)
    ghost_after(second, "def ad", SECOND)
    for emacs, name in ((first, "work.py"), (second, "other.py")):
        emacs.type("\x1b\r\x18\x13")
        emacs.wait(lambda n=name: ADD in (tmp_path / n).read_text(), "accepted and saved")
    assert len({request["session"] for request in engine.fake.asked}) == 2


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


# -- Vim -------------------------------------------------------------------------------------------


def plugin_of(name: str, variable: str) -> str:
    """The folder of a Vim plugin; skips, loudly, when none is named."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"MISSING {name}: set {variable} to its folder")
    return folder


def vim_init(folder: Path, plugin: str, recipe: str, more: str = "") -> Path:
    path = folder / "init.vim"
    path.write_text(
        f"set nocompatible shortmess+=I noswapfile\n{recipe}\nset runtimepath^={plugin}\n"
        f"filetype plugin indent on\n{more}\n"
    )
    return path


def test_vim_with_coc_shows_ghost_text(open_terminal: Any, tmp_path: Path) -> None:
    plugin = plugin_of("coc.nvim", "MIDFILL_COC")
    program = found("vim").path
    (tmp_path / "coc-settings.json").write_text(recipe("coc", tmp_path))
    before = f"let g:coc_config_home = '{tmp_path}'\nlet g:coc_disable_startup_warning = 1\n"
    before += f"let g:coc_node_path = '{os.environ.get('MIDFILL_NODE', 'node')}'\n"
    keys = (
        'inoremap <silent><expr> <Tab> coc#inline#visible() ? coc#inline#accept() : "\\<Tab>"\n'
        "inoremap <silent> <C-f> <Cmd>call coc#inline#accept('word')<CR>\n"
        "autocmd User CocNvimInit echomsg 'coc is there'\n"
    )
    vim = open_terminal(program, "-u", vim_init(tmp_path, plugin, before, keys))
    vim.wait(lambda: "coc is there" in vim.text(), "coc.nvim has started")
    vim.type("Godef a")
    vim.press_until("x\x7f", lambda: SECOND in vim.text(), "ghost text")
    vim.type("\x06\x1b:w\r")
    vim.wait(lambda: holds(tmp_path / "work.py", "# first\n\ndef add\n"), "a word, saved")
    vim.type("A")
    vim.press_until("x\x7f", lambda: SECOND in vim.text(), "ghost text again")
    vim.type("\t\x1b:w\r")
    wanted = f"# first\n\n{ADD}\n"
    vim.wait(lambda: holds(tmp_path / "work.py", wanted), "accepted and saved")


def test_vim_with_vim_lsp_completes_by_omnifunc(open_terminal: Any, tmp_path: Path) -> None:
    plugin = plugin_of("vim-lsp", "MIDFILL_VIM_LSP")
    program = found("vim").path
    omni = "autocmd User lsp_buffer_enabled setlocal omnifunc=lsp#complete | echomsg 'enabled'"
    vim = open_terminal(program, "-u", vim_init(tmp_path, plugin, recipe("vim", tmp_path), omni))
    vim.wait(lambda: "enabled" in vim.text(), "the server runs")
    vim.type("Godef a")
    vim.press_until("\x18\x0f", lambda: FIRST in vim.text(), "the menu")
    vim.type("\x19\x1b:w\r")
    wanted = f"# first\n\n{FIRST}\n"
    vim.wait(lambda: holds(tmp_path / "work.py", wanted), "accepted and saved")


def test_vim_with_llama_vim_shows_ghost_text(open_terminal: Any, tmp_path: Path) -> None:
    from tests.editors.recording import RecordingEngine

    plugin = plugin_of("llama.vim", "MIDFILL_LLAMA_VIM")
    program = found("vim").path
    http = RecordingEngine("dd", "(left, right):").start()
    words = [sys.executable, "-m", "midfill_lsp.cli", "init", "llama.vim", "--port", str(http.port)]
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    try:
        vim = open_terminal(program, "-u", vim_init(tmp_path, plugin, printed))
        vim.wait(lambda: "work.py" in vim.text(), "the file is shown")
        vim.type("Godef a")
        vim.wait(lambda: FIRST in vim.text(), "ghost text")
        vim.type("\t\x1b:w\r")
        wanted = f"# first\n\n{FIRST}\n"
        vim.wait(lambda: holds(tmp_path / "work.py", wanted), "accepted and saved")
    finally:
        http.close()
