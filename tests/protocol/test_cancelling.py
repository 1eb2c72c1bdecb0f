"""What stops the engine's work, and what must not."""

import asyncio

import pytest

from midfill_lsp.suggest.live import RESTED_S
from tests.fake_engine import fill, middle
from tests.protocol.client import URI

REQUEST_CANCELLED = -32800


async def test_a_cancelled_request_is_answered_and_closes_the_connection(client, engine):
    engine.go.clear()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await engine.arrived.wait()

    client.notify("$/cancelRequest", {"id": asked})

    assert (await client.answer(asked))["error"]["code"] == REQUEST_CANCELLED
    await engine.closed.wait()


async def test_cancelling_what_was_answered_already_is_no_matter_for_the_log(client, caplog):
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    answer = await client.answer(asked)

    client.notify("$/cancelRequest", {"id": asked})
    client.notify("$/cancelRequest", {"id": "never asked"})
    await client.settled()

    assert answer["result"]["items"]
    assert caplog.records == []


async def test_the_same_question_can_be_asked_again_after_a_cancel(client, engine):
    engine.go.clear()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await engine.arrived.wait()
    client.notify("$/cancelRequest", {"id": asked})
    again = client.ask_inline(0, 4)
    engine.go.set()
    assert (await client.answer(again))["result"]["items"]


async def test_a_change_stops_the_engine_and_the_question_is_answered_by_null(client, engine):
    engine.go.clear()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await engine.arrived.wait()

    client.type("9", 0, 4, version=2)

    answer = await client.answer(asked)
    assert answer["result"] is None
    await engine.closed.wait()
    assert await client.why() == "stale"


async def test_a_change_elsewhere_in_the_document_stops_it_too(client, engine):
    engine.go.clear()
    engine.drafts = ["9"]
    client.open("x = \n\n")
    asked = client.ask_inline(0, 4)
    await engine.arrived.wait()

    client.type("9", 1, 0, version=2)

    assert (await client.answer(asked))["result"] is None
    await engine.closed.wait()


async def test_typing_what_is_being_filled_keeps_the_work(client, engine):
    engine.drafts = ["compute(x)"]
    engine.answer = fill(middle("compute(x)"))
    engine.go.clear()
    client.open("x = \n")
    first = client.ask_inline(0, 4)
    await engine.arrived.wait()
    await client.noted("midfill/status", lambda p: p["state"] == "busy")
    await client.settled()

    client.type("com", 0, 4, version=2)
    client.notify("$/cancelRequest", {"id": first})
    second = client.ask_inline(0, 7)
    await client.answer(first)
    engine.go.set()

    [item] = (await client.answer(second))["result"]["items"]
    assert item["insertText"] == "compute(x)"
    assert engine.cancelled == 0
    assert len(engine.asked) == 1


async def test_an_answer_that_breaks_its_draft_is_asked_for_again(client, engine):
    engine.drafts = ["compute(x)"]
    answers = iter([fill(middle("other")), fill(middle("pile()"))])
    engine.answer = lambda _: next(answers)
    engine.go.clear()
    client.open("x = \n")
    client.ask_inline(0, 4)
    await engine.arrived.wait()
    await client.settled()

    client.type("com", 0, 4, version=2)
    second = client.ask_inline(0, 7)
    await client.settled()
    engine.go.set()

    [item] = (await client.answer(second))["result"]["items"]
    assert item["insertText"] == "compile()"


async def test_a_newer_question_takes_the_place_of_the_older(client, engine):
    engine.go.clear()
    client.open("x = \ny = \n")
    first = client.ask_inline(0, 4)
    await engine.arrived.wait()

    second = client.ask_inline(1, 4)

    assert (await client.answer(first))["result"] is None
    await engine.closed.wait()
    engine.go.set()
    assert (await client.answer(second))["result"]["items"]


async def test_documents_do_not_disturb_each_other(client, engine):
    other = "file:///project/other.py"
    engine.go.clear()
    client.open("x = \n")
    client.open("y = \n", uri=other)
    first = client.ask_inline(0, 4)
    second = client.ask_inline(0, 4, uri=other)
    client.type("z", 0, 0, version=2, uri=other)
    await client.answer(second)
    engine.go.set()

    assert (await client.answer(first))["result"]["items"]
    sessions = {r["session"] for r in engine.requests}
    assert len(sessions) == len({r["prefix"] for r in engine.requests if "speculative" not in r})


async def test_closing_a_document_stops_its_work(client, engine):
    engine.go.clear()
    client.open("x = \n")
    asked = client.ask_inline(0, 4)
    await engine.arrived.wait()

    client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})

    assert (await client.answer(asked))["result"] is None
    await engine.closed.wait()


async def test_what_follows_a_suggestion_is_asked_ahead_and_found_after_acceptance(client, engine):
    engine.answer = lambda r: fill(middle(" + 2" if r["prefix"].endswith("1") else "1"))
    client.open("x = \n")
    await client.inline(0, 4)
    engine.arrived.clear()
    while not [r for r in engine.requests if r.get("speculative")]:
        await engine.arrived.wait()
        engine.arrived.clear()
    asked = len(engine.requests)

    client.type("1", 0, 4, version=2)
    [item] = await client.inline(0, 5)

    assert item["insertText"] == "1 + 2"
    assert item["command"]["arguments"][0]["source"] == "speculated"
    assert engine.requests[asked - 1]["prefix"] == "x = 1"
    assert not [r for r in engine.requests[asked:] if not r.get("speculative")]


async def test_what_was_not_ready_in_time_is_gone_on_with_while_the_typist_rests(client, engine):
    engine.answer = lambda r: (
        fill(middle("late()")) if r.get("speculative") else fill(reason="deadline")
    )
    client.open("x = \n")
    assert await client.inline(0, 4) is None
    assert await client.why() == "deadline"
    while not [r for r in engine.requests if r.get("speculative")]:
        engine.arrived.clear()
        await engine.arrived.wait()
    asked = len(engine.asked)

    [item] = await client.inline(0, 4)
    assert item["insertText"] == "late()"
    assert len(engine.asked) == asked


@pytest.fixture
async def resting(connect, engine):
    """An editor that asks once more when it is told to; only the third try comes in time."""
    tries = iter([fill(reason="deadline"), fill(reason="deadline"), fill(middle("late()"))])
    engine.answer = lambda _: next(tries)
    client = connect()
    await client.initialize(initializationOptions={"late": True})
    await client.ready()
    client.open("# 🎉\nx = \n")
    return client


async def test_who_rests_is_told_when_it_is_ready_after_all(resting, engine):
    assert await resting.inline(1, 4) is None
    told = await resting.noted("midfill/late")
    assert told == {"uri": URI, "version": 1, "position": {"line": 1, "character": 4}}
    [item] = await resting.inline(1, 4)
    assert item["insertText"] == "late()"
    assert len(engine.requests) == 3


async def test_who_types_on_is_not_told(resting, engine):
    assert await resting.inline(1, 4) is None
    engine.go.clear()
    while len(engine.requests) < 2:
        engine.arrived.clear()
        await engine.arrived.wait()
    resting.type("q", 1, 4, version=2)
    engine.go.set()
    await resting.settled()
    assert "midfill/late" not in [method for method, _ in resting.notifications]


async def test_only_who_wants_to_know_is_told(client, engine):
    answers = iter([fill(reason="deadline"), fill(middle("late()"))])
    engine.answer = lambda _: next(answers)
    client.open("x = \n")
    assert await client.inline(0, 4) is None
    while len(engine.requests) < 2:
        engine.arrived.clear()
        await engine.arrived.wait()
    [item] = await client.inline(0, 4)
    assert item["insertText"] == "late()"
    assert "midfill/late" not in [method for method, _ in client.notifications]


async def test_nothing_is_asked_ahead_of_what_is_not_sure(client, engine):
    engine.answer = lambda _: fill(middle("1", (" + 2", 0.3)))
    client.open("x = \n")
    [item] = await client.inline(0, 4)
    assert item["insertText"] == "1 + 2"
    await asyncio.sleep(2 * RESTED_S)
    assert len(engine.requests) == 1


async def test_nothing_is_asked_ahead_where_that_is_switched_off(connect, engine):
    client = connect()
    await client.initialize(initializationOptions={"speculate": False})
    await client.ready()
    client.open("x = \n")
    assert await client.inline(0, 4)
    await client.stop()
    assert len(engine.requests) == 1
