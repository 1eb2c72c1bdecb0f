"""The traps of the protocol layer: whatever has an id is answered, whatever is odd is survived."""

import json
from pathlib import Path

import pytest
import pytest_lsp

from tests.protocol.client import URI, inline

INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
NOT_INITIALIZED = -32002


async def test_inline_completion_is_advertised(connect, engine):
    client = connect()
    capabilities = (await client.initialize())["capabilities"]
    assert capabilities["inlineCompletionProvider"] == {}
    assert capabilities["textDocumentSync"]["change"] == 2
    assert "midfill.accepted" in capabilities["executeCommandProvider"]["commands"]
    assert "completionProvider" not in capabilities
    assert "notebookDocumentSync" not in capabilities


@pytest.mark.parametrize("name", ["visual_studio_code", "neovim", "emacs"])
async def test_real_editors_capabilities_are_understood(connect, engine, name):
    recorded = sorted(Path(pytest_lsp.__file__).parent.glob(f"clients/{name}*.json"))
    told = json.loads(recorded[-1].read_text())
    client = connect()
    result = await client.initialize(told.get("capabilities", told))
    assert result["capabilities"]["inlineCompletionProvider"] == {}
    await client.ready()
    client.open("x = \n")
    assert await client.inline(0, 4)


async def test_trigger_kinds_of_a_session_that_counts_from_zero(client, engine):
    client.open("x = \ny = \nz = \n")
    await client.inline(0, 4, kind=0)
    await client.inline(1, 4, kind=1)
    zero, one = engine.asked
    assert zero["candidates"] == 3
    assert "candidates" not in one


async def test_trigger_kinds_of_a_session_that_counts_from_one(client, engine):
    client.open("x = \ny = \nz = \n")
    await client.inline(0, 4, kind=1)
    await client.inline(1, 4, kind=2)
    one, two = engine.asked
    assert one["candidates"] == 3
    assert "candidates" not in two


MALFORMED = [
    {},
    None,
    [1, 2],
    inline(0, 4, kind=7),
    inline(0, 4, kind="often"),
    inline(-1, 4),
    inline(0, "four"),
    inline(0, 4) | {"textDocument": 5},
    inline(0, 4) | {"context": 3},
    inline(0, 4, selectedCompletionInfo={"text": "x"}),
]


@pytest.mark.parametrize("params", MALFORMED)
async def test_malformed_parameters_are_answered_without_a_popup(client, params):
    client.open("x = \n")

    answer = await client.request("textDocument/inlineCompletion", params)

    assert answer["error"]["code"] == INVALID_PARAMS
    assert await client.inline(0, 4), "the next question is answered"
    assert not client.told()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("midfill/why", {}),
        ("midfill/snooze", {"minutes": "ten"}),
        ("midfill/snooze", {"minutes": -1}),
        ("midfill/toggle", {"scope": "galaxy"}),
        ("midfill/toggle", {"scope": "all", "enabled": "yes"}),
        ("midfill/fillHoles", {"textDocument": {"uri": URI}}),
        ("midfill/fillHoles", [1]),
        ("workspace/executeCommand", {"command": "midfill.unheard"}),
    ],
)
async def test_malformed_own_messages_are_answered(client, method, params):
    assert (await client.request(method, params))["error"]["code"] == INVALID_PARAMS


async def test_malformed_notifications_are_ignored(client):
    client.open("x = \n")
    for method in ("midfill/didShow", "midfill/didAccept", "midfill/didDismiss"):
        client.notify(method, {"id": 3})
        client.notify(method, None)
    client.notify("textDocument/didChange", {"textDocument": {"uri": URI}})
    client.notify("$/cancelRequest", {})
    client.notify("$/cancelRequest", {"id": 99})
    client.notify("unheard/of", {"x": 1})
    assert await client.inline(0, 4)
    assert not client.told()


async def test_unknown_methods_and_documents(client):
    answer = await client.request("textDocument/unheard", {})
    assert answer["error"]["code"] == METHOD_NOT_FOUND
    assert await client.inline(0, 0, uri="file:///nowhere.py") is None
    client.type("x", 0, 0, 2, uri="file:///nowhere.py")
    await client.settled()


async def test_what_is_no_message_is_refused_and_the_server_lives_on(client):
    client.send(b"not json")
    client.send(b"[]")
    client.send({"jsonrpc": "2.0", "id": [1], "method": "shutdown"})
    client.send({"jsonrpc": "2.0", "id": None, "method": "shutdown"})
    client.open("x = \n")
    assert await client.inline(0, 4)
    assert {r["error"]["code"] for r in client.refusals} == {INVALID_REQUEST}
    assert len(client.refusals) == 3


async def test_requests_before_initialize_and_after_shutdown_are_refused(connect, engine):
    client = connect()
    early = await client.request("textDocument/inlineCompletion", inline(0, 0))
    assert early["error"]["code"] == NOT_INITIALIZED
    await client.initialize()
    again = await client.request("initialize", {"capabilities": {}, "processId": None})
    assert again["error"]["code"] == INVALID_REQUEST
    await client.request("shutdown", None)
    late = await client.request("textDocument/inlineCompletion", inline(0, 0))
    assert late["error"]["code"] == INVALID_REQUEST


async def test_a_question_keeps_the_text_that_it_was_asked_about(client, engine):
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    client.type("lambda: ", 0, 4, version=2)  # in the same breath

    assert (await client.answer(asked))["result"] is None
    assert await client.why() == "stale"
    assert not [r for r in engine.requests if "lambda" in r["prefix"]]


async def test_a_claimed_version_that_is_not_ours_is_stale(client):
    client.open("x = \n")
    params = inline(0, 4)
    params["textDocument"]["version"] = 7
    params["formattingOptions"] = {"tabSize": 4, "insertSpaces": True}
    answer = await client.request("textDocument/inlineCompletion", params)
    assert answer["result"] is None
    params["textDocument"]["version"] = 1
    assert (await client.request("textDocument/inlineCompletion", params))["result"]


async def test_a_document_opened_again_starts_afresh(client):
    client.open("x = \n", version=9)
    await client.inline(0, 4)
    client.open("y = \n", version=1)
    assert await client.inline(0, 4)


async def test_a_whole_text_change_and_one_without_range(client, engine):
    client.open("x = \n")
    client.notify(
        "textDocument/didChange",
        {
            "textDocument": {"uri": URI, "version": 2},
            "contentChanges": [{"text": "y = \nz = \n"}],
        },
    )
    await client.inline(1, 4)
    assert engine.requests[0]["prefix"] == "y = \nz = "
