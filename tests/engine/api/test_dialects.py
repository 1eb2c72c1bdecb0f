"""What each dialect's clients send and read, over a real socket with a scripted filler."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from midfill_engine.settings import EngineSettings
from midfill_engine.wire import PROTOCOL_VERSION, Draft, Fill, Snippet
from tests.engine.fakes import ScriptedFiller
from tests.engine.serving import client_of, running


async def post(http, path: str, body: dict, status: int = 200):
    async with http.post(path, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def events(http, path: str, body: dict) -> list[str]:
    """Payloads of the server-sent events."""
    async with http.post(path, json=body) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        text = await answer.text()
    chunks = text.split("\n\n")
    assert chunks.pop() == ""
    assert all(chunk.startswith("data: ") for chunk in chunks)
    return [chunk.removeprefix("data: ") for chunk in chunks]


class TestNative:
    async def test_request_and_fill_are_the_wire_types(self, http, filler):
        body = {
            "prefix": "a = ",
            "suffix": "\n",
            "session": "s",
            "version": 4,
            "budget_ms": 1000,
            "snippets": [{"path": "b.py", "text": "b = 1"}],
            "candidates": 2,
        }
        fill = Fill.from_dict(await post(http, "/v1/midfill", body))
        assert [middle.text for middle in fill.middles] == ["a + b", "a + b!"]
        assert (fill.session, fill.version) == ("s", 4)
        assert filler.requests[0].snippets == (Snippet("b.py", "b = 1"),)

    async def test_streams_one_json_object_a_line(self, http):
        async with http.post("/v1/midfill", json={"prefix": "a", "stream": True}) as answer:
            assert answer.content_type == "application/x-ndjson"
            lines = [json.loads(line) async for line in answer.content]
        *drafts, last = lines
        steps = [Draft.from_dict(line["draft"]).step for line in drafts]
        assert steps == [1, 2, 3]
        assert Fill.from_dict(last["fill"]).text == "a + b"


class TestOpenAi:
    async def test_completion_with_suffix(self, http, filler):
        body = {
            "model": "scripted",
            "prompt": "x = ",
            "suffix": "\nprint(x)",
            "max_tokens": 4096,
            "temperature": 0.2,
            "top_p": 0.9,
            "n": 2,
            "stop": ["\n\n"],
            "seed": 7,
            "presence_penalty": 1.5,
            "logit_bias": None,
            "user": "me",
        }
        answer = await post(http, "/v1/completions", body)
        assert answer["object"] == "text_completion"
        assert answer["model"] == "scripted"
        assert [choice["text"] for choice in answer["choices"]] == ["a + b", "a + b!"]
        assert [choice["index"] for choice in answer["choices"]] == [0, 1]
        assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
        assert answer["usage"]["total_tokens"] == 13
        (asked,) = filler.requests
        assert (asked.prefix, asked.suffix, asked.stop) == ("x = ", "\nprint(x)", ("\n\n",))
        assert (asked.max_tokens, asked.temperature, asked.seed) == (1024, 0.2, 7)

    async def test_echo_repeats_the_prompt(self, http):
        answer = await post(http, "/v1/completions", {"prompt": "x = ", "echo": True})
        assert answer["choices"][0]["text"] == "x = a + b"

    async def test_a_list_of_one_prompt_is_one_prompt(self, http):
        answer = await post(http, "/v1/completions", {"prompt": ["x = "]})
        assert answer["choices"][0]["text"] == "a + b"

    @pytest.mark.parametrize("echo", [False, True])
    async def test_stream_grows_to_the_text_and_ends_with_done(self, http, echo):
        body = {
            "prompt": "x = ",
            "stream": True,
            "echo": echo,
            "stream_options": {"include_usage": True},
        }
        *chunks, done = await events(http, "/v1/completions", body)
        assert done == "[DONE]"
        *parts, usage = [json.loads(chunk) for chunk in chunks]
        assert usage["choices"] == []
        assert usage["usage"]["completion_tokens"] == 3
        texts = [part["choices"][0]["text"] for part in parts]
        assert "".join(texts) == ("x = a + b" if echo else "a + b")
        assert len(texts) > 1
        reasons = [part["choices"][0]["finish_reason"] for part in parts]
        assert reasons == [None] * (len(parts) - 1) + ["stop"]
        assert len({part["id"] for part in parts}) == 1

    async def test_streamed_candidates_are_told_apart_by_index(self, http):
        body = {"prompt": "x", "stream": True, "n": 2}
        *chunks, _ = await events(http, "/v1/completions", body)
        choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
        assert [(c["index"], c["text"]) for c in choices] == [(0, "a + b"), (1, "a + b!")]

    async def test_a_cut_middle_has_finish_reason_length(self, short_path):
        filler = ScriptedFiller(gated=True)
        async with running(filler) as engine, client_of(engine, short_path) as http:
            answer = await post(http, "/v1/completions", {"prompt": "x", "budget_ms": 5})
        assert answer["choices"][0]["finish_reason"] == "length"

    async def test_one_client_keeps_one_cache_session_without_superseding(self, http, filler):
        for _ in range(2):
            await post(http, "/v1/completions", {"prompt": "x"})
        await post(http, "/v1/completions", {"prompt": "x", "user": "other"})
        first, second, third = (request.session for request in filler.requests)
        assert first == second != third
        assert first

    async def test_lists_the_loaded_model(self, http):
        async with http.get("/v1/models") as answer:
            listed = await answer.json()
        assert [model["id"] for model in listed["data"]] == ["scripted"]


class TestCodestralAndMercury:
    async def test_message_and_text_hold_the_middle(self, http, filler):
        body = {"model": "codestral-latest", "prompt": "x", "suffix": "y", "random_seed": 3}
        answer = await post(http, "/v1/fim/completions", body)
        (choice,) = answer["choices"]
        assert choice["message"] == {"role": "assistant", "content": "a + b"}
        assert choice["text"] == "a + b"
        assert filler.requests[0].seed == 3

    async def test_stream_has_deltas(self, http):
        body = {"model": "mercury-coder", "prompt": "x", "suffix": "y", "stream": True}
        *chunks, done = await events(http, "/v1/fim/completions", body)
        parts = [json.loads(chunk)["choices"][0] for chunk in chunks]
        assert "".join(part["delta"]["content"] for part in parts) == "a + b"
        assert done == "[DONE]"


VIM = {
    "id_slot": 0,
    "input_prefix": "def f(a, b):\n",
    "input_suffix": "\n\nf(1, 2)\n",
    "input_extra": [{"text": "c = 3\n", "filename": "c.py", "time": [1, 2]}],
    "prompt": "    return ",
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "response_fields": ["content", "timings/prompt_n", "timings/predicted_ms", "truncated"],
    "model": "",
}
VSCODE = {
    "id_slot": 0,
    "input_prefix": "function f() {\n",
    "input_suffix": "\n}\n",
    "input_extra": [{"text": "let c\n", "filename": "/home/u/c.js", "time": 1700000000000}],
    "prompt": "  return ",
    "n_predict": 128,
    "top_k": 40,
    "top_p": 0.99,
    "samplers": ["top_k", "top_p", "infill"],
    "n_cmpl": 3,
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 500,
    "model": "google/gemini-2.5-flash",
}


class TestLlamaCpp:
    """Bodies as seen from llama.vim and llama.vscode."""

    async def test_llama_vim_gets_the_compact_json_it_looks_for(self, http, filler):
        async with http.post("/infill", json=VIM, headers={"Authorization": "Bearer "}) as answer:
            text = await answer.text()
        assert '"content":"a + b"' in text
        assert json.loads(text) == {
            "content": "a + b",
            "timings/prompt_n": 6,
            "timings/predicted_ms": 3.0,
            "truncated": False,
        }
        (asked,) = filler.requests
        assert asked.prefix == "def f(a, b):\n    return "
        assert asked.suffix == "\n\nf(1, 2)\n"
        assert asked.snippets == (Snippet("c.py", "c = 3\n"),)
        assert asked.budget_ms == 750
        assert not asked.speculative

    async def test_llama_vscode_gets_a_list_with_what_its_status_bar_reads(self, http):
        answers = await post(http, "/infill", VSCODE)
        assert [answer["content"] for answer in answers] == ["a + b", "a + b!", "a + b!!"]
        for answer in answers:
            assert answer["generation_settings"]["n_ctx"] == 2048
            assert answer["timings"]["predicted_per_second"] == 1000
            assert answer["tokens_cached"] == 4
            assert answer["stop_type"] == "eos"

    async def test_warm_up_with_other_files_alone_leaves_the_slot_as_it_is(self, http, filler):
        empty = {"prompt": "", "input_prefix": "", "input_suffix": ""}
        body = {**VIM, **empty, "n_predict": 0, "response_fields": [""]}
        assert await post(http, "/infill", body) == {}
        assert filler.requests == []

    async def test_warm_up_reads_the_context_and_gives_way(self, http, filler):
        await post(http, "/infill", {**VIM, "n_predict": 0})
        (asked,) = filler.requests
        assert (asked.speculative, asked.max_tokens, asked.budget_ms) == (True, 1, None)

    async def test_warm_up_answers_without_content(self, http):
        answer = await post(http, "/infill", {**VSCODE, "n_predict": 0, "n_cmpl": 1})
        assert (answer["content"], answer["tokens_predicted"]) == ("", 0)

    async def test_endless_prediction_has_an_end_here(self, http, filler):
        await post(http, "/infill", {**VIM, "n_predict": -1})
        assert filler.requests[0].max_tokens == 128

    async def test_no_time_limit(self, http, filler):
        await post(http, "/infill", {**VIM, "t_max_predict_ms": 0})
        assert filler.requests[0].budget_ms is None

    async def test_slots_have_their_own_cache_session(self, http, filler):
        for slot in (0, 0, 1):
            await post(http, "/infill", {**VIM, "id_slot": slot})
        first, second, third = (request.session for request in filler.requests)
        assert first == second != third

    async def test_stream(self, http):
        body = {**VIM, "stream": True, "response_fields": []}
        parts = [json.loads(chunk) for chunk in await events(http, "/infill", body)]
        assert "".join(part["content"] for part in parts) == "a + b"
        assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True]
        assert parts[-1]["timings"]["predicted_n"] == 3


@pytest.mark.parametrize(("path", "body"), [("/v1/completions", {"prompt": "x"}), ("/infill", VIM)])
async def test_what_is_streamed_is_not_searched_since_it_has_to_stay(http, filler, path, body):
    await post(http, path, body)
    await events(http, path, {**body, "stream": True})
    assert [asked.strategy for asked in filler.requests] == ["quality", "balanced"]


async def test_health_is_plain_and_open(http):
    async with http.get("/health") as answer:
        health = await answer.json()
    assert (health["status"], health["progress"], health["protocol"]) == (
        "ok",
        1.0,
        PROTOCOL_VERSION,
    )
    assert health["model"]["name"] == "scripted"


async def test_metrics_count_fills_and_answers(http):
    await post(http, "/v1/midfill", {"prefix": "canary_text"})
    await post(http, "/infill", {}, status=400)
    async with http.get("/canary_path") as answer:
        assert answer.status == 404
    async with http.get("/metrics") as answer:
        text = await answer.text()
    assert 'midfill_fills_total{finish_reason="end"} 1.0' in text
    assert 'midfill_requests_total{endpoint="/infill",status="400"} 1.0' in text
    assert 'midfill_requests_total{endpoint="unknown",status="404"} 1.0' in text
    assert 'midfill_tokens_total{kind="cached"} 4.0' in text
    assert 'midfill_fill_seconds_sum{phase="denoise"} 0.003' in text
    assert 'midfill_device_seconds_total{kind="reading"} 0.005' in text
    assert 'midfill_device_seconds_total{kind="writing"} 0.004' in text
    assert 'midfill_lost_device_seconds_total{kind="reading"} 0.002' in text
    assert 'midfill_lost_device_seconds_total{kind="writing"} 0.001' in text
    assert "midfill_ready 1.0" in text
    assert "canary" not in text


async def test_stop_route_exists_only_for_the_daemon(http):
    assert (await post(http, "/v1/midfill/stop", {}, status=404))["error"]["code"] == "not_found"


async def test_two_engines_have_their_own_metrics(short_path):
    async with running(ScriptedFiller()) as one, running(ScriptedFiller()) as two:
        (short_path / "1").mkdir()
        (short_path / "2").mkdir()
        async with client_of(one, short_path / "1") as a, client_of(two, short_path / "2") as b:
            await post(a, "/v1/midfill", {"prefix": "x"})
            async with b.get("/metrics") as answer:
                assert 'finish_reason="end"' not in await answer.text()


async def test_the_body_limit_is_a_setting(short_path):
    settings = EngineSettings(max_body_mb=1)
    async with running(ScriptedFiller(), settings) as engine, client_of(engine, short_path) as http:
        body = BytesIO(json.dumps({"prefix": "x" * 2**20}).encode())
        async with http.post("/v1/midfill", data=body) as answer:
            assert answer.status == 413
            error = (await answer.json())["error"]
    assert error["code"] == "too_large"
    assert "1 MiB" in error["message"]
