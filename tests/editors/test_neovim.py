"""The Neovim plugin in real Neovims, against a scripted language server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from tests.editors.desk import ADD, FIRST, PLUGIN, SECOND, Desk, ask

pytestmark = pytest.mark.editor

Open = Callable[..., Desk]


def settle(desk: Desk) -> None:
    """Wait until Neovim and the server have worked through all that was sent."""
    desk.nvim.lua(
        "local id = ...; vim.lsp.buf_request_sync(0, 'scripted/echo', {}, 20000); vim.wait(1)", 0
    )


# -- show, type along, cancel ----------------------------------------------------------------------


def test_ghost_text_is_shown_and_accepted(open_desk: Open) -> None:
    desk = open_desk("# first\n\n", script={"completions": [ADD]})
    ask(desk, "Gi" + "def a", "dd(left, right):\n    return left + right")
    assert desk.nvim.lines() == ["# first", "def a"]
    assert desk.nvim.screen.cursor == (1, 5)
    desk.nvim.type("<M-f>")
    (command,) = desk.wait_message("workspace/executeCommand")
    assert command["params"]["command"] == "midfill.accepted"
    assert desk.nvim.lines() == ["# first", FIRST, SECOND]
    assert desk.nvim.call("nvim_win_get_cursor", 0) == [3, len(SECOND)]
    desk.nvim.wait_ghost("")
    (accepted,) = desk.wait_message("midfill/didAccept")
    assert len(desk.messages("midfill/didShow")) == 1
    assert accepted["params"] == {"id": "s1", "kind": "all", "length": len(ADD) - 5}


def test_typing_along_never_flickers_and_waits_for_no_answer(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", "dd(left, right):\n    return left + right")
    desk.script(delay_ms=60_000)
    frames = desk.nvim.record()
    for n in range(1, 8):
        desk.nvim.type(ADD[5 + n - 1])
        desk.nvim.wait_ghost(ADD[5 + n :])
    assert len(frames) >= 8
    assert {frame[0] for frame in frames} == {FIRST}
    assert {frame[1] for frame in frames} == {SECOND}


def test_an_agreeing_answer_does_not_flicker(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    frames = desk.nvim.record()
    desk.nvim.type("dd(")
    desk.nvim.wait_ghost(ADD[8:])
    settle(desk)
    assert {frame[0] for frame in frames} == {FIRST}


def test_nothing_as_an_answer_does_not_hide_what_still_agrees(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(null=True)
    desk.nvim.type("d")
    desk.wait_message("textDocument/inlineCompletion", 1, lambda p: p["position"]["character"] == 6)
    settle(desk)
    assert desk.nvim.ghost() == ADD[6:]


def test_backspace_brings_ghost_text_back(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(delay_ms=60_000)
    ask(desk, "dd", ADD[7:])
    ask(desk, "<BS>", ADD[6:])


def test_a_disagreeing_key_hides_it_in_the_same_frame(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(delay_ms=60_000)
    frames = desk.nvim.record()
    desk.nvim.type("x")
    desk.nvim.wait(lambda: desk.nvim.screen.rows()[0].startswith("def ax"), "the key is drawn")
    assert next(f[0] for f in frames if f[0].startswith("def ax")) == "def ax"


def test_each_key_cancels_flushes_and_asks_in_this_order(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD], "delay_ms": 60_000})
    for n, key in enumerate("def", start=1):
        desk.nvim.type("i" + key if n == 1 else key)
        desk.wait_message("textDocument/inlineCompletion", n)
    wanted = ("$/cancelRequest", "textDocument/didChange", "textDocument/inlineCompletion")
    traffic = [m for m in desk.messages() if m.get("method") in wanted]
    asked = [m for m in traffic if m["method"] == wanted[2]]
    # Entering insert mode may ask once more, before the first key.
    tail = traffic[-6:]
    assert [m["method"] for m in tail] == [*wanted, *wanted]
    assert [m["params"]["id"] for m in tail if m["method"] == wanted[0]] == [
        m["id"] for m in asked[-3:-1]
    ]
    text = [m["params"]["contentChanges"][0]["text"] for m in tail if m["method"] == wanted[1]]
    assert [t.rstrip("\n") for t in text] == ["de", "def"]


def test_a_late_answer_is_never_drawn(open_desk: Open) -> None:
    desk = open_desk(
        script={"completions": ["def add()", "class A"], "delay_ms": 300, "late": True}
    )
    desk.nvim.type("ide")
    desk.wait_message("textDocument/inlineCompletion", 1, lambda p: p["position"]["character"] == 2)
    frames = desk.nvim.record()
    desk.nvim.type("<C-w>class")
    desk.nvim.wait_ghost(" A")
    late = [m for m in desk.messages(direction="sent") if "result" in m]
    assert len(late) >= 2
    assert not any("def" in frame[0] and "add" in frame[0] for frame in frames)


def test_leaving_insert_mode_hides_and_cancels(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(delay_ms=60_000)
    desk.nvim.type("d")
    desk.wait_message("textDocument/inlineCompletion", 1, lambda p: p["position"]["character"] == 6)
    ask(desk, "<Esc>", "")
    desk.wait_message("$/cancelRequest")


def test_moving_the_cursor_hides_and_asks_nothing(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    asked = len(desk.messages("textDocument/inlineCompletion"))
    ask(desk, "<Left>", "")
    settle(desk)
    assert len(desk.messages("textDocument/inlineCompletion")) == asked


# -- accepting -------------------------------------------------------------------------------------


def test_accepting_right_after_typing_leaves_no_stray_letters(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(delay_ms=60_000)
    desk.nvim.type("dd(<M-f># done")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND + "# done"], "accepted exactly")


def test_accept_word_line_and_sure(open_desk: Open) -> None:
    rest = ADD[5:]
    sure = len("dd(left, right):")
    desk = open_desk(script={"completions": [ADD], "sure": sure})
    ask(desk, "idef a", rest)
    desk.script(delay_ms=60_000)
    desk.nvim.type("<M-w>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["def add"], "a word")
    desk.nvim.type("<M-w><M-w>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["def add(left"], "two more words")
    desk.nvim.type("<M-s>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST], "up to the first unsure token")
    desk.nvim.wait_ghost("\n    return left + right".lstrip("\n"))
    desk.nvim.type("<M-l>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "the next line")
    told = [m["params"] for m in desk.wait_message("midfill/didAccept", 5)]
    assert [t["kind"] for t in told] == ["word", "word", "word", "sure", "line"]


def test_cumulative_lengths_without_an_answer_between(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.script(delay_ms=60_000)
    desk.nvim.type("<M-w><M-w><M-l><M-l>")
    told = [m["params"] for m in desk.wait_message("midfill/didAccept", 4)]
    assert [t["length"] for t in told] == [2, 3, len(FIRST) - 5, len(ADD) - 5]
    assert {t["id"] for t in told} == {"s1"}
    desk.wait_message("workspace/executeCommand")
    assert desk.nvim.lines() == [FIRST, SECOND]


def test_nothing_to_accept_changes_nothing(open_desk: Open) -> None:
    desk = open_desk("abc\n", script={})
    desk.nvim.type("A<M-f><M-w><M-l><M-s><M-d>")
    settle(desk)
    assert desk.nvim.lines() == ["abc"]
    assert desk.nvim.lua("return require('midfill').accept()") is False
    assert desk.messages("midfill/didAccept") == []


def test_undo_takes_back_the_acceptance_only(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.nvim.type("<M-f>")
    desk.wait_message("workspace/executeCommand")
    desk.nvim.type("<Esc>u")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["def a"], "the typed text is still there")


def test_a_replaced_bracket_is_not_doubled(open_desk: Open) -> None:
    desk = open_desk("print()\n", script={"completions": ["print(left)"], "replace": 1})
    ask(desk, "f)i<C-g>u", "left")
    assert desk.nvim.screen.rows()[0] == "print(left)"
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["print(left)"], "one bracket")


def test_several_lines_before_a_tail_are_drawn_where_they_will_stand(open_desk: Open) -> None:
    text = "print(\n    left,\n"
    desk = open_desk("print() # end\n", script={"completions": [text]})
    desk.nvim.type("f)i")
    desk.nvim.wait(
        lambda: desk.nvim.screen.rows()[:3] == ["print(", "    left,", ") # end"],
        "the tail moves below",
    )
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["print(", "    left,", ") # end"], "accepted")


def test_without_inline_virtual_text_the_tail_is_repeated(open_desk: Open) -> None:
    desk = open_desk(
        "add(1, 2)\n",
        script={"completions": ["add(zero, "]},
        lua="require('midfill.ghost').force_overlay(true)",
    )
    desk.nvim.type("f1i")
    desk.nvim.wait(lambda: desk.nvim.screen.rows()[0] == "add(zero, 1, 2)", "overlay")
    ask(desk, "z", "ero, ")
    assert desk.nvim.screen.rows()[0] == "add(zero, 1, 2)"


# -- candidates, dismissal, reasons ----------------------------------------------------------------


def test_cycling_asks_for_more_and_steps_through_them(open_desk: Open) -> None:
    desk = open_desk(script={"completions": ["x = one"], "items": [" two", " three"]})
    ask(desk, "ix =", " one")
    ask(desk, "<M-n>", " two2/3")
    ask(desk, "<M-n>", " three3/3")
    ask(desk, "<M-n>", " one1/3")
    ask(desk, "<M-p>", " three3/3")
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["x = three"], "the candidate that was shown")
    kinds = [
        m["params"]["context"]["triggerKind"]
        for m in desk.messages("textDocument/inlineCompletion")
    ]
    assert kinds.count(1) == 1


def test_a_chosen_candidate_stays_while_it_agrees(open_desk: Open) -> None:
    desk = open_desk(script={"completions": ["x = one()"], "items": [" one.two()"]})
    ask(desk, "ix =", " one()")
    ask(desk, "<M-n>", " one.two()2/2")
    desk.nvim.type("<M-w>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["x = one"], "its first word")
    ask(desk, ".", "two()2/2")
    settle(desk)
    assert desk.nvim.ghost() == "two()2/2"
    ask(desk, "<BS>(", ")")  # only the first agrees with this
    asked = inline(desk)[-1]["params"]["context"]["triggerKind"]
    assert asked == 2


def test_what_comes_late_asks_once_more_only_where_the_user_rests(open_desk: Open) -> None:
    desk = open_desk(script={"null": True})
    assert desk.messages("initialize")[0]["params"]["initializationOptions"]["late"] is True
    desk.nvim.type("idef a")
    desk.wait_message("textDocument/inlineCompletion", 1, lambda p: p["position"]["character"] == 5)
    settle(desk)
    asked = len(inline(desk))
    desk.script(null=False, completions=[ADD])
    uri = desk.nvim.lua("return vim.uri_from_bufnr(0)")

    def late(**told: object) -> None:
        message = {"method": "midfill/late", "params": {"uri": uri, **told}}
        desk.nvim.lua("require('midfill.client').notify('scripted/send', ...)", message)
        settle(desk)

    late(uri="file:///elsewhere.py")
    assert len(inline(desk)) == asked
    late()
    desk.nvim.wait_ghost(ADD[5:])
    ask(desk, "<M-d>", "")
    late()
    assert len(inline(desk)) == asked + 1
    assert desk.nvim.ghost() == ""


def test_dismissed_stays_dismissed_until_the_text_changes(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    ask(desk, "<M-d>", "")
    (dismissed,) = desk.wait_message("midfill/didDismiss")
    assert dismissed["params"]["id"] == "s1"
    assert dismissed["params"]["position"] == {"line": 0, "character": 5}
    asked = len(desk.messages("textDocument/inlineCompletion"))
    desk.nvim.type("<Esc>a")
    desk.nvim.wait(lambda: desk.nvim.mode() == "i", "insert mode")
    settle(desk)
    assert desk.nvim.ghost() == ""
    assert len(desk.messages("textDocument/inlineCompletion")) == asked
    ask(desk, "d", ADD[6:])


def test_asking_by_hand_when_automatic_asking_is_off(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]}, options={"auto": False})
    desk.nvim.type("idef a")
    settle(desk)
    assert desk.messages("textDocument/inlineCompletion") == []
    ask(desk, "<M-c>", ADD[5:])


def test_why_toggle_and_snooze_say_what_they_did(open_desk: Open) -> None:
    desk = open_desk(script={"null": True})
    desk.nvim.command("Midfill why")
    desk.nvim.wait(lambda: "The cursor is in a comment." in desk.said(), "the reason")
    desk.nvim.command("Midfill toggle language")
    desk.nvim.wait(lambda: "Completion for python is off." in desk.said(), "the switch")
    (toggle,) = desk.messages("midfill/toggle")
    assert toggle["params"] == {"scope": "language", "language": "python"}
    desk.nvim.command("Midfill snooze 5")
    desk.nvim.wait(lambda: "Resting for 5 min." in desk.said(), "the rest")
    assert desk.nvim.lua("return require('midfill').status().state") == "paused"
    desk.nvim.command("new")
    desk.nvim.command("Midfill why")
    desk.nvim.wait(lambda: "no file name yet" in desk.said(), "the plugin's own reason")
    desk.nvim.command("Midfill wyh")
    assert "there is no :Midfill wyh" in desk.said()


def test_holes_are_filled_in_the_buffer(open_desk: Open) -> None:
    desk = open_desk("a = ___\nb = ___\n")
    desk.nvim.command("Midfill fill")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["a = filled", "b = filled"], "both holes")


def test_the_status_line_tells_state_latency_and_reason(open_desk: Open) -> None:
    words = "%{%v:lua.require'midfill.status'.statusline()%}"
    desk = open_desk(lua=f'vim.o.laststatus = 2\nvim.o.statusline = "{words}"')

    def tell(method: str, **params: object) -> None:
        message = {"method": method, "params": params}
        desk.nvim.lua("require('midfill.client').notify('scripted/send', ...)", message)

    def line(text: str) -> None:
        desk.nvim.wait(lambda: desk.nvim.screen.rows()[22] == text, text)

    tell("midfill/status", state="loading", message="", progress=0.6)
    line("midfill … 60 %")
    tell(
        "midfill/status", state="ready", message="", last={"ms": 41.2, "nfe": 3, "source": "model"}
    )
    line("midfill ● 41 ms")
    uri = desk.nvim.lua("return vim.uri_from_bufnr(0)")
    tell(
        "midfill/silence", uri=uri, version=1, code="comment", message="The cursor is in a comment."
    )
    line("midfill ● comment")
    desk.nvim.command("ene")
    line("midfill ○ not here")
    desk.nvim.type(":Midfill why<CR>")
    desk.nvim.wait(lambda: "This buffer has no file name yet." in desk.said(), "a reason")


# -- confidence and drafts -------------------------------------------------------------------------


def test_each_token_has_the_colour_of_its_confidence(open_desk: Open) -> None:
    desk = open_desk(
        script={
            "completions": ["x = a b c"],
            "confidence": [[2, 0.95], [2, 0.6], [2, 0.1]],
            "sure": 2,
        }
    )
    ask(desk, "ix =", " a b c")
    assert [
        desk.nvim.screen.marked(f"Midfill{g}").strip() for g in ("Sure", "Likely", "Unsure")
    ] == [
        "a",
        "b",
        "c",
    ]


def test_the_unsure_tail_can_be_held_back(open_desk: Open) -> None:
    desk = open_desk(
        script={"completions": ["x = a b c"], "confidence": [[2, 0.95], [4, 0.1]], "sure": 2},
        options={"unsure": "hide"},
    )
    ask(desk, "ix =", " a")
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["x = a"], "what was shown is accepted")


def test_drafts_are_drawn_while_denoising(open_desk: Open) -> None:
    desk = open_desk(
        script={"completions": ["x = alpha"], "drafts": [[" al", "???"]], "delay_ms": 400},
        options={"drafts": True},
    )
    ask(desk, "ix =", " al???")
    assert desk.nvim.screen.marked("MidfillOpen") == "???"
    desk.nvim.wait_ghost(" alpha")
    assert desk.messages("initialize")[0]["params"]["initializationOptions"]["drafts"] is True


def test_a_draft_of_another_text_is_not_drawn(open_desk: Open) -> None:
    desk = open_desk(
        script={"completions": ["x = alpha"], "delay_ms": 60_000}, options={"drafts": True}
    )
    desk.nvim.type("ix =")
    asked = desk.wait_message(
        "textDocument/inlineCompletion", 1, lambda p: p["position"]["character"] == 3
    )[-1]["params"]
    changed = desk.messages("textDocument/didChange")[-1]["params"]["textDocument"]
    draft = {
        "uri": asked["textDocument"]["uri"],
        "position": asked["position"],
        "tokens": [[4, 0.9, 1]],
        "step": 1,
    }

    def tell(version: int, text: str) -> None:
        params = {**draft, "version": version, "text": text}
        message = {"method": "midfill/draft", "params": params}
        desk.nvim.lua("require('midfill.client').notify('scripted/send', ...)", message)

    frames = desk.nvim.record()
    tell(changed["version"] - 1, " old")
    settle(desk)
    desk.nvim.command("redraw")
    tell(changed["version"], " new")
    desk.nvim.wait_ghost(" new")
    assert not any("old" in frame[0] for frame in frames)


# -- menus, snippets, keys -------------------------------------------------------------------------


def test_ghost_text_hides_while_the_menu_is_open(open_desk: Open) -> None:
    desk = open_desk("default define\n\n", script={"completions": ["def" + ADD[3:], "defa = 1"]})
    ask(desk, "Gidef", ADD[3:])
    desk.nvim.type("<C-x><C-n>")
    desk.nvim.wait(lambda: desk.nvim.call("nvim_call_function", "pumvisible", []) == 1, "the menu")
    desk.nvim.wait_ghost("")
    desk.nvim.type("<C-e>")
    desk.nvim.wait_ghost(ADD[3:])


def test_ghost_text_that_agrees_hides_while_nothing_is_selected(open_desk: Open) -> None:
    desk = open_desk(
        "default define\n\n",
        script={"completions": [ADD]},
        lua="vim.o.completeopt = 'menuone,noselect,noinsert'",
    )
    ask(desk, "Gidef", ADD[3:])
    desk.nvim.type("<C-x><C-n>")
    desk.nvim.wait(lambda: desk.nvim.call("nvim_call_function", "pumvisible", []) == 1, "the menu")
    desk.nvim.wait_ghost("")
    assert desk.nvim.lines()[1] == "def"
    desk.nvim.type("<M-f><M-w>")
    settle(desk)
    assert desk.nvim.lines() == ["default define", "def"]
    desk.nvim.type("<C-e>")
    desk.nvim.wait_ghost(ADD[3:])


def test_the_selected_entry_is_extended_when_asked_for(open_desk: Open) -> None:
    desk = open_desk(
        "default\n\n",
        script={"completions": ["default = 5"]},
        options={"menu": "extend"},
        lua="vim.o.completeopt = 'menu,menuone,noinsert'",
    )
    desk.nvim.type("Gide<C-x><C-n>")
    desk.nvim.wait(lambda: desk.nvim.call("nvim_call_function", "pumvisible", []) == 1, "the menu")
    desk.nvim.wait(lambda: "fault = 5" in desk.nvim.ghost(), "the entry's text and more")
    asked = desk.messages("textDocument/inlineCompletion")[-1]["params"]
    assert asked["context"]["selectedCompletionInfo"]["text"] == "default"
    assert asked["context"]["selectedCompletionInfo"]["range"]["start"] == {
        "line": 1,
        "character": 0,
    }


def test_tab_keeps_snippets_and_indentation(open_desk: Open) -> None:
    desk = open_desk(
        script={"completions": [ADD, "go(one"]},
        options={"keys": {"accept": "<Tab>"}},
        lua="vim.o.expandtab = true\nvim.o.shiftwidth = 4\nvim.o.softtabstop = 4",
    )
    desk.nvim.type("i<Tab>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["    "], "Tab indents")
    desk.nvim.type("<C-u>")
    ask(desk, "def a", ADD[5:])
    desk.nvim.type("<Tab>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "Tab accepts")
    desk.nvim.type("<Esc>:call append('$', '')<CR>GA")
    desk.nvim.wait(lambda: desk.nvim.lines()[2:] == [""], "a new line")
    desk.nvim.lua("vim.snippet.expand('go($1, ${2:two})$0')")
    ask(desk, "on", "e")
    desk.nvim.type("<Tab>")
    desk.nvim.wait(lambda: desk.nvim.mode() == "s", "Tab jumps to the snippet's next place")
    assert desk.nvim.lines()[2:3] == ["go(on, two)"]


def test_a_key_falls_back_to_the_mapping_it_had(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]}, options={"keys": {}})
    desk.nvim.command("inoremap <expr> <C-j> 'old'")
    desk.nvim.lua(
        "require('midfill').setup(vim.tbl_extend('force', require('midfill.config').current,"
        " { keys = { accept = '<C-j>' } }))"
    )
    desk.nvim.type("i<C-j>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["old"], "the old mapping")
    ask(desk, "<C-u>def a", ADD[5:])
    desk.nvim.type("<C-j>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "ours")


def test_no_key_is_taken_unasked(open_desk: Open) -> None:
    desk = open_desk()
    listed = "return vim.tbl_map(function(m) return m.lhs end, vim.api.nvim_get_keymap(...))"
    ours = [
        key
        for mode in "inv"
        for key in desk.nvim.lua(listed, mode)
        if key.startswith("<Plug>(midfill")
    ]
    assert ours
    plain = Desk(desk.program, desk.folder / "plain", lua="")
    plain.init.write_text("")
    from tests.editors.neovim import Neovim

    bare = Neovim(
        [desk.program.path, "--embed", "-n", "-i", "NONE", "-u", plain.init],
        plain.env,
        plain.folder,
    )
    try:
        for mode in "inv":
            added = set(desk.nvim.lua(listed, mode)) - set(bare.lua(listed, mode))
            assert {k for k in added if not k.startswith(("<Plug>(midfill-", "<M-"))} == set()
    finally:
        bare.close()


# -- odd files, long files -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_crlf_and_emoji(open_desk: Open, encoding: str) -> None:
    desk = open_desk(
        "# 🎉 start\r\ns = '🎉'\r\n",
        script={"completions": ["s = '🎉' + 'é🎈'\r\nt = s"], "sure": len(" + 'é") + 2},
        encoding=encoding,
    )
    ask(desk, "GA", " + 'é🎈'\nt = s")
    desk.nvim.type("<M-s>")
    desk.nvim.wait(
        lambda: desk.nvim.lines()[1:2] == ["s = '🎉' + 'é🎈"], "sure counts UTF-16 units"
    )
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines()[1:] == ["s = '🎉' + 'é🎈'", "t = s"], "all")
    desk.nvim.type("<Esc>:w<CR>")
    wanted = "# 🎉 start\r\ns = '🎉' + 'é🎈'\r\nt = s\r\n".encode()
    desk.nvim.wait(lambda: desk.file.read_bytes() == wanted, "CRLF is kept")
    told = [m["params"] for m in desk.wait_message("midfill/didAccept", 2)]
    assert told[0]["length"] == len(" + 'é") + 2
    # Counted from the start of its item, which may be the one that was accepted in part.
    before = told[0]["length"] if told[1]["id"] == told[0]["id"] else 0
    assert told[1]["length"] - before == len("'\r\nt = s")


def test_a_file_of_ten_thousand_lines(open_desk: Open) -> None:
    text = "".join(f"value_{n} = {n}\n" for n in range(10_000))
    desk = open_desk(text, script={"completions": [ADD]})
    ask(desk, "5000GOdef a", ADD[5:])
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: len(desk.nvim.lines()) == 10_002, "accepted")


def test_tabs_are_drawn_as_the_buffer_draws_them(open_desk: Open) -> None:
    desk = open_desk(
        "func f() {\n", name="f.go", script={"completions": ["func f() {\n\treturn\t1\n}"]}
    )
    desk.nvim.type("A")
    desk.nvim.wait(lambda: desk.nvim.screen.rows()[1] == "        return  1", "expanded tabs")


def test_lines_below_the_window_are_counted(open_desk: Open) -> None:
    desk = open_desk("\n" * 40, script={"completions": [ADD + "\n\n\n"]})
    desk.nvim.type("Gidef a")
    desk.nvim.wait(lambda: "+4 lines" in desk.nvim.screen.text(), "a hint")


def test_buffers_that_are_not_served(open_desk: Open) -> None:
    desk = open_desk(options={"filetypes": {"markdown": False}})
    desk.nvim.command("edit notes.md")
    why = "return require('midfill.config').why_not(0)"
    assert "file type" in desk.nvim.lua(why)
    assert desk.nvim.lua("return require('midfill.client').serving(0) == nil")
    desk.nvim.command("new | set buftype=nofile")
    assert "special buffer" in desk.nvim.lua(why)
    assert len(desk.messages("textDocument/didOpen")) == 1


# -- settings, life and death ----------------------------------------------------------------------


def test_a_bad_setting_costs_itself_only(open_desk: Open) -> None:
    desk = open_desk(
        options={"drafs": True, "menu": "hdie", "auto": "yes", "settings": {"candidates": 2}}
    )
    text = desk.said()
    assert 'there is no setting "drafs"; did you mean "drafts"?' in text
    assert 'menu must be one of "hide", "extend", "show"' in text
    assert "auto must be a boolean, not a string" in text
    assert desk.nvim.lua("return require('midfill.config').current.auto") is True
    (configured,) = desk.wait_message("workspace/didChangeConfiguration")
    assert configured["params"]["settings"] == {"midfill": {"candidates": 2}}


def test_a_server_that_dies_is_started_again(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
    desk.nvim.lua("require('midfill.client').notify('scripted/die', {})")
    desk.nvim.wait(lambda: len(desk.messages("textDocument/didOpen")) == 2, "a new server")
    desk.wait_served()
    ask(desk, "d", ADD[6:])
    assert "Error" not in desk.said()


def test_stopped_stays_stopped_until_restarted(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]})
    desk.nvim.command("Midfill stop")
    running = "return require('midfill.client').get() ~= nil"
    desk.nvim.wait(lambda: not desk.nvim.lua(running), "the server has ended")
    desk.nvim.command("doautocmd BufEnter")
    desk.nvim.command("Midfill why")
    desk.nvim.wait(lambda: "The language server was stopped." in desk.said(), "a reason")
    assert len(desk.messages("initialize")) == 1
    desk.nvim.command("Midfill restart")
    desk.wait_served()
    ask(desk, "idef a", ADD[5:])
    assert len(desk.messages("initialize")) == 2


def test_a_long_message_does_not_stop_typing(open_desk: Open) -> None:
    desk = open_desk(lua="quiet = false")
    desk.nvim.type("i")
    desk.nvim.wait(lambda: desk.nvim.mode() == "i", "insert mode")
    params = {"type": 2, "message": "Midfill: " + "much to say " * 20}
    message = {"method": "window/showMessage", "params": params}
    desk.nvim.lua("require('midfill.client').notify('scripted/send', ...)", message)
    desk.nvim.wait(lambda: "(:Midfill status)" in desk.said(), "a message that fits")
    desk.nvim.type("typed")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["typed"], "no prompt swallowed the keys")


def test_a_missing_server_is_one_clear_sentence(open_desk: Open, tmp_path: object) -> None:
    desk = open_desk(script={"completions": [ADD]})
    desk.nvim.lua("require('midfill.client').stop()")
    desk.nvim.wait(lambda: desk.nvim.lua("return require('midfill.client').get() == nil"), "ended")
    desk.nvim.lua("require('midfill').setup({ cmd = { 'no-such-midfill' } })")
    desk.nvim.command("edit other.py")
    text = desk.said()
    assert text.count("no-such-midfill is not installed or not on PATH") == 1
    desk.nvim.type("ihello<Esc>")
    desk.nvim.wait(lambda: desk.nvim.lines() == ["hello"], "typing goes on")


def test_the_health_check_reads_well(open_desk: Open) -> None:
    desk = open_desk(size=(100, 40))
    desk.nvim.command("checkhealth midfill")
    desk.nvim.wait(lambda: any("midfill" in line for line in desk.nvim.lines()), "a report")
    report = "\n".join(desk.nvim.lines())
    assert "ERROR" not in report
    assert "language server" in report


def test_help_tags_resolve(open_desk: Open) -> None:
    desk = open_desk()
    copy = desk.folder / "pack/midfill/start/midfill"
    shutil.copytree(PLUGIN / "doc", copy / "doc", ignore=shutil.ignore_patterns("tags"))
    desk.nvim.command(f"set packpath+={desk.folder} | packadd midfill | helptags {copy}/doc")
    desk.nvim.command("help midfill-mappings")
    assert "MAPPINGS AND FUNCTIONS" in desk.nvim.call("nvim_get_current_line")
    newer = {"vim.lsp.inline_completion"} if desk.program.name < "nvim-0.12" else set()
    for word in (
        set(re.findall(r"\|([\w.:()<>-]+)\|", (copy / "doc/midfill.txt").read_text())) - newer
    ):
        desk.nvim.command(f"help {word}")


# -- core and completion plugins -------------------------------------------------------------------


def test_neovims_own_inline_completion_by_a_setting(open_desk: Open) -> None:
    desk = open_desk(script={"completions": [ADD]}, options={"core": True})
    if desk.program.name < "nvim-0.12":
        ask(desk, "idef a", ADD[5:])  # there is none: ours goes on
        return
    desk.nvim.type("idef a")
    desk.nvim.wait(lambda: SECOND in desk.nvim.screen.rows()[1], "core draws")
    assert desk.nvim.ghost() == ""
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "core accepts")
    desk.nvim.type(f"<Esc>:edit! {desk.folder}/other.py<CR>")
    desk.wait_message("textDocument/didOpen", 2)
    desk.nvim.type("idef a")
    desk.nvim.wait(lambda: SECOND in desk.nvim.screen.rows()[1], "core draws in the next buffer")


def test_ghost_text_is_drawn_once_where_core_is_enabled_for_all(open_desk: Open) -> None:
    enable = "if vim.lsp.inline_completion then vim.lsp.inline_completion.enable(true) end"
    desk = open_desk(script={"completions": [ADD]}, lua=enable)
    ask(desk, "idef a", ADD[5:])
    desk.nvim.lua("vim.wait(400)")  # core's debounce is 200 ms
    assert desk.nvim.screen.rows()[:3] == [FIRST, SECOND, "~"]
    assert {m["params"]["context"]["triggerKind"] for m in inline(desk)} == {2}
    assert desk.nvim.ghost() == ADD[5:]


def inline(desk: Desk) -> list[dict[str, Any]]:
    return desk.messages("textDocument/inlineCompletion")


@pytest.mark.parametrize("source", ["cmp", "blink"])
def test_sources_for_completion_plugins(open_desk: Open, source: str) -> None:
    desk = open_desk(
        "x.ad\n", script={"completions": ["x.add(1)\nx.end()"]}, options={"auto": False}
    )
    desk.nvim.type("A")
    desk.nvim.wait(lambda: desk.nvim.mode() == "i", "insert mode")
    desk.nvim.lua(
        "source, got = require('midfill.' .. ...).new(), nil\n"
        "local complete = source.complete or source.get_completions\n"
        "complete(source, {}, function(answer) got = answer.items end)",
        source,
    )
    (item,) = desk.nvim.wait(lambda: desk.nvim.lua("return got"), "items")
    assert item["label"] == "add(1)"
    assert item["textEdit"]["newText"] == "add(1)\nx.end()"
    assert item["textEdit"]["range"] == {
        "start": {"line": 0, "character": 2},
        "end": {"line": 0, "character": 4},
    }
    assert "x.end()" in item["documentation"]["value"]
    if source == "cmp":
        desk.nvim.lua("source:execute(got[1], function() end)")
    else:
        desk.nvim.lua("source:execute({}, got[1], function() end, function() end)")
    desk.wait_message("workspace/executeCommand")


def test_as_a_plain_package(open_desk: Open) -> None:
    desk = open_desk(package=True, script={"completions": [ADD]})
    ask(desk, "idef a", ADD[5:])
