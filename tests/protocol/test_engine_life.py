"""The engine starts, loads, dies and comes back: the editor is never held up."""

import os
import signal
import sys
from pathlib import Path

import pytest

from midfill_lsp.backend import launcher
from tests.fake_engine import FakeEngine

PROGRAM = [sys.executable, "-m", "tests.fake_engine"]


@pytest.fixture
def program(run, monkeypatch):
    """Let the server start the scripted engine as a program; ends what was started."""
    monkeypatch.setenv("MIDFILL_LSP_ENGINE_AUTOSTART", "true")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(Path.cwd())]))
    monkeypatch.setattr(launcher, "BACK_OFF_S", (0.01,))
    started = []
    start = launcher.start_engine

    def noted(command=(), directory=None):
        started.append(start(command, directory))
        return started[-1]

    monkeypatch.setattr(launcher, "start_engine", noted)
    yield started
    for process in started:
        process.kill()
        process.wait()


async def test_no_engine_is_started_where_that_is_switched_off(connect):
    client = connect()
    await client.initialize()
    client.open("x = \n")
    await client.noted("midfill/status", lambda p: p["state"] == "error")

    assert await client.inline(0, 4) is None

    assert await client.why() == "engine-down"
    assert len(client.told()) == 1
    assert "midfill engine" in client.told()[0]


async def test_an_engine_that_comes_later_is_found(connect, run):
    client = connect()
    await client.initialize()
    client.open("x = \n")
    await client.noted("midfill/status", lambda p: p["state"] == "error")
    engine = await FakeEngine(run).start()

    await client.inline(0, 4)  # looks again
    await client.ready()

    assert await client.inline(0, 4)
    await engine.close()


async def test_a_loading_engine_answers_null_with_progress(connect, run):
    engine = FakeEngine(run)
    engine.status, engine.progress = "loading", 0.6
    await engine.start()
    client = connect()
    await client.initialize()
    client.open("x = \n")
    told = await client.noted("midfill/status", lambda p: p["state"] == "loading")
    assert told["progress"] == 0.6
    assert "60%" in told["message"]

    assert await client.inline(0, 4) is None

    assert await client.why() == "engine-loading"
    assert not client.told()
    engine.status = "ok"
    await client.ready()
    assert await client.inline(0, 4)
    await engine.close()


async def test_a_failed_model_is_told_in_the_engines_words(connect, run):
    engine = FakeEngine(run)
    engine.status, engine.message = "error", "model.safetensors is cut short. Fetch it again."
    await engine.start()
    client = connect()
    await client.initialize()
    await client.noted("midfill/status", lambda p: p["state"] == "error")
    client.open("x = \n")
    await client.inline(0, 4)
    await client.inline(0, 4)
    assert client.told() == ["Midfill: model.safetensors is cut short. Fetch it again."]
    await engine.close()


async def test_a_newer_engine_is_a_clear_sentence(connect, run):
    engine = FakeEngine(run)
    engine.protocol = 99
    await engine.start()
    client = connect()
    await client.initialize()
    told = await client.noted("midfill/status", lambda p: p["state"] == "error")
    assert "protocol 99" in told["message"]
    assert "midfill stop" in told["message"]
    assert not engine.stopped
    await engine.close()


async def test_an_older_engine_is_ended_and_ours_started(connect, run, program):
    engine = FakeEngine(run)
    engine.protocol = 0
    await engine.start()
    client = connect()
    await client.initialize(initializationOptions={"engine": {"command": PROGRAM}})
    await client.ready()
    assert engine.stopped
    client.open("x = \n")
    [item] = await client.inline(0, 4)
    assert item["insertText"] == "started()"


async def test_the_engine_is_started_and_restarted_after_a_kill(connect, program):
    client = connect()
    await client.initialize(initializationOptions={"engine": {"command": PROGRAM}})
    client.open("x = \ny = \n")
    assert await client.inline(0, 4) is None
    assert await client.why() == "engine-starting"
    await client.ready()
    assert await client.inline(0, 4)

    client.notifications.clear()
    os.kill(program[-1].pid, signal.SIGKILL)
    program[-1].wait()
    assert await client.inline(1, 4) is None
    assert await client.inline(1, 4) is None
    assert await client.why() == "engine-starting"
    await client.ready()

    assert await client.inline(1, 4)
    assert len(program) == 2
    assert len(client.told()) == 1
    assert "restarted" in client.told()[0]


async def test_an_engine_killed_in_mid_request_costs_that_request_only(connect, program):
    client = connect()
    hanging = [*PROGRAM, "--hang-once"]
    await client.initialize(initializationOptions={"engine": {"command": hanging}})
    await client.ready()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await client.noted("midfill/status", lambda p: p["state"] == "busy")
    client.notifications.clear()

    os.kill(program[-1].pid, signal.SIGKILL)

    assert (await client.answer(asked))["result"] is None
    await client.ready()
    assert await client.inline(0, 4)


async def test_an_engine_that_is_not_installed_says_what_to_do(connect, program):
    client = connect()
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    await client.initialize(initializationOptions={"engine": {"command": command}})
    told = await client.noted("midfill/status", lambda p: p["state"] == "error")
    assert "pip install 'midfill[engine]'" in told["message"]
    client.open("x = \n")
    await client.inline(0, 4)
    await client.settled()
    assert len(program) == 1, "no start for each key"


async def test_an_engine_that_keeps_failing_is_given_up(connect, program):
    client = connect()
    command = [sys.executable, "-c", "raise SystemExit(1)"]
    await client.initialize(initializationOptions={"engine": {"command": command}})
    told = await client.noted("midfill/status", lambda p: p["state"] == "error")
    assert "midfill doctor" in told["message"]
    assert len(program) == launcher.MAX_STARTS
    client.open("x = \n")
    await client.inline(0, 4)
    await client.settled()
    assert len(program) == launcher.MAX_STARTS


async def test_a_command_that_is_no_program_is_told(connect, program):
    client = connect()
    await client.initialize(initializationOptions={"engine": {"command": ["/no/such/program"]}})
    told = await client.noted("midfill/status", lambda p: p["state"] == "error")
    assert "/no/such/program" in told["message"]


async def test_the_user_can_restart_it(connect, program):
    client = connect()
    await client.initialize(initializationOptions={"engine": {"command": PROGRAM}})
    await client.ready()
    client.notifications.clear()

    await client.request("workspace/executeCommand", {"command": "midfill.restartEngine"})

    await client.ready()
    assert len(program) == 2
    assert not client.told()


async def test_a_refused_request_is_told_as_a_reason(client, engine):
    engine.answer = {"code": "out_of_memory", "message": "No room.", "hint": "Close a program."}
    client.open("x = \n")
    assert await client.inline(0, 4) is None
    answer = await client.request(
        "midfill/why", {"textDocument": {"uri": "file:///project/main.py"}}
    )
    assert answer["result"]["message"] == "No room. Close a program."
    engine.answer = {"code": "loading", "message": "Loading.", "hint": ""}
    assert await client.inline(0, 4) is None
    assert await client.why() == "engine-loading"
