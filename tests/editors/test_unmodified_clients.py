"""Clients that nobody changed, in Neovim, against the real HTTP engine with a scripted model.

Each runs where a variable names its folder, set up with what `midfill init` prints. What it sends
must have the form of what is kept (`tests.editors.kept`), which is replayed without it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.editors.conftest import OUTPUT
from tests.editors.desk import Program
from tests.editors.kept import MIDDLE, by_kind, compare
from tests.editors.recording import RecordingEngine
from tests.editors.screenshot import save

pytestmark = pytest.mark.editor

TEXT = """\
def mean(values):
    return sum(values) / len(values)


def total(values):
    \n

print(total([1, 2]))
"""
OTHER = "".join(f"def other_{n}():\n    return {n}\n\n\n" for n in range(20))


class Client(NamedTuple):
    """How a client is started, seen and used."""

    variable: str
    language: str
    accept: str
    sends: frozenset[str]


CLIENTS = {
    "llama.vim": Client(
        "MIDFILL_LLAMA_VIM", "vim", "<Tab>", frozenset({"warm-up", "completion", "asked ahead"})
    ),
    "minuet": Client("MIDFILL_MINUET", "lua", "<M-l>", frozenset({"completion"})),
}


@pytest.fixture
def engine() -> Iterator[RecordingEngine]:
    engine = RecordingEngine(*MIDDLE).start()
    yield engine
    engine.close()


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_ghost_text_in_an_unmodified_client(
    neovim_program: Program, engine: RecordingEngine, tmp_path: Path, name: str
) -> None:
    client = CLIENTS[name]
    folder = os.environ.get(client.variable)
    if not folder:
        pytest.skip(f"MISSING {name}: set {client.variable} to its folder")
    pytest.importorskip("msgpack", reason="MISSING msgpack: pip install -e '.[test]'")
    from tests.editors.neovim import Neovim

    init = tmp_path / f"init.{client.language}"
    init.write_text(start_up(name, client, folder, engine.port))
    file, other = tmp_path / "work.py", tmp_path / "other.py"
    file.write_text(TEXT)
    other.write_text(OTHER)
    words = [neovim_program.path, "--embed", "-n", "-i", "NONE", "-u", init, file]
    nvim = Neovim(words, {"HOME": str(tmp_path), "TERM": "xterm-256color"}, tmp_path)
    try:
        # Coming from another file is what llama.vim takes its extra context from.
        nvim.type(f":edit {other}<CR>20G:write<CR>:edit {file}<CR>")
        nvim.wait(lambda: nvim.lines() == TEXT.splitlines(), "back in the file")
        if "warm-up" in client.sends:
            nvim.wait(lambda: engine.exchanges, "it warms up")
        nvim.type("6GAreturn ")
        nvim.wait(lambda: "    return sum(values)" in nvim.screen.rows()[5], "ghost text")
        assert nvim.lines()[5] == "    return "
        save(nvim.screen, OUTPUT / f"unmodified-{name}-{neovim_program.name}")
        nvim.wait(lambda: client.sends <= set(by_kind(engine)), "all kinds of requests")
        nvim.type(client.accept)
        nvim.wait(lambda: nvim.lines()[5] == "    return sum(values)", "accepted")
    finally:
        nvim.close()
    seen = {what: by_kind(engine)[what] for what in client.sends}
    compare(name, f"run in Neovim {neovim_program.version}", folder, seen)


def start_up(name: str, client: Client, folder: str, port: int) -> str:
    """An init file: the recipe, and the plugin's folder."""
    words = [sys.executable, "-m", "midfill_lsp.cli", "init", name, "--port", str(port)]
    recipe = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    if client.language == "vim":
        return (
            f"let g:loaded_python3_provider = 0\n{recipe}set runtimepath^={folder}\n"
            "set shortmess+=I\n"
        )
    return (
        "vim.g.loaded_python3_provider = 0\nvim.opt.shortmess:append('I')\n"
        f"vim.opt.runtimepath:prepend('{folder}')\n{recipe}"
    )
