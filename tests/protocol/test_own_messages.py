"""Our own messages (`midfill/*`), the ordinary menu, and the Copilot dialect."""

import itertools
import json

import pytest

from tests.fake_engine import fill, middle
from tests.protocol.client import URI

OTHER = "file:///project/other.py"


async def test_the_status_says_what_runs_and_how_fast(client, engine):
    client.open("x = \n")
    await client.inline(0, 4)
    status = (await client.request("midfill/status/get", {}))["result"]
    assert status["state"] == "ready"
    assert status["model"] == "fake-model"
    assert status["device"] == "cpu"
    assert status["last"]["nfe"] == 3
    assert status["last"]["source"] == "model"
    assert status["last"]["ms"] > 0


async def test_the_status_is_busy_while_the_engine_works_and_is_not_repeated(client, engine):
    engine.go.clear()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await client.noted("midfill/status", lambda p: p["state"] == "busy")
    engine.go.set()
    await client.answer(asked)
    told = [p for m, p in client.notifications if m == "midfill/status"]
    assert all(one != other for one, other in itertools.pairwise(told))
    assert told[-1]["state"] == "ready"


async def test_snoozing_silences_typing_but_not_asking(client, engine):
    client.open("x = \n")
    status = (await client.request("midfill/snooze", {"minutes": 5}))["result"]
    assert status["state"] == "paused"
    assert await client.inline(0, 4) is None
    assert await client.why() == "snoozed"
    assert await client.inline(0, 4, kind=1)
    assert (await client.request("midfill/snooze", {"minutes": 0}))["result"]["state"] == "ready"
    assert await client.inline(0, 4)


async def test_switching_off_everything_and_a_language(client, engine):
    client.open("x = \n")
    off = await client.request("midfill/toggle", {"scope": "all"})
    assert off["result"] == {"enabled": False}
    assert (await client.request("midfill/status/get", {}))["result"]["state"] == "off"
    assert await client.inline(0, 4, kind=1) is None
    assert await client.why() == "disabled"
    await client.request("midfill/toggle", {"scope": "workspace", "enabled": True})

    off = await client.request("midfill/toggle", {"scope": "language", "language": "python"})
    assert off["result"] == {"enabled": False}
    assert await client.inline(0, 4) is None
    assert await client.why() == "language-off"
    on = await client.request(
        "midfill/toggle", {"scope": "language", "language": "python", "enabled": True}
    )
    assert on["result"] == {"enabled": True}
    assert await client.inline(0, 4)


async def test_typing_can_be_left_alone(connect, engine):
    client = connect()
    await client.initialize(initializationOptions={"automatic": False})
    await client.ready()
    client.open("x = \n")
    assert await client.inline(0, 4) is None
    assert await client.why() == "disabled"
    assert await client.inline(0, 4, kind=1)


@pytest.mark.parametrize(
    ("options", "text", "code"),
    [({"inComments": False}, "# x\n", "comment"), ({"inStrings": False}, '"x"\n', "string")],
)
async def test_comments_and_strings_by_setting(connect, engine, options, text, code):
    client = connect()
    await client.initialize(initializationOptions=options)
    await client.ready()
    client.open(text)
    where = text.index("x") + 1
    assert await client.inline(0, where) is None
    assert await client.why() == code
    assert await client.inline(0, where, kind=1)
    client.open(text, uri=OTHER)
    client.notify(
        "workspace/didChangeConfiguration", {"settings": {"midfill": dict.fromkeys(options, True)}}
    )
    assert await client.inline(0, where, uri=OTHER)


async def test_a_dismissed_suggestion_stays_away_until_the_text_there_changes(client, engine):
    client.open("x = \ny = \n")
    [item] = await client.inline(0, 4)
    client.notify(
        "midfill/didDismiss",
        {
            "uri": URI,
            "position": {"line": 0, "character": 4},
            "id": item["command"]["arguments"][0]["id"],
        },
    )
    assert await client.inline(0, 4) is None
    assert await client.why() == "dismissed"
    assert await client.inline(1, 4), "another line is another matter"
    assert await client.inline(0, 4, kind=1), "asking overrules"

    client.type("import os\n", 0, 0, version=2)
    assert await client.inline(1, 4) is None, "it moved down"
    client.type("1", 1, 4, version=3)
    assert await client.inline(1, 5)


async def test_the_rest_of_a_word_is_not_split_while_typing(client, engine):
    client.open("value\n")
    assert await client.inline(0, 2) is None
    assert await client.why() == "word-follows"
    assert await client.inline(0, 2, kind=1)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("file:///project/.env", "secret-file"),
        ("vscode-vfs://github/somebody/project/.env", "secret-file"),
        ("vscode-notebook-cell:/project/.aws/notes.ipynb#one", "secret-file"),
        ("untitled:/project/.env", "secret-file"),
        ("git:/project/main.py", "read-only"),
    ],
)
async def test_some_documents_are_never_sent(client, engine, uri, code):
    client.open("KEY=\n", uri=uri)
    assert await client.inline(0, 4, kind=1, uri=uri) is None
    assert await client.why(uri) == code
    assert not engine.requests


VIRTUAL = "vscode-vfs://github/somebody/project/work.py"


async def test_a_document_of_another_file_system_waits_for_its_ignore_files(client, engine):
    client.open("x = \n", uri=VIRTUAL)
    assert await client.inline(0, 4, kind=1, uri=VIRTUAL) is None
    assert await client.why(VIRTUAL) == "excluded-file"

    told = {"textDocument": {"uri": VIRTUAL}, "folder": "/somebody/project", "ignoreFiles": []}
    client.notify("midfill/describeDocument", told)
    assert await client.inline(0, 4, kind=1, uri=VIRTUAL)

    ignored = {"folder": "/somebody/project", "text": "/work.py\n"}
    client.notify("midfill/describeDocument", told | {"ignoreFiles": [ignored]})
    engine.requests.clear()
    assert await client.inline(0, 4, uri=VIRTUAL) is None
    assert await client.why(VIRTUAL) == "excluded-file"
    assert not engine.requests


async def test_an_ignored_document_of_another_file_system_is_no_neighbour(connect, engine):
    client = connect()
    await client.initialize(initializationOptions={"neighbours": True})
    await client.ready()
    text = "def alpha():\n    return 1\n\ndef beta():\n    return 2\n\nx = \n"
    client.open(text.replace("x", "canary"), uri=VIRTUAL)
    client.open(text)
    assert await client.inline(6, 4)
    assert not engine.requests[-1].get("snippets")
    told = {"textDocument": {"uri": VIRTUAL}, "folder": "/somebody/project", "ignoreFiles": []}
    client.notify("midfill/describeDocument", told)
    client.type("y", 6, 4, version=2)
    assert await client.inline(6, 5)
    assert "canary" in engine.requests[-1]["snippets"][0]["text"]


async def test_outcomes_are_written_to_the_journal(client, engine, run):
    client.open("x = \ny = \n")
    [first] = await client.inline(0, 4)
    told = first["command"]["arguments"][0]
    client.notify("midfill/didShow", {"id": told["id"]})
    client.notify("midfill/didAccept", {"id": told["id"], "kind": "word", "length": 4})
    await client.request(
        "workspace/executeCommand",
        {"command": "midfill.accepted", "arguments": first["command"]["arguments"]},
    )
    [second] = await client.inline(1, 4)
    item = {"item": second}
    client.notify("textDocument/didShowCompletion", item)
    client.notify("textDocument/didPartiallyAcceptCompletion", item | {"acceptedLength": 2})
    await client.stop()

    lines = [json.loads(t) for t in (run / "state" / "journal.jsonl").read_text().splitlines()]
    accepted, partly = lines
    assert accepted["outcome"] == "accepted"
    assert accepted["accepted"] == len("fake()")
    assert accepted["shown_ms"] >= 0
    assert accepted["source"] == "model"
    assert partly["outcome"] == "partly"
    assert partly["accepted"] == 2


async def test_the_journal_can_be_switched_off(connect, engine, run):
    client = connect()
    await client.initialize(initializationOptions={"journal": False})
    await client.ready()
    client.open("x = \n")
    await client.inline(0, 4)
    await client.stop()
    assert not (run / "state").exists()


async def test_odd_arguments_of_the_acceptance_command_are_no_error(client):
    for arguments in ([], [3], [{"id": 5}], [{"id": "unheard"}], None):
        answer = await client.request(
            "workspace/executeCommand", {"command": "midfill.accepted", "arguments": arguments}
        )
        assert answer["result"] is None


async def test_holes_are_filled_in_order_each_seeing_the_ones_before(client, engine):
    engine.answer = lambda r: fill(middle("second" if "first" in r["prefix"] else "first"))
    client.open("a = ___\nb = 😀 + ___  # not____this\nc = ___\n")
    params = {
        "textDocument": {"uri": URI},
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}},
    }

    edit = (await client.request("midfill/fillHoles", params))["result"]

    assert [e["newText"] for e in edit["changes"][URI]] == ["first", "second"]
    assert edit["changes"][URI][1]["range"] == {
        "start": {"line": 1, "character": 9},
        "end": {"line": 1, "character": 12},
    }
    assert engine.requests[0]["suffix"].startswith("\nb = ")


async def test_no_holes_and_changed_documents_give_null(client, engine):
    client.open("a = ___\n")
    line = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}}
    params = {"textDocument": {"uri": URI}, "range": line}
    assert (await client.request("midfill/fillHoles", params))["result"] is None
    assert (await client.request("midfill/fillHoles", params | {"textDocument": {"uri": OTHER}}))[
        "result"
    ] is None
    line["end"]["character"] = 7
    engine.go.clear()
    asked = client.ask("midfill/fillHoles", params)
    await engine.arrived.wait()
    client.type("b", 0, 0, version=2)
    assert (await client.answer(asked))["result"] is None
    await engine.closed.wait()


async def test_the_menu_offers_the_same_where_it_is_switched_on(connect, engine):
    engine.answer = fill(middle("nt(value)\n", "done()"))
    client = connect()
    options = {"completion": {"enabled": True}}
    answer = await client.initialize(initializationOptions=options)
    assert "." in answer["capabilities"]["completionProvider"]["triggerCharacters"]
    await client.ready()
    client.open("pri\n")
    params = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 3}}

    found = (await client.request("textDocument/completion", params))["result"]

    assert found["isIncomplete"] is True
    [entry] = found["items"]
    assert entry["label"] == "print(value)"
    assert entry["textEdit"]["newText"] == "print(value)\ndone()"
    assert entry["textEdit"]["range"]["start"] == {"line": 0, "character": 0}
    assert entry["insertTextMode"] == 1
    assert entry["filterText"] == "print(value)"
    assert "done()" in entry["documentation"]["value"]
    assert entry["command"]["command"] == "midfill.accepted"


async def test_the_menu_can_be_switched_on_later(connect, engine):
    client = connect()
    await client.initialize(
        {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"dynamicRegistration": True}},
        }
    )
    await client.ready()
    client.configuration = {"completion": {"enabled": True}}
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    await client.asked_for("client/registerCapability")
    client.open("x = \n")
    params = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 4}}
    found = (await client.request("textDocument/completion", params))["result"]
    assert found["items"]


async def test_a_copilot_client_hears_the_status_in_its_words(connect, engine):
    client = connect()
    editor = {"editorInfo": {"name": "vim", "version": "9"}, "editorPluginInfo": {"name": "x"}}
    await client.initialize(initializationOptions=editor)
    told = await client.noted("didChangeStatus", lambda p: p["kind"] == "Normal" and not p["busy"])
    assert "message" in told
    client.open("x = \n")
    client.notify("textDocument/didFocus", {"textDocument": {"uri": URI}})
    assert await client.inline(0, 4)
    assert not client.told()


async def test_the_private_fields_of_the_copilot_dialect_are_passed_over(connect, engine):
    client = connect()
    editor = {"editorInfo": {"name": "vim", "version": "9"}, "editorPluginInfo": {"name": "x"}}
    await client.initialize(initializationOptions=editor)
    await client.ready()
    client.open("x = \n")
    params = {
        "textDocument": {"uri": URI, "version": 1},
        "position": {"line": 0, "character": 4},
        "context": {"triggerKind": 2, "selectedCompletionInfo": None},
        "formattingOptions": {"tabSize": 4, "insertSpaces": True},
        "partialResultToken": "1",
    }

    answer = await client.request("textDocument/inlineCompletion", params)

    [item] = answer["result"]["items"]
    assert item["command"]["arguments"][0]["id"]
    for method in ("didShowCompletion", "didPartiallyAcceptCompletion"):
        for odd in ({}, {"item": None}, {"item": item, "acceptedLength": "two"}):
            client.notify(f"textDocument/{method}", odd)
    await client.settled()
    stale = params | {"textDocument": {"uri": URI, "version": 0}}
    assert (await client.request("textDocument/inlineCompletion", stale))["result"] is None
    unknown = await client.request("checkStatus", {})
    assert unknown["error"]["code"] == -32601
    assert not client.told()
