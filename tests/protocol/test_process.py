"""The real `midfill lsp` process: its life, its streams, two of them at once."""

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.fake_engine import FakeEngine, fill, middle
from tests.protocol.client import Client

CANARY = "zq_canary_7731"


@pytest.fixture
async def engine(tmp_path):
    engine = await FakeEngine(tmp_path / "run").start()
    yield engine
    await engine.close()


async def test_two_editors_share_one_engine(tmp_path, engine):
    engine.answer = lambda r: fill(middle(r["prefix"].strip(" =") + "!"))
    one, two = await Client.start(tmp_path / "run"), await Client.start(tmp_path / "run")
    for client, name in ((one, "a"), (two, "b")):
        await client.initialize()
        await client.ready()
        client.open(f"{name} = \n")
    asked = [client.ask_inline(0, 4) for client in (one, two)]

    answers = [await one.answer(asked[0]), await two.answer(asked[1])]

    assert [a["result"]["items"][0]["insertText"] for a in answers] == ["a!", "b!"]
    assert len({r["session"] for r in engine.asked}) == 2
    assert await one.stop() == 0
    assert await two.inline(0, 4)
    assert await two.stop() == 0


async def test_leaving_without_shutdown_is_an_error_code(tmp_path, engine):
    client = await Client.start(tmp_path / "run")
    await client.initialize()
    client.notify("exit", None)
    assert await client.ended() == 1


async def test_an_editor_that_is_gone_takes_the_server_with_it(tmp_path, engine):
    client = await Client.start(tmp_path / "run")
    await client.initialize()
    client.open("x = \n")
    client.process.stdin.close()
    assert await client.ended() == 1


async def test_no_text_of_the_user_reaches_logs_errors_or_the_journal(tmp_path, engine):
    log = tmp_path / "lsp.log"
    client = await Client.start(
        tmp_path / "run", MIDFILL_LSP_LOG_LEVEL="debug", MIDFILL_LSP_LOG_FILE=log
    )
    engine.answer = fill(middle(f"{CANARY}_answer()"))
    await client.initialize(initializationOptions={"no": CANARY})
    await client.ready()
    client.open(f"x = {CANARY}\n{CANARY} = \n")
    [item] = await client.inline(1, len(CANARY) + 3)
    arguments = item["command"]["arguments"]
    client.notify("midfill/didAccept", {"id": arguments[0]["id"], "kind": "word", "length": 3})
    await client.request(
        "workspace/executeCommand", {"command": "midfill.accepted", "arguments": arguments}
    )
    errors = [
        await client.request("textDocument/inlineCompletion", {"position": CANARY}),
        await client.request(
            "textDocument/hover", {"textDocument": {"uri": CANARY}, "position": CANARY}
        ),
        await client.request("midfill/toggle", {"scope": CANARY}),
    ]
    client.notify("textDocument/didChange", {"contentChanges": [{"text": CANARY, "range": CANARY}]})
    client.send(f'{{"jsonrpc": "2.0", "method": "{CANARY}'.encode())
    engine.answer = {"code": "odd", "message": "Refused."}
    client.type("y", 1, 0, version=2)
    await client.inline(1, len(CANARY) + 4)
    assert await client.stop() == 0

    journal = tmp_path / "run" / "state" / "journal.jsonl"
    told = (await client.process.stderr.read()).decode()
    texts = [log.read_text(), journal.read_text(), told, json.dumps(errors)]
    assert all(CANARY not in text for text in texts)
    assert all(json.loads(line)["event"] for line in log.read_text().splitlines())
    assert log.stat().st_mode & 0o777 == 0o600
    assert journal.stat().st_mode & 0o777 == 0o600


async def test_the_process_is_light_and_its_stdout_is_the_protocols_alone(tmp_path, engine):
    """A stray print would break the client's parsing; tensors would break the promise."""
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(
        "import atexit, json, os, sys\n"
        "print('a stray line', file=sys.stderr)\n"
        "def tell():\n"
        "    open(os.environ['SPY_OUT'], 'w').write(json.dumps(sorted(sys.modules)))\n"
        "atexit.register(tell)\n"
    )
    out = tmp_path / "modules.json"
    path = os.pathsep.join([str(spy), *(p for p in sys.path if p), str(Path.cwd())])
    client = await Client.start(tmp_path / "run", PYTHONPATH=path, SPY_OUT=out)
    await client.initialize()
    await client.ready()
    client.open("def f(a):\n    return \n")
    assert await client.inline(1, 11)
    resident = psutil.Process(client.process.pid).memory_info().rss
    assert await client.stop() == 0

    modules = set(json.loads(out.read_text()))
    assert modules.isdisjoint({"torch", "transformers", "numpy", "safetensors", "tokenizers"})
    assert resident < 120 * 2**20
