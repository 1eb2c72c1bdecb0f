"""Who may ask."""

from __future__ import annotations

import pytest

from midfill_engine.api.access import is_loopback
from tests.engine.serving import client_of

KEY = "0123456789abcdef"


@pytest.fixture
async def locked(engine, short_path):
    async with client_of(engine, short_path, key=KEY) as session:
        yield session


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer é", KEY],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/infill", "/v1/midfill", "/nope"])
async def test_without_the_key_nothing_is_told(locked, filler, header, path):
    headers = {} if header is None else {"Authorization": header}
    async with locked.post(path, json={"prompt": "x"}, headers=headers) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "API key" in (await answer.json())["error"]["message"]
    assert filler.requests == []


@pytest.mark.parametrize("path", ["/metrics", "/v1/models"])
async def test_metrics_and_models_need_the_key_too(locked, path):
    async with locked.get(path) as answer:
        assert answer.status == 401


async def test_openai_clients_see_the_code_they_know(locked):
    async with locked.post("/v1/completions", json={"prompt": "x"}) as answer:
        assert (await answer.json())["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer  {KEY} "])
async def test_the_key_opens(locked, header):
    body = {"prompt": "x"}
    headers = {"Authorization": header}
    async with locked.post("/v1/completions", json=body, headers=headers) as answer:
        assert answer.status == 200


async def test_health_is_open(locked):
    async with locked.get("/health") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://evil.example", "127.0.0.1:8012", 403),
        ("null", "127.0.0.1:8012", 403),
        ("http://rebound.example:8012", "rebound.example:8012", 403),
        ("http://127.0.0.1:8012", "127.0.0.1:8012", 200),
        ("http://localhost:8012", "localhost:8012", 200),
        (None, "127.0.0.1:8012", 200),
    ],
)
async def test_web_pages_of_other_origins_are_refused(http, origin, host, status):
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    async with http.post("/v1/completions", json={"prompt": "x"}, headers=headers) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("127.example.org", False),
        ("myhost", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected
