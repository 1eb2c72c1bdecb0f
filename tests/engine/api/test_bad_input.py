"""Whatever is sent, the answer is in the shape's own error form and the next request works."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midfill_engine.errors import OutOfMemory
from midfill_engine.service.engine import Engine
from midfill_engine.settings import EngineSettings
from tests.engine.fakes import ScriptedFiller
from tests.engine.serving import acquired, client_of, eventually, running

SHAPES = ("/v1/midfill", "/v1/completions", "/v1/fim/completions", "/infill")
GOOD = {
    "/v1/midfill": {"prefix": "x"},
    "/v1/completions": {"prompt": "x"},
    "/v1/fim/completions": {"prompt": "x"},
    "/infill": {"input_prefix": "x", "input_suffix": ""},
}
#: The field that holds the text before the cursor.
TEXT = {path: next(iter(body)) for path, body in GOOD.items()}


def check_form(path: str, status: int, error: dict) -> None:
    """The error object has its dialect's keys, and a sentence."""
    assert set(error) == {"error"}
    error = error["error"]
    if path == "/infill":
        assert set(error) == {"code", "message", "type"}
        assert error["code"] == status
    elif path == "/v1/midfill":
        assert set(error) == {"code", "message", "hint"}
    else:
        assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith((".", "'"))


async def refused(http: aiohttp.ClientSession, path: str, body: bytes | dict, status: int) -> dict:
    """Send, expect ``status`` in the right form, and see that the next request is answered."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(path, data=data) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert answer.content_type == "application/json"
    error = json.loads(text)
    check_form(path, status, error)
    async with http.post(path, json=GOOD[path]) as answer:
        assert answer.status == 200
    return error["error"]


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"null",
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=["empty", "cut", "not-utf8", "list", "text", "null", "nan", "deep-list", "deep-object"],
)
async def test_bodies_that_are_no_json_object(http, path, body):
    await refused(http, path, body, 400)


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("value", [None, 5, ["a", "b"], {"a": 1}, True, "a\0b", "\ud800"])
async def test_text_that_is_no_text(http, path, value):
    await refused(http, path, {**GOOD[path], TEXT[path]: value}, 400)


@pytest.mark.parametrize("path", SHAPES)
async def test_a_missing_text(http, path):
    await refused(http, path, {}, 400)


@pytest.mark.parametrize("path", SHAPES)
async def test_errors_never_quote_the_document(http, path):
    for value in ("canary\0", "canary\ud800", ["canary", "canary"], {"canary": "canary"}):
        error = await refused(http, path, {**GOOD[path], TEXT[path]: value}, 400)
        assert "canary" not in json.dumps(error)


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/midfill", "max_tokens", -1),
        ("/v1/midfill", "max_tokens", 1.5),
        ("/v1/midfill", "budget_ms", 0),
        ("/v1/midfill", "budget_ms", "soon"),
        ("/v1/midfill", "candidates", 9),
        ("/v1/midfill", "seed", -1),
        ("/v1/midfill", "temperature", -0.1),
        ("/v1/midfill", "temperature", True),
        ("/v1/midfill", "strategy", "magic"),
        ("/v1/midfill", "strategy", {}),
        ("/v1/midfill", "stop", [1]),
        ("/v1/midfill", "snippets", [{"path": "a"}]),
        ("/v1/midfill", "snippets", {"path": "a", "text": "b"}),
        ("/v1/midfill", "snippets", [{"path": "a", "text": 1}]),
        ("/v1/midfill", "speculative", "yes"),
        ("/v1/midfill", "stream", 1),
        ("/v1/midfill", "version", "1"),
        ("/v1/midfill", "surprise", 1),
        ("/v1/completions", "max_tokens", -1),
        ("/v1/completions", "max_tokens", 0),
        ("/v1/completions", "max_tokens", "10"),
        ("/v1/completions", "n", 0),
        ("/v1/completions", "n", 100),
        ("/v1/completions", "temperature", 3),
        ("/v1/completions", "temperature", "hot"),
        ("/v1/completions", "seed", -5),
        ("/v1/completions", "stop", {"a": 1}),
        ("/v1/completions", "stop", ["a\0"]),
        ("/v1/completions", "stream", "true"),
        ("/v1/completions", "suffix", 5),
        ("/v1/completions", "user", 5),
        ("/v1/completions", "model", 5),
        ("/v1/completions", "prompt", [1, 2, 3]),
        ("/v1/completions", "prompt", ["a", "b"]),
        ("/v1/completions", "budget_ms", -1),
        ("/v1/fim/completions", "random_seed", -1),
        ("/infill", "n_predict", -2),
        ("/infill", "n_predict", 1.5),
        ("/infill", "id_slot", -2),
        ("/infill", "n_cmpl", 0),
        ("/infill", "t_max_predict_ms", "soon"),
        ("/infill", "input_extra", {"text": "a"}),
        ("/infill", "input_extra", ["a"]),
        ("/infill", "input_extra", [{"text": 1}]),
        ("/infill", "input_suffix", None),
        ("/infill", "prompt", [1, 2]),
        ("/infill", "stop", 5),
        ("/infill", "response_fields", [1]),
        ("/infill", "temperature", -1),
    ],
)
async def test_a_wrong_field_is_named(http, path, field, value):
    error = await refused(http, path, {**GOOD[path], field: value}, 400)
    assert field in error["message"] + error.get("hint", "")


async def test_openai_errors_name_the_parameter(http):
    error = await refused(http, "/v1/completions", {"prompt": "x", "n": -1}, 400)
    assert (error["param"], error["type"]) == ("n", "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/fim/completions"])
async def test_an_unknown_model_is_not_found_and_the_known_one_named(http, path):
    error = await refused(http, path, {"prompt": "x", "model": "gpt-5"}, 404)
    assert error["code"] == "model_not_found"
    assert "scripted" in error["message"]


async def test_infill_takes_any_model(http):
    body = {**GOOD["/infill"], "model": "google/gemini-2.5-flash"}
    async with http.post("/infill", json=body) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", SHAPES)
async def test_a_body_of_100_mb_is_refused_unread(http, path):
    async def body():
        for _ in range(100):
            yield b" " * 2**20

    try:
        async with http.post(path, data=body()) as answer:
            assert answer.status == 413
            check_form(path, 413, await answer.json())
    except ConnectionError:
        pass  # refused while we were still sending, as a server may
    async with http.post(path, json=GOOD[path]) as answer:
        assert answer.status == 200


async def test_wrong_methods_and_paths(http):
    async with http.get("/v1/completions") as answer:
        assert answer.status == 405
        check_form("/v1/completions", 405, await answer.json())
    async with http.post("/v1/chat/completions", json={}) as answer:
        assert answer.status == 404
        check_form("/v1/completions", 404, await answer.json())


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(SHAPES),
    fields=st.dictionaries(
        st.sampled_from(
            [
                "prefix",
                "suffix",
                "prompt",
                "input_prefix",
                "input_suffix",
                "input_extra",
                "snippets",
                "stop",
                "n",
                "n_predict",
                "max_tokens",
                "temperature",
                "stream",
                "model",
                "seed",
                "id_slot",
                "session",
                "version",
                "budget_ms",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    ),
)
def test_no_json_object_breaks_the_engine(path, fields):
    """Any object is answered with success or a 4xx, never a 5xx."""

    async def ask() -> int:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory(prefix="mf") as directory:
            async with (
                running(ScriptedFiller()) as engine,
                client_of(engine, Path(directory)) as http,
                http.post(path, data=json.dumps(fields).encode()) as answer,
            ):
                await answer.read()
                return answer.status

    status = asyncio.run(ask())
    assert status == 200 or 400 <= status < 500


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("canary"), 500), (OutOfMemory("No room."), 503)]
)
async def test_failures_of_the_engine_have_the_form_too(http, filler, path, error, status, caplog):
    filler.error = error
    caplog.set_level(logging.DEBUG)
    async with http.post(path, json=GOOD[path]) as answer:
        assert answer.status == status
        text = await answer.text()
    check_form(path, status, json.loads(text))
    assert "canary" not in text + caplog.text
    filler.error = None
    async with http.post(path, json=GOOD[path]) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", SHAPES)
async def test_a_failure_in_mid_stream_is_sent_as_last_chunk(short_path, path):
    filler = ScriptedFiller(gated=True)
    async with running(filler) as engine, client_of(engine, short_path) as http:
        body = {**GOOD[path], "stream": True}
        filler.permit.release()
        async with http.post(path, json=body) as answer:
            first = await answer.content.readline()
            assert b"a" in first
            filler.tokens = (None,)  # the next draft breaks
            filler.permit.release(2)
            rest = await answer.text()
        last = rest.strip().rsplit("\n", 1)[-1].removeprefix("data: ")
        check_form(path, 500, json.loads(last))


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("stream", [False, True])
async def test_closing_the_connection_cancels_within_one_step(short_path, path, stream):
    filler = ScriptedFiller(gated=True)
    async with running(filler) as engine, client_of(engine, short_path) as http:
        body = {**GOOD[path], "stream": stream}
        task = asyncio.create_task(http.post(path, json=body).__aenter__())
        await acquired(filler.started)
        filler.permit.release()
        await eventually(lambda: filler.steps == 1)
        if stream:
            (await task).close()
        else:
            task.cancel()
        await eventually(lambda: filler.reasons == ["cancelled"])
        assert filler.steps == 1
        filler.permit.release(3)
        async with http.post(path, json=GOOD[path]) as answer:
            assert answer.status == 200


async def test_a_newer_native_request_supersedes_and_the_older_is_answered(short_path):
    filler = ScriptedFiller(gated=True)
    async with running(filler) as engine, client_of(engine, short_path) as http:
        body = {"prefix": "x", "session": "s"}
        old = asyncio.create_task(http.post("/v1/midfill", json=body).__aenter__())
        await acquired(filler.started)
        new = asyncio.create_task(http.post("/v1/midfill", json=body).__aenter__())
        assert (await (await old).json())["finish_reason"] == "superseded"
        filler.permit.release(3)
        assert (await (await new).json())["finish_reason"] == "end"


async def test_while_loading_every_shape_says_so_and_health_how_far(short_path):
    go = threading.Event()

    def load(settings, progress):
        progress(0.4, "Reading the weights.")
        go.wait(10)
        return ScriptedFiller()

    engine = Engine(EngineSettings(), load)
    await engine.start()
    await eventually(lambda: engine.model.progress)
    async with client_of(engine, short_path) as http:
        async with http.get("/health") as answer:
            health = await answer.json()
        assert (health["status"], health["progress"], health["model"]) == ("loading", 0.4, None)
        assert health["message"] == "Reading the weights."
        async with http.get("/v1/models") as answer:
            assert (await answer.json())["data"] == []
        for path in SHAPES:
            for stream in (False, True):
                async with http.post(path, json={**GOOD[path], "stream": stream}) as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                    error = await answer.json()
                check_form(path, 503, error)
                if path != "/infill":
                    assert error["error"]["code"] == "loading"
                assert "40%" in error["error"]["message"]
        go.set()
        await engine.loaded()
        for path in SHAPES:
            async with http.post(path, json=GOOD[path]) as answer:
                assert answer.status == 200
    await engine.close()


@pytest.mark.parametrize("path", SHAPES)
async def test_busy_is_503_with_the_time_to_come_back(short_path, path):
    filler = ScriptedFiller(gated=True)
    settings = EngineSettings(max_waiting=1)
    async with running(filler, settings) as engine, client_of(engine, short_path) as http:
        tasks = [asyncio.create_task(http.post(path, json=GOOD[path]).__aenter__())]
        await acquired(filler.started)
        tasks.append(asyncio.create_task(http.post(path, json=GOOD[path]).__aenter__()))
        await eventually(lambda: engine.waiting == 1)
        async with http.post(path, json=GOOD[path]) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            check_form(path, 503, await answer.json())
        filler.permit.release(6)
        assert [(await task).status for task in tasks] == [200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        {},
        {"session": "s", "version": 1},
        {"session": "s", "version": "1", "typed": "x"},
        {"session": "s", "version": 1, "typed": 5},
        {"session": 5, "version": 1, "typed": "x"},
        {"session": "s", "version": 1, "typed": "x", "more": 1},
    ],
)
async def test_what_was_typed_is_checked(http, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post("/v1/midfill/typed", data=data) as answer:
        assert answer.status == 400
        check_form("/v1/midfill", 400, await answer.json())
