"""Foreign servers: their two dialects, their faults, and that nothing is sent unasked."""

import asyncio
import math

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from midfill_engine.wire import FillRequest
from midfill_lsp.backend import openai
from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.backend.openai import ForeignBackend


@pytest.fixture
async def foreign():
    """A server that answers with ``body`` and records what it was sent."""

    class Foreign:
        body = None
        status = 200
        hold = None
        sent = None
        key = None

        async def answer(self, request):
            self.sent = (request.path, await request.json())
            self.key = request.headers.get("Authorization")
            if self.hold:
                await self.hold.wait()
            return web.json_response(self.body, status=self.status)

    it = Foreign()
    app = web.Application()
    app.router.add_post("/{path:.*}", it.answer)
    server = TestServer(app, shutdown_timeout=0.1)
    await server.start_server()
    it.url = str(server.make_url("/")).rstrip("/")
    yield it
    await server.close()


@pytest.fixture
async def make(foreign):
    made = []

    def backend(dialect="openai", url=None, **more):
        made.append(ForeignBackend(dialect, foreign.url if url is None else url, **more))
        return made[-1]

    yield backend
    for each in made:
        await each.close()


REQUEST = FillRequest(prefix="a", suffix="b", max_tokens=9, candidates=2, session="s", version=4)


async def test_the_openai_dialect(foreign, make):
    foreign.body = {
        "model": "m2",
        "choices": [
            {
                "text": "xy",
                "finish_reason": "length",
                "logprobs": {"tokens": ["x", "y"], "token_logprobs": [-0.5, 0.0]},
            },
            {"text": "z", "finish_reason": "stop"},
        ],
    }
    fill = await make(model="m", key="k").fill(REQUEST)
    path, body = foreign.sent
    assert path == "/v1/completions"
    assert (body["prompt"], body["suffix"], body["model"], body["n"]) == ("a", "b", "m", 2)
    assert foreign.key == "Bearer k"
    first, second = fill.middles
    assert [t.confidence for t in first.tokens] == [math.exp(-0.5), 1.0]
    assert (first.finish_reason, second.finish_reason) == ("length", "end")
    assert [t.text for t in second.tokens] == ["z"]
    assert (fill.session, fill.version, fill.model) == ("s", 4, "m2")


async def test_the_codestral_dialect(foreign, make):
    foreign.body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    request = FillRequest(prefix="a", single_line=True)
    fill = await make("codestral", url=foreign.url + "/v1").fill(request)
    path, body = foreign.sent
    assert path == "/v1/fim/completions"
    assert body["stop"] == ["\n"]
    assert "n" not in body
    assert foreign.key is None
    assert fill.text == "x"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {}, "refused the key"),
        (500, {}, "answered 500"),
        (200, {"odd": 1}, "another form"),
        (200, [], "another form"),
        (200, {"choices": [{"text": None}]}, "another form"),
    ],
)
async def test_faults_are_sentences(foreign, make, status, body, words):
    foreign.status, foreign.body = status, body
    with pytest.raises(EngineUnavailable, match=words):
        await make().fill(REQUEST)


async def test_no_address_and_nobody_there(make):
    backend = make(url="")
    assert backend.state.state == "error"
    with pytest.raises(EngineUnavailable, match="names no server"):
        await backend.fill(REQUEST)
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        await make(url="http://127.0.0.1:9").fill(REQUEST)


async def test_a_slow_server_is_a_deadline(foreign, make, monkeypatch):
    monkeypatch.setattr(openai, "PATIENCE_S", 0.01)
    foreign.hold = asyncio.Event()
    fill = await make().fill(FillRequest(prefix="a", budget_ms=1))
    foreign.hold.set()
    assert (fill.middles, fill.finish_reason) == ((), "deadline")
