"""`textDocument/inlineCompletion` against the real process and a scripted engine."""

import pytest

from tests.fake_engine import fill, middle


async def test_a_cursor_gets_an_item_with_range_and_acceptance_command(client, engine):
    engine.answer = fill(middle(("turn ", 0.95), ("a", 0.4), (" + b", 0.9)))
    client.open("def add(a, b):\n    re\n")

    [item] = await client.inline(1, 6)

    assert item["insertText"] == "return a + b"
    assert item["range"] == {
        "start": {"line": 1, "character": 4},
        "end": {"line": 1, "character": 6},
    }
    assert item["command"]["command"] == "midfill.accepted"
    [told] = item["command"]["arguments"]
    assert told["tokens"] == [[2, 1.0], [5, 0.95], [1, 0.4], [4, 0.9]]
    assert told["sure"] == 7
    assert told["nfe"] == 3
    assert told["source"] == "model"
    [request] = engine.asked
    assert request["prefix"].endswith("    re")
    assert request["suffix"] == "\n"


async def test_asking_explicitly_gets_several_candidates_and_a_larger_budget(client, engine):
    engine.answer = fill(middle("1"), middle("2"), middle("2"))
    client.open("x = \n")

    items = await client.inline(0, 4, kind=1)

    assert [item["insertText"] for item in items] == ["1", "2"]
    [request] = engine.requests
    assert request["candidates"] == 3
    assert request["allow_empty"] is False
    assert request["budget_ms"] == 3000


async def test_typing_along_and_deleting_back_cost_no_model_call(client, engine):
    engine.answer = fill(middle("print", "(value)"))
    client.open("value = 1\n\n")
    await client.inline(1, 0)
    asked = len(engine.asked)

    client.type("pr", 1, 0, version=2)
    [item] = await client.inline(1, 2)
    assert item["insertText"] == "print(value)"
    assert item["command"]["arguments"][0]["source"] == "typed-along"
    assert item["command"]["arguments"][0]["tokens"] == [[2, 1.0], [3, 0.9], [7, 0.9]]

    client.replace("", (1, 1), (1, 2), version=3)
    [item] = await client.inline(1, 1)
    assert item["insertText"] == "print(value)"
    assert len(engine.asked) == asked


async def test_a_bracket_that_the_editor_closed_does_not_hide_what_is_shown(client, engine):
    engine.answer = fill(middle("print(value)"))
    client.open("value = 1\n\n")
    await client.inline(1, 0)
    asked = len(engine.asked)

    client.type("print()", 1, 0, version=2)
    [item] = await client.inline(1, 6)

    assert item["insertText"] == "value)"
    assert item["range"]["end"] == {"line": 1, "character": 7}
    assert len(engine.asked) == asked


async def test_what_was_shown_is_the_draft_where_the_text_around_has_changed(client, engine):
    engine.answer = fill(middle("compute(x)"))
    client.open("a = 1\nx = \n")
    await client.inline(1, 4)

    client.type("0", 0, 5, version=2)
    client.type("com", 1, 4, version=3)
    engine.answer = fill(middle("pute(x)"))
    await client.inline(1, 7)

    assert [r.get("draft", "") for r in engine.asked] == ["", "pute(x)"]


async def test_moving_away_and_back_finds_the_answer_again(client, engine):
    engine.answer = lambda r: fill(middle("first" if r["prefix"].endswith("a = ") else "second"))
    client.open("a = \nb = \n")
    await client.inline(0, 4)
    await client.inline(1, 4)
    asked = len(engine.asked)

    [item] = await client.inline(0, 4)

    assert item["insertText"] == "first"
    assert len(engine.asked) == asked


async def test_expected_silence_is_null_with_its_reason(client, engine):
    engine.answer = fill(middle())
    client.open("x = 1\n")

    assert await client.inline(0, 5) is None

    assert await client.why() == "empty"
    told = await client.noted("midfill/silence")
    assert told["code"] == "empty"
    assert told["message"]


async def test_the_reason_goes_away_when_something_is_shown(client, engine):
    client.open("x = 1\n\n")
    engine.answer = fill(middle())
    await client.inline(0, 5)
    engine.answer = fill(middle("y = 2"))
    await client.inline(1, 0)

    assert await client.why() is None


async def test_a_highlighted_menu_entry_is_extended_with_its_range(client, engine):
    engine.answer = fill(middle("(item)"))
    client.open("items.ap\n")
    entry = {
        "range": {"start": {"line": 0, "character": 6}, "end": {"line": 0, "character": 8}},
        "text": "append",
    }

    [item] = await client.inline(0, 8, selectedCompletionInfo=entry)

    assert item["insertText"] == "append(item)"
    assert item["range"] == entry["range"]
    assert engine.requests[0]["prefix"] == "items.append"


async def test_between_code_only_the_rest_of_the_line_is_asked_for(client, engine):
    client.open("x = (a, c)\ny = f()\n")

    await client.inline(0, 7)
    await client.inline(1, 6)

    asked = [r.get("single_line", False) for r in engine.requests if not r.get("speculative")]
    assert asked == [True, False]


async def test_crlf_documents_get_crlf_and_the_model_never_sees_it(client, engine):
    engine.answer = fill(middle(":\n", "    pass"))
    client.open("def f():\r\n    return 1\r\n\r\ndef g()\r\n")

    [item] = await client.inline(3, 7)

    assert item["insertText"] == ":\r\n    pass"
    assert item["command"]["arguments"][0]["tokens"] == [[3, 0.9], [8, 0.9]]
    assert item["command"]["arguments"][0]["sure"] == 11
    assert "\r" not in engine.requests[0]["prefix"] + engine.requests[0]["suffix"]


async def test_an_editor_that_keeps_lines_without_their_ends_gets_lf(connect, engine):
    engine.answer = fill(middle(":\n", "    pass"))
    client = connect()
    await client.initialize(clientInfo={"name": "Neovim", "version": "0.12"})
    await client.ready()
    client.open("def f():\r\n    return 1\r\n\r\ndef g()\r\n")

    [item] = await client.inline(3, 7)

    assert item["insertText"] == ":\n    pass"
    assert item["command"]["arguments"][0]["tokens"] == [[2, 0.9], [8, 0.9]]
    assert item["command"]["arguments"][0]["sure"] == 10


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 11), ("utf-16", 9), ("utf-32", 8)])
async def test_positions_are_counted_in_the_negotiated_encoding(
    connect, engine, encoding, character
):
    client = connect()
    capabilities = {"general": {"positionEncodings": [encoding]}}
    result = await client.initialize(capabilities)
    assert result["capabilities"]["positionEncoding"] == encoding
    await client.ready()
    client.open('s = "😀"+\n')

    [item] = await client.inline(0, character)

    assert engine.requests[0]["prefix"] == 's = "😀"+'
    assert item["range"]["start"] == {"line": 0, "character": character}


async def test_lines_end_only_where_the_protocol_says(client, engine):
    client.open("a = '\u2028'\nb = '\x0c'\nc = '\x85'\nd = \n")
    client.type("1 + ", 3, 4, version=2)

    await client.inline(3, 8)

    assert engine.requests[0]["prefix"].endswith("\nd = 1 + ")


async def test_drafts_are_sent_to_a_client_that_wants_them(connect, engine):
    client = connect()
    await client.initialize(initializationOptions={"drafts": True})
    await client.ready()
    engine.drafts = ["ret", "return"]
    engine.answer = fill(middle("return 1"))
    client.open("def f():\n    \n")

    await client.inline(1, 4)

    drafts = [p for m, p in client.notifications if m == "midfill/draft"]
    assert [d["text"] for d in drafts[:2]] == ["ret", "return"]
    assert drafts[0]["tokens"] == [[3, 0.9, 1]]
    assert drafts[0]["position"] == {"line": 1, "character": 4}
    assert drafts[0]["version"] == 1
