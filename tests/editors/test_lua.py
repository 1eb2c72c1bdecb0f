"""The Neovim plugin's Lua passes its linter and its formatter."""

from __future__ import annotations

import subprocess

import pytest
from tests.editors.conftest import found
from tests.editors.desk import PLUGIN

FILES = sorted(str(path.relative_to(PLUGIN)) for path in PLUGIN.rglob("*.lua"))


@pytest.mark.parametrize(
    ("tool", "arguments"), [("luacheck", ["--no-color", "-q"]), ("stylua", ["--check"])]
)
def test_lua_is_clean(tool: str, arguments: list[str]) -> None:
    words = [str(found(tool).path), *arguments, *FILES]
    done = subprocess.run(words, cwd=PLUGIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
