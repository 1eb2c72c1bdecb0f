import json

from tests.fake_engine import fill, middle

SOURCE = "def f(a):\n    return \n\n\nprint(f(1))\n"


def source(tmp_path, text=SOURCE):
    path = tmp_path / "pkg" / "code.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


async def test_prints_what_fits(engine, midfill, tmp_path):
    engine.answer = fill(middle("a", " + 1", "\n\n\nprint(f(1))"))
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12)
    assert (ran.code, ran.out, ran.err) == (0, "a + 1\n", "")
    request = engine.requests[0]
    assert request["prefix"] == "def f(a):\n    return "
    assert request["suffix"] == "\n\n\nprint(f(1))\n"
    assert (request["path"], request["language"]) == ("pkg/code.py", "python")


async def test_raw_is_what_the_model_said(engine, midfill, tmp_path):
    engine.answer = fill(middle("a\n\n\nprint(f(1))"))
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12, "--raw")
    assert ran.out == "a\n\n\nprint(f(1))\n"


async def test_json(engine, midfill, tmp_path):
    engine.answer = fill(middle(("a", 0.75), " + 1"), middle("b"))
    ran = await midfill(
        *("complete", source(tmp_path), "--line", 2, "--column", 12, "--json"),
        *("--candidates", 2, "--strategy", "fast", "--budget-ms", 500, "--max-tokens", 7),
    )
    said = json.loads(ran.out)
    assert said["text"] == "a + 1"
    assert said["candidates"][0]["tokens"] == [["a", 0.75], [" + 1", 0.9]]
    assert said["candidates"][1]["text"] == "b"
    assert said["silence"] is None
    assert said["context"]["scope"] == "code"
    assert said["fill"]["nfe"] == 3
    asked = {name: engine.requests[0][name] for name in ("strategy", "budget_ms", "max_tokens")}
    assert asked == {"strategy": "fast", "budget_ms": 500, "max_tokens": 7}


async def test_silence_has_a_reason(engine, midfill, tmp_path):
    engine.answer = fill(middle("  "))
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("Nothing to show: ")
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12, "--json")
    assert json.loads(ran.out)["silence"]["code"] == "empty"


async def test_standard_input_and_crlf(engine, midfill):
    engine.answer = fill(middle("x = 1\n    return x"))
    text = b"def f():\r\n    \r\n"
    place = ("--line", 2, "--column", 5, "--path", "a.py", "--json")
    ran = await midfill("complete", "-", *place, stdin=text)
    assert json.loads(ran.out)["text"] == "x = 1\r\n    return x"
    assert engine.requests[0]["prefix"] == "def f():\n    "


async def test_columns_count_characters(engine, midfill):
    await midfill("complete", "-", "--line", 1, "--column", 7, stdin="x = '🙂é'".encode())
    assert engine.requests[0]["prefix"] == "x = '🙂"


async def test_wrong_places_are_sentences(engine, midfill, tmp_path):
    path = source(tmp_path)
    ran = await midfill("complete", path, "--line", 99, "--column", 1)
    words = "midfill complete: --line 99 is past the end: there are 6 lines.\n"
    assert (ran.code, ran.err) == (1, words)
    ran = await midfill("complete", path, "--line", 1, "--column", 99)
    assert "columns 1 to 10" in ran.err
    ran = await midfill("complete", tmp_path / "none.py", "--line", 1, "--column", 1)
    assert (ran.code, "No such file" in ran.err) == (1, True)
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    ran = await midfill("complete", tmp_path / "binary.py", "--line", 1, "--column", 1)
    assert "not UTF-8" in ran.err
    ran = await midfill("complete", path, "--line", "0", "--column", 1)
    assert (ran.code, "no whole number" in ran.err) == (2, True)
    assert engine.requests == []


async def test_secrets_stay_here(engine, midfill, tmp_path):
    (tmp_path / ".env").write_text("KEY=1\n")
    ran = await midfill("complete", tmp_path / ".env", "--line", 1, "--column", 5)
    assert (ran.code, "secrets" in ran.err) == (1, True)
    assert engine.requests == []


async def test_a_refusal_is_a_sentence(engine, midfill, tmp_path):
    engine.answer = {"code": "busy", "message": "Too many wait.", "hint": "Ask later."}
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12)
    assert (ran.code, ran.err) == (1, "midfill complete: Too many wait. Ask later.\n")


async def test_no_engine_is_a_sentence(midfill, tmp_path):
    off = {"MIDFILL_LSP_ENGINE_AUTOSTART": "false"}
    ran = await midfill("complete", source(tmp_path), "--line", 2, "--column", 12, env=off)
    assert ran.code == 1
    assert ran.err.startswith("midfill complete: No engine runs")
    assert "Traceback" not in ran.err
