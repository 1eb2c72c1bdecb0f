"""``midfill engine`` inside the test's process: what needs no second one."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from midfill_engine.commands import engine as command
from midfill_engine.errors import CheckpointError
from midfill_engine.service import process
from midfill_engine.service.engine import Engine
from midfill_engine.service.process import Place, claimed
from midfill_engine.settings import EngineSettings
from tests.engine.fakes import ScriptedFiller, load_with


def failing(settings, progress):
    raise CheckpointError("model.safetensors is cut short.", "Fetch it again.")


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_failing_self_test_says_why(options, capsys):
    assert command.main(["--self-test", *options], load=failing) == 1
    out = capsys.readouterr().out
    assert "cut short" in out
    if options:
        assert json.loads(out)["code"] == "checkpoint"


def test_a_broken_torch_is_a_finding(capsys):
    def broken(settings, progress):
        raise ImportError("libcublas.so.12 is missing")

    assert command.main(["--self-test", "--json"], load=broken) == 1
    assert "libcublas.so.12" in json.loads(capsys.readouterr().out)["message"]


def test_self_test_in_json(capsys):
    assert command.main(["--self-test", "--json"], load=load_with(ScriptedFiller())) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["text"], found["nfe"]) == (True, "a + b", 3)
    assert found["model"]["name"] == "scripted"


def test_a_wrong_option_is_a_usage_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--device", "toaster"], load=failing)
    assert "must be one of auto, cpu, cuda" in capsys.readouterr().err


def test_self_test_in_a_sentence(capsys):
    assert command.main(["--self-test"], load=load_with(ScriptedFiller())) == 0
    assert "'a + b'" in capsys.readouterr().out


def test_a_missing_torch_is_told_before_anything_starts(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as raised:
        command.main([], load=failing)
    assert raised.value.name == "torch"


async def test_without_unix_sockets_a_token_guards_the_port(short_path, monkeypatch):
    monkeypatch.setattr(process, "HAS_UNIX_SOCKETS", False)
    monkeypatch.setattr(command, "HAS_UNIX_SOCKETS", False)
    place = Place(short_path)
    with claimed(place) as claim:
        engine = Engine(EngineSettings(), load_with(ScriptedFiller()))
        task = asyncio.create_task(command.serve_until_idle(claim, engine))
        async with asyncio.timeout(10):
            while not place.description.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        reach = json.loads(place.description.read_text())
        assert "socket" not in reach
        url = f"http://127.0.0.1:{reach['port']}"
        async with aiohttp.ClientSession(url) as session:
            async with session.post("/v1/midfill", json={"prefix": "x"}) as answer:
                assert answer.status == 401
            headers = {"Authorization": f"Bearer {reach['token']}"}
            async with session.post("/v1/midfill/stop", headers=headers) as answer:
                assert answer.status == 200
        await asyncio.wait_for(task, 20)


async def test_a_daemon_whose_model_failed_says_why_and_stays_a_while(short_path, monkeypatch):
    place = Place(short_path)
    monkeypatch.setattr(command, "FAILED_EXIT_S", 0.01)
    with claimed(place) as claim:
        engine = Engine(EngineSettings(idle_exit_s=0), failing)
        task = asyncio.create_task(command.serve_until_idle(claim, engine))
        await engine.loaded()
        connector = aiohttp.UnixConnector(str(place.socket))
        async with aiohttp.ClientSession("http://engine", connector=connector) as session:
            async with session.get("/health") as answer:
                health = await answer.json()
            async with session.post("/v1/completions", json={"prompt": "x"}) as answer:
                assert answer.status == 503
                assert "cut short" in (await answer.json())["error"]["message"]
        assert (health["status"], health["model"]) == ("error", None)
        assert "Fetch it again." in health["message"]
        await asyncio.wait_for(task, 20)
