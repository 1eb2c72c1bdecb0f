"""Whatever an editor does, each request gets exactly one answer and the server lives on."""

import random

import pytest

from tests.fake_engine import fill, middle
from tests.protocol.client import URI, inline

TEXT = "def f(a):\n    # 😀 note\n    return \n\nx = f('b')\r\n"


@pytest.mark.parametrize("seed", range(6))
async def test_each_request_of_a_hectic_editor_is_answered_once(client, engine, seed):
    chance = random.Random(seed)
    engine.drafts = ["va", "value"]
    engine.answer = lambda _: chance.choice(
        [
            fill(middle("value")),
            fill(middle("value + 1\n", "y")),
            fill(middle()),
            fill(reason="deadline"),
        ]
    )
    client.open(TEXT)
    version, asked = 1, []

    def position():
        return {"line": chance.randrange(7), "character": chance.randrange(16)}

    def ask():
        entry = {"range": {"start": position(), "end": position()}, "text": "val"}
        context = {"selectedCompletionInfo": entry} if chance.random() < 0.2 else {}
        params = inline(0, 0, kind=chance.choice([0, 1, 2]), **context) | {"position": position()}
        if chance.random() < 0.1:
            params["position"]["line"] = chance.choice([-1, "two", None])
        asked.append(client.ask("textDocument/inlineCompletion", params))

    def change():
        nonlocal version
        version += 1
        start, end = position(), position()
        where = (
            {"start": start, "end": end}
            if chance.random() < 0.3
            else {"start": start, "end": start}
        )
        client.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": URI, "version": version},
                "contentChanges": [
                    {"range": where, "text": chance.choice(["v", "va", "\r", "\n", ""])}
                ],
            },
        )

    def cancel():
        if asked:
            client.notify("$/cancelRequest", {"id": chance.choice(asked)})

    def own():
        method = chance.choice(
            ["midfill/why", "midfill/status/get", "midfill/fillHoles", "no/such"]
        )
        holes = {"start": position(), "end": position()}
        asked.append(client.ask(method, {"textDocument": {"uri": URI}, "range": holes}))

    def reopen():
        nonlocal version
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        version = 1
        client.open(TEXT)

    def hold():
        if engine.go.is_set():
            engine.go.clear()
        else:
            engine.go.set()

    for _ in range(150):
        chance.choice([ask, ask, ask, change, change, cancel, own, hold, reopen])()
        if chance.random() < 0.3:
            await client.settled()
    engine.go.set()

    answers = [await client.answer(msg_id) for msg_id in asked]

    assert all(("result" in answer) != ("error" in answer) for answer in answers)
    codes = {answer["error"]["code"] for answer in answers if "error" in answer}
    assert codes <= {-32800, -32602, -32601}
    client.open("x = \n")
    assert (await client.request("midfill/status/get", {}))["result"]["state"] in ("ready", "busy")
    assert not client.told()
