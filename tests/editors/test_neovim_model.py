"""Neovim and the shipped model, nothing scripted; llama.vim, unmodified, where its path is set."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.editors.desk import ROOT, Desk, Program
from tests.editors.waiting import wait_for

pytestmark = [pytest.mark.editor, pytest.mark.model, pytest.mark.timeout(400)]

MODEL = ROOT / "models" / "midfill-0.5b-v8"
COMMAND = [sys.executable, "-m", "midfill_lsp.cli"]
TEXT = """\
def mean(values):
    return sum(values) / len(values)


def total(values):
    \n

print(total([1, 2]))
"""
LOAD_LIMIT_S = 180


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A runtime directory of its own; what was started in it is ended."""
    if not any(MODEL.glob("*.safetensors")):
        pytest.skip(f"MISSING model: {MODEL} is not there")
    with tempfile.TemporaryDirectory(prefix="midfill-") as directory:
        env = {
            "MIDFILL_RUNTIME_DIR": directory,
            "MIDFILL_STATE_DIR": f"{directory}/state",
            "MIDFILL_CONFIG": f"{directory}/user.toml",
            "MIDFILL_MODEL": str(MODEL),
        }
        yield env
        subprocess.run([*COMMAND, "stop"], env={**os.environ, **env}, check=False, timeout=60)


def wait(condition: Callable[[], object], what: str) -> None:
    """Loading a model takes longer than anything an editor does."""
    wait_for(condition, what, look=lambda: time.sleep(0.2), patience_s=LOAD_LIMIT_S)


@pytest.mark.parametrize("neovim_program", ["nvim-0.12"], indirect=True)
def test_the_shipped_model_completes_in_neovim(
    open_desk: Callable[..., Desk], environment: dict[str, str]
) -> None:
    budget = {"settings": {"budgetMs": 20_000}}
    desk = open_desk(TEXT, command=[*COMMAND, "lsp"], env=environment, options=budget)
    state = "return require('midfill').status().state"
    wait(lambda: desk.nvim.lua(state) == "ready", "the engine is ready")
    desk.nvim.type("6GAreturn ")
    desk.nvim.wait(desk.nvim.ghost, "ghost text")
    shown = desk.nvim.screen.rows()[5]
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines()[5] != "    return ", "accepted")
    assert desk.nvim.lines()[5] == shown
    assert desk.nvim.lines()[-3:] == TEXT.splitlines()[-3:]


def test_llama_vim_unmodified(
    neovim_program: Program, environment: dict[str, str], tmp_path: Path
) -> None:
    plugin = os.environ.get("MIDFILL_LLAMA_VIM")
    if not plugin:
        pytest.skip("MISSING llama.vim: set MIDFILL_LLAMA_VIM to its folder")
    from tests.editors.neovim import Neovim

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    env = {**os.environ, **environment}
    recipe = subprocess.run(
        [*COMMAND, "init", "llama.vim", "--port", port], env=env, capture_output=True, check=True
    ).stdout.decode()
    init = tmp_path / "init.vim"
    slow = "let g:llama_config.t_max_predict_ms = 20000\n"
    python = "let g:loaded_python3_provider = 0\n"
    init.write_text(f"{python}{recipe}{slow}set runtimepath^={plugin}\nset shortmess+=I\n")
    file = tmp_path / "work.py"
    file.write_text(TEXT)
    with subprocess.Popen([*COMMAND, "serve", "--port", port], env=env) as server:
        try:
            wait(lambda: healthy(port), "the engine is ready")
            words = [neovim_program.path, "--embed", "-n", "-i", "NONE", "-u", init, file]
            nvim = Neovim(words, {"HOME": str(tmp_path)}, tmp_path)
            try:
                nvim.type("6GAreturn ")
                nvim.wait(lambda: nvim.screen.marked("llama_hl_fim_hint").strip(), "ghost text")
                nvim.type("<Tab>")
                nvim.wait(lambda: len(nvim.lines()[5]) > len("    return "), "accepted")
            finally:
                nvim.close()
        finally:
            server.terminate()


def healthy(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return b'"ok"' in answer.read()
    except OSError:
        return False
