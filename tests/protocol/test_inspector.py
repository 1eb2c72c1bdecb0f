"""`midfill/inspect`: what a client may see of the last request."""

import json

from midfill_engine.wire import Silence
from midfill_lsp.documents import Ask, DocumentSnapshot
from midfill_lsp.suggest.trace import CAPACITY, Answer, Traces
from tests.fake_engine import fill, middle
from tests.protocol.client import URI

OTHER = "file:///project/other.py"


async def inspect(client, uri=URI):
    return (await client.request("midfill/inspect", {"textDocument": {"uri": uri}}))["result"]


async def test_a_request_is_told_with_its_context_steps_and_figures(client, engine):
    engine.drafts = ["re", "return"]
    engine.answer = fill(middle(("turn ", 0.95), ("a", 0.4)), nfe=5)
    client.open("def same(a):\n    re\n")
    assert await inspect(client) is None
    await client.inline(1, 6)

    told = await inspect(client)

    assert told["answer"]["line"] == 1
    assert told["answer"]["source"] == "model"
    assert told["answer"]["shown"] == [[["turn ", 0.95, 1], ["a", 0.4, 1]]]
    context = told["request"]["context"]
    assert context["prefix"].endswith("    re")
    assert context["suffix"] == "\n"
    assert context["language"] == "python"
    assert told["request"]["parameters"]["budget_ms"] == 700
    assert [d["tokens"] for d in told["request"]["drafts"]] == [
        [["re", 0.9, 1]],
        [["return", 0.9, 1]],
    ]
    assert told["request"]["drafts"][0]["ms"] <= told["request"]["drafts"][1]["ms"]
    assert told["request"]["fill"]["nfe"] == 5
    assert told["request"]["fill"]["middles"][0]["tokens"][1] == ["a", 0.4, 1]


async def test_what_is_typed_along_names_the_request_that_it_came_from(client, engine):
    engine.answer = fill(middle("print", "(value)"))
    client.open("value = 1\n\n")
    await client.inline(1, 0)
    client.type("pr", 1, 0, version=2)
    await client.inline(1, 2)

    told = await inspect(client)

    assert told["answer"]["source"] == "typed-along"
    assert told["answer"]["shown"] == [[["int", 0.9, 1], ["(value)", 0.9, 1]]]
    assert told["request"]["context"]["prefix"] == "value = 1\n"


async def test_a_silence_is_told_with_its_reason_and_its_request_if_there_was_one(client, engine):
    engine.answer = fill(middle(""))
    client.open("value\n")
    await client.inline(0, 5)
    told = await inspect(client)
    assert told["answer"]["code"] == "empty"
    assert told["request"]["fill"]["finish_reason"] == "end"

    await client.inline(0, 2)
    client.type("s", 0, 5, version=2)
    await client.inline(0, 2)
    told = await inspect(client)
    assert told["answer"]["code"] == "word-follows"
    assert told["request"] is None


async def test_other_documents_and_closed_ones_are_not_told(client, engine):
    client.open("x = \n")
    await client.inline(0, 4)
    client.open("y = \n", uri=OTHER)
    assert await inspect(client, OTHER) is None
    client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    assert await inspect(client) is None


async def test_nothing_of_it_is_written_to_the_disk(client, engine, run):
    client.open("canary = \n")
    await client.inline(0, 9)
    assert "canary" in json.dumps(await inspect(client))
    await client.stop()
    files = [path for path in run.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"canary" in path.read_bytes()]


def test_only_the_last_requests_are_remembered():
    traces = Traces()
    for version in range(CAPACITY + 1):
        snapshot = DocumentSnapshot(URI, version, "python", "x", 1)
        traces.begin(Ask(snapshot), None, ahead=False)
    empty = Silence("empty", "")
    assert traces.behind(Answer(URI, 0, 0, False, empty, 1.0)) is None
    assert traces.behind(Answer(URI, 1, 0, False, empty, 1.0)) is not None
