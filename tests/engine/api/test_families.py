"""A checkpoint of each fully bidirectional family behind the real HTTP application."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midfill_engine.commands import engine as command
from midfill_engine.fill.filler import Filler
from midfill_engine.service.engine import Engine
from midfill_engine.settings import EngineSettings
from tests.engine.serving import client_of


@pytest.mark.parametrize("family", ["llada", "dream"])
async def test_a_path_is_enough_to_serve_it(family, llada_path, dream_path, short_path: Path):
    path = {"llada": llada_path, "dream": dream_path}[family]
    told = EngineSettings(
        model=str(path), device="cpu", precision="float32", threads=1, agreement="note"
    )
    engine = Engine(told, Filler.load)
    await engine.start()
    await engine.loaded()
    try:
        async with client_of(engine, short_path) as http:
            async with http.get("/health") as answer:
                health = await answer.json()
            assert health["status"] == "ok"
            assert health["model"]["architecture"] in ("LLaDAModelLM", "DreamModel")
            body = {"prefix": "def f(a):\n    return ", "suffix": "\n\nf(1)\n", "max_tokens": 12}
            async with http.post("/v1/midfill", json=body | {"session": "s"}) as answer:
                native = await answer.json()
            assert native["finish_reason"] == "end"
            assert native["nfe"] > 0
            assert "guesses" in native["notes"][-1]
            body = {"prompt": body["prefix"], "suffix": body["suffix"], "max_tokens": 12}
            async with http.post("/v1/completions", json=body) as answer:
                openai = await answer.json()
            assert openai["choices"][0]["text"] == native["middles"][0]["text"]
            body = {"input_prefix": "x = ", "input_suffix": "\n", "n_predict": 4}
            async with http.post("/infill", json=body) as answer:
                assert answer.status == 200
    finally:
        await engine.close()


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_the_command_takes_its_path(family, llada_path, dream_path, capsys):
    path = {"llada": llada_path, "dream": dream_path}[family]
    assert command.main(["--self-test", "--json", "--model", str(path), "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["model"]["name"] == path.name
