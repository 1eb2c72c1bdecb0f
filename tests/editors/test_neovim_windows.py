"""The Neovim plugin among windows, menus and other users of the same keys; and pictures of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from tests.editors.conftest import OUTPUT
from tests.editors.desk import ADD, FIRST, SCRIPTED, SECOND, Desk, ask, lua_string

pytestmark = pytest.mark.editor

Open = Callable[..., Desk]


def pum(desk: Desk) -> bool:
    return bool(desk.nvim.call("nvim_call_function", "pumvisible", []) == 1)


# -- windows ---------------------------------------------------------------------------------------


def test_two_windows_with_two_files(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD, "return 'done'"]}, size=(80, 30))
    desk.nvim.command(f"belowright split {desk.folder}/other.py")
    desk.wait_message("textDocument/didOpen", 2)
    ask(desk, "ireturn", " 'done'")
    below = desk.nvim.screen.cursor[0]
    ask(desk, "<C-o><C-w>w", "")
    ask(desk, "def a", ADD[5:])
    assert desk.nvim.screen.cursor[0] < below
    assert "done" not in desk.nvim.screen.text()
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "accepted above")
    ask(desk, "<Esc><C-w>wa", " 'done'")
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["return 'done'"], "accepted below")
    uris = {m["params"]["id"] for m in desk.wait_message("midfill/didAccept", 2)}
    assert len(uris) == 2


def test_one_file_in_two_windows(open_desk: Open) -> None:
    desk = open_desk("\n" * 4, script={"completions": [ADD]})
    desk.nvim.command("vsplit")
    desk.nvim.type("Godef a")
    # Both windows show the buffer's end, so both show what belongs there.
    desk.nvim.wait(lambda: desk.nvim.screen.text().count(SECOND) == 2, "in both windows")
    desk.nvim.type("<M-w>")
    desk.nvim.wait(lambda: desk.nvim.lines()[-1] == "def add", "a word, once")
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines()[-2:] == [FIRST, SECOND], "the rest, once")
    desk.nvim.wait_ghost("")


def test_closing_the_window_takes_the_ghost_text_along(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    desk.nvim.command("tabnew")
    desk.nvim.command(f"edit {desk.folder}/other.py")
    desk.wait_message("textDocument/didOpen", 2)
    ask(desk, "idef a", ADD[5:])
    desk.nvim.type("<C-o>:tabclose!<CR>")
    desk.nvim.wait_ghost("")
    desk.nvim.type("<Esc>")
    ask(desk, "idef a", ADD[5:])
    assert "Error" not in desk.said()


# -- menus -----------------------------------------------------------------------------------------


def test_tab_is_the_menus_while_it_is_open(open_desk: Open) -> None:
    desk = open_desk(
        "default define\n\n",
        script={"completions": [ADD]},
        lua="vim.keymap.set('i', '<Tab>', \"pumvisible() ? '<C-n>' : '<Tab>'\","
        " { expr = true, replace_keycodes = true })\n"
        "require('midfill').setup(vim.tbl_extend('force', require('midfill.config').current,"
        " { keys = { accept = '<Tab>' } }))",
    )
    ask(desk, "Gidef", ADD[3:])
    desk.nvim.type("<C-x><C-n>")
    desk.nvim.wait(lambda: pum(desk), "the menu")
    desk.nvim.type("<Tab>")
    desk.nvim.wait(lambda: desk.nvim.lines()[1] == "define", "the menu's next entry")
    desk.nvim.type("<C-e>")
    desk.nvim.wait(lambda: not pum(desk), "the menu is closed")
    desk.nvim.wait_ghost(ADD[3:])
    desk.nvim.type("<Tab>")
    desk.nvim.wait(lambda: desk.nvim.lines()[1:] == [FIRST, SECOND], "accepted")


def test_keys_of_ours_do_nothing_to_an_open_menu(open_desk: Open) -> None:
    desk = open_desk("default define\n\n", script={"completions": [ADD]})
    ask(desk, "Gidef", ADD[3:])
    desk.nvim.type("<C-x><C-n>")
    desk.nvim.wait(lambda: pum(desk), "the menu")
    line = desk.nvim.lines()[1]
    desk.nvim.type("<M-f><M-w><M-l><M-s>")
    desk.nvim.lua("vim.wait(50)")
    assert desk.nvim.lines() == ["default define", line]
    assert desk.messages("midfill/didAccept") == []


# -- the last request ------------------------------------------------------------------------------

INSPECTED = {
    "answer": {
        "version": 3,
        "line": 0,
        "explicit": False,
        "ms": 41.2,
        "source": "model",
        "shown": [[["dd(", 0.95, 1], ["left):\n    ", 0.6, 1], ["pass", 0.1, 1]]],
    },
    "request": {
        "ahead": False,
        "context": {
            "path": "work.py",
            "language": "python",
            "snippets": [{"path": "other.py", "text": "import os\n"}],
            "prefix": "# first\ndef a",
            "suffix": "\nprint(1)\n",
            "draft": "",
        },
        "parameters": {"budget_ms": 300, "strategy": "balanced"},
        "drafts": [{"step": 1, "ms": 20.5, "tokens": [["dd(", 0.9, 1], ["left", 0.3, 0]]}],
        "fill": {
            "finish_reason": "end",
            "nfe": 3,
            "middles": [{"score": -0.1, "finish_reason": "end", "tokens": [["dd(", 0.95, 1]]}],
        },
    },
}


def test_the_last_request_is_opened_up(open_desk: Open) -> None:
    desk = open_desk(script={"inspected": INSPECTED}, size=(110, 40))
    desk.nvim.command("Midfill inspect")
    desk.nvim.wait(lambda: "Last question: line 1, 41.2 ms" in desk.nvim.lines(), "a page")
    lines = desk.nvim.lines()
    for wanted in (
        ("  source: model", "  dd(left):", "      pass"),
        ("Request", "  budget_ms: 300", "  strategy: balanced"),
        ("Step 1, after 20.5 ms", "  dd(left"),
        ("Answer of the engine", "  finish_reason: end", "  nfe: 3", "  dd("),
        ("Before the cursor", "# first", "def a"),
        ("After the cursor", "", "print(1)"),
        ("From other.py", "import os"),
    ):
        start = lines.index(wanted[0])
        assert tuple(lines[start : start + len(wanted)]) == wanted
    desk.nvim.wait(lambda: desk.nvim.screen.marked("MidfillUnsure").strip() == "pass", "colours")
    assert desk.nvim.screen.marked("MidfillOpen") == "left"
    desk.keep(OUTPUT, f"picture-inspect-{desk.program.name}")
    desk.nvim.type("q")
    desk.nvim.wait(lambda: desk.nvim.lines() == [""], "closed")
    desk.script(inspected=None)
    desk.nvim.command("Midfill inspect")
    desk.nvim.wait(lambda: "Nothing was asked in this buffer yet." in desk.said(), "said so")


# -- what `midfill init neovim` prints -------------------------------------------------------------


@pytest.mark.parametrize("neovim_program", ["nvim-0.12"], indirect=True)
def test_the_configuration_without_the_plugin(open_desk: Open) -> None:
    words = [sys.executable, "-m", "midfill_lsp.cli", "init", "neovim", "--command", "@SERVER@"]
    recipe = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    server = f"{lua_string(sys.executable)}, {lua_string(SCRIPTED)}"
    assert '"@SERVER@", "lsp"' in recipe
    recipe = recipe.replace('"@SERVER@", "lsp"', server)
    # The plugin stays off, so that Neovim's own alone draws.
    desk = open_desk(
        script={"completions": [ADD]}, lua=recipe, options={"filetypes": {"*": False}}, served=False
    )
    desk.wait_message("textDocument/didOpen")
    desk.nvim.type("idef a")
    last_key = time.monotonic()

    def drawn() -> bool:
        # On a busy machine Neovim's own was seen to draw nothing for a key, and then for the next.
        nonlocal last_key
        if time.monotonic() - last_key > 5:
            desk.nvim.type("<BS>a")
            last_key = time.monotonic()
        return SECOND in desk.nvim.screen.rows()[1]

    desk.nvim.wait(drawn, "Neovim draws")
    assert desk.nvim.lines() == ["def a"]
    desk.nvim.type("<Tab>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "Tab accepts")
    desk.nvim.type("<CR><Tab>x")
    desk.nvim.wait(lambda: desk.nvim.lines()[-1].endswith("    x"), "Tab is itself again")


# -- pictures --------------------------------------------------------------------------------------

CIRCLE = """\
import math


class Circle:
    def __init__(self, radius):
        self.radius = radius
"""
AREA = "def area(self):\n        return math.pi * self.radius ** 2\n"


def test_pictures_of_all_that_is_drawn(open_desk: Open) -> None:
    """Asserts little: the pictures in the output folder are made to be looked at."""
    desk = open_desk(
        CIRCLE,
        script={
            "completions": [AREA],
            "confidence": [[11, 0.97], [22, 0.9], [14, 0.6], [6, 0.2]],
            "sure": 47,
            "items": ["rea(self):\n        return 3.14159 * self.radius ** 2"],
        },
        lua="quiet = false\nvim.o.laststatus = 2\nvim.o.statusline ="
        " \" %f %= %{%v:lua.require'midfill.status'.statusline()%} \"",
        plain_colours=True,
        size=(80, 14),
    )
    ready = {"state": "ready", "message": "", "last": {"ms": 41.2, "nfe": 3, "source": "model"}}
    message = {"method": "midfill/status", "params": ready}
    desk.nvim.lua("require('midfill.client').notify('scripted/send', ...)", message)

    def picture(name: str) -> None:
        desk.keep(OUTPUT, f"picture-{name}-{desk.program.name}")

    desk.nvim.type("Go<CR><C-u>    def a")
    desk.nvim.wait(lambda: "math.pi" in desk.nvim.screen.text(), "ghost text")
    desk.nvim.wait(lambda: "41 ms" in desk.nvim.screen.text(), "the status")
    picture("confidence")
    desk.nvim.type("<M-n>")
    desk.nvim.wait(lambda: "2/2" in desk.nvim.screen.text(), "the second candidate")
    picture("candidates")
    desk.nvim.type("<M-w>")
    desk.nvim.wait(lambda: "def area" in desk.nvim.lines()[-1], "a word")
    picture("after-a-word")
    desk.script(null=True)
    desk.nvim.type("<Esc>:Midfill why<CR>")
    desk.nvim.wait(lambda: "midfill: The cursor" in desk.nvim.screen.text(), "an answer")
    picture("why")
