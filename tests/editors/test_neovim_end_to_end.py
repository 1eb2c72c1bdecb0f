"""Neovim, the real `midfill lsp` and, below it, a scripted engine; once, the real engine."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.editors.desk import ADD, FIRST, ROOT, SECOND, Desk, ask
from tests.editors.engine import LANGUAGE_SERVER, ScriptedEngine
from tests.fake_engine import fill, middle

pytestmark = pytest.mark.editor

#: A generous ceiling for a loaded machine.
LATENCY_CEILING_MS = 3000


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine([ADD, "return 'done'", "class Añ🎉:"])
    yield engine.start()
    engine.close()


@pytest.fixture
def open_real(open_desk: Callable[..., Desk], engine: ScriptedEngine) -> Callable[..., Desk]:
    """A desk whose language server is the real one, with a ready engine."""

    def start(text: str = "", **more: Any) -> Desk:
        env = engine.environment() | more.pop("env", {})
        # A loaded machine may take longer than the ordinary time of an answer.
        options = {"settings": {"budgetMs": 20_000}} | more.pop("options", {})
        desk = open_desk(text, command=LANGUAGE_SERVER, env=env, options=options, **more)
        wait_state(desk, "ready")
        return desk

    return start


def wait_state(desk: Desk, *states: str) -> None:
    state = "return require('midfill').status().state"
    desk.nvim.wait(lambda: desk.nvim.lua(state) in states, f"state {states}")


def test_type_see_type_along_accept(open_real: Callable[..., Desk], engine: ScriptedEngine) -> None:
    desk = open_real("import os\n\n\n")
    ask(desk, "Gidef a", ADD[5:])
    asked = len(engine.fake.asked)
    frames = desk.nvim.record()
    for n in range(5, 9):
        ask(desk, ADD[n], ADD[n + 1 :])
    assert {frame[2] for frame in frames} == {FIRST}
    assert len(engine.fake.asked) == asked
    desk.nvim.type("<M-w>")
    desk.nvim.wait(lambda: desk.nvim.lines()[2:3] == ["def add(left"], "a word")
    desk.nvim.wait_ghost(ADD[len("def add(left") :])
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines()[2:] == [FIRST, SECOND], "all of it")
    assert "Error" not in desk.said()


def test_typing_on_cancels_the_engine(
    open_real: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    desk = open_real("\n")
    engine.call(engine.fake.go.clear)
    desk.nvim.type("idef a")
    desk.nvim.wait(lambda: engine.fake.asked, "the engine is asked")
    desk.nvim.type("x")
    desk.nvim.wait(lambda: engine.fake.cancelled >= 1, "the engine is told to stop")
    engine.call(engine.fake.go.set)
    desk.nvim.type("<BS>")
    desk.nvim.wait_ghost(ADD[5:])


def test_what_was_not_ready_in_time_is_shown_to_who_rests(
    open_real: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    engine.fake.answer = lambda r: (
        engine.answer(r) if r.get("speculative") else fill(reason="deadline")
    )
    desk = open_real("\n")
    ask(desk, "idef a", ADD[5:])
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "accepted")


def test_what_was_ready_in_part_grows_for_who_rests(
    open_real: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    engine.fake.answer = lambda r: (
        engine.answer(r)
        if r.get("speculative")
        else fill(middle(ADD[5:8], reason="deadline"), reason="deadline")
    )
    desk = open_real("\n")
    ask(desk, "idef a", ADD[5:])
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines() == [FIRST, SECOND], "accepted")


def test_dismissed_stays_dismissed_and_why_says_so(open_real: Callable[..., Desk]) -> None:
    desk = open_real("\n")
    ask(desk, "idef a", ADD[5:])
    ask(desk, "<M-d>", "")
    desk.nvim.type("<Esc>a")
    desk.nvim.wait(lambda: desk.nvim.mode() == "i", "insert mode")
    desk.nvim.type("<Esc>:Midfill why<CR>")
    desk.nvim.wait(lambda: "midfill: " in desk.said(), "a reason")
    assert desk.nvim.ghost() == ""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_emoji_and_line_ends(open_real: Callable[..., Desk], ending: str) -> None:
    desk = open_real(f"# 🎉 é{ending}x = '🎉'{ending}{ending}")
    ask(desk, "Giclass A", "ñ🎉:")
    desk.nvim.type("<M-f><Esc>:w<CR>")
    wanted = f"# 🎉 é{ending}x = '🎉'{ending}class Añ🎉:{ending}".encode()
    desk.nvim.wait(lambda: desk.file.read_bytes() == wanted, "what was accepted is on the disk")


def test_ten_thousand_lines(open_real: Callable[..., Desk]) -> None:
    desk = open_real("".join(f"value_{n} = {n}\n" for n in range(10_000)))
    ask(desk, "5000GOdef a", ADD[5:])
    desk.nvim.type("<M-f>")
    desk.nvim.wait(lambda: desk.nvim.lines()[4999:5001] == [FIRST, SECOND], "accepted in place")


def test_an_engine_that_goes_and_comes_back(
    open_real: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    desk = open_real("\n")
    ask(desk, "idef a", ADD[5:])
    engine.kill()
    desk.nvim.type("<Esc>odef ad")
    wait_state(desk, "error", "starting")
    desk.nvim.type("xy")
    desk.nvim.wait(lambda: desk.nvim.lines()[1:2] == ["def adxy"], "typing goes on")
    engine.start()
    desk.nvim.type("<BS><BS>")

    def back() -> bool:
        desk.nvim.type("d<BS>")  # each key is a reason to look for the engine again
        time.sleep(0.2)
        return bool(desk.nvim.ghost())

    desk.nvim.wait(back, "ghost text again")
    assert "Error" not in desk.said()


def test_a_killed_engine_is_started_again(
    open_desk: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    engine.kill()
    program = [sys.executable, str(ROOT / "tests/fake_engine.py"), "--answer", "dd()"]
    desk = open_desk(
        "\n",
        command=LANGUAGE_SERVER,
        env=engine.environment() | {"MIDFILL_LSP_ENGINE_AUTOSTART": "true"},
        options={"settings": {"engine": {"command": program}}},
    )
    described = engine.directory / "engine.json"
    pids = []
    try:
        for keys in ("idef a", "<Esc>odef a"):
            wait_state(desk, "ready")
            pids.append(json.loads(described.read_text())["pid"])
            ask(desk, keys, "dd()")
            os.kill(pids[-1], signal.SIGKILL)
            desk.nvim.type("x")
            wait_state(desk, "starting", "error")
        wait_state(desk, "ready")
        pids.append(json.loads(described.read_text())["pid"])
    finally:
        for pid in pids[-1:]:
            os.kill(pid, signal.SIGTERM)
    assert len(set(pids)) == 3
    assert desk.nvim.lines()[:1] == ["def ax"]


def test_two_neovims_and_one_engine(open_real: Callable[..., Desk], engine: ScriptedEngine) -> None:
    first, second = open_real("\n"), open_real("\n", name="other.py")
    ask(first, "idef a", ADD[5:])
    ask(second, "ireturn", " 'done'")
    ask(first, "dd", ADD[7:])
    for desk, lines in ((first, [FIRST, SECOND]), (second, ["return 'done'"])):
        desk.nvim.type("<M-f>")
        desk.nvim.wait(lambda d=desk, li=lines: d.nvim.lines()[: len(li)] == li, "its own")  # type: ignore[misc]
    assert len({r["session"] for r in engine.fake.asked}) == 2


def test_drafts_of_the_engine_are_seen(
    open_real: Callable[..., Desk], engine: ScriptedEngine
) -> None:
    engine.fake.drafts = ["dd(lef"]
    engine.call(engine.fake.go.clear)
    desk = open_real("\n", options={"drafts": True})
    ask(desk, "idef a", "dd(lef")
    engine.call(engine.fake.go.set)
    desk.nvim.wait_ghost(ADD[5:])


def test_latency_from_key_to_ghost_text(
    open_real: Callable[..., Desk],
    engine: ScriptedEngine,
    measure: Callable[[str, list[float]], None],
) -> None:
    """Prints; asserts a generous ceiling only."""
    desk = open_real("\n")
    samples = []
    ask(desk, "idef ", ADD[4:])
    for _ in range(11):
        before = time.perf_counter()
        ask(desk, "a", ADD[5:])
        samples.append((desk.nvim.flushed - before) * 1000)
        ask(desk, "<BS>", ADD[4:])
    measure("key to ghost text, typed along", samples[1:])
    fresh = []
    for n in range(11):
        engine.completions = [f"{n}abcde = {n}"]
        ask(desk, f"<Esc>o{n}abcd", f"e = {n}")
        ask(desk, "<BS>", f"de = {n}")
        engine.completions = [f"{n}abcxyz = {n}"]
        before = time.perf_counter()
        ask(desk, "x", f"yz = {n}")
        fresh.append((desk.nvim.flushed - before) * 1000)
    measure("key to ghost text, asking an engine that answers at once", fresh[1:])
    assert statistics.median(fresh) < LATENCY_CEILING_MS
