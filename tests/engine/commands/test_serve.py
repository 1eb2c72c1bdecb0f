"""``midfill serve``: who may listen where, and that it serves."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from midfill_engine.commands import serve
from midfill_engine.errors import CheckpointError
from tests.engine.fakes import ScriptedFiller, load_with

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Without the environment's key, and without changing the test run's logging."""
    monkeypatch.delenv("MIDFILL_API_KEY", raising=False)
    monkeypatch.setattr(serve.logs, "configure", lambda: None)


def run(*args: str) -> int:
    return serve.main(args, load=load_with(ScriptedFiller()))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org", ""])
def test_an_address_that_others_reach_needs_a_key(host, capsys):
    assert run("--host", host, "--port", "0") == 2
    assert "API key" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["short", "with space in the middle", "ключключключключ"])
def test_a_weak_key_is_refused(key, capsys):
    assert run("--port", "0", "--api-key", key) == 2
    err = capsys.readouterr().err
    assert "16 ASCII characters" in err
    assert key not in err


def test_an_unreadable_key_file_is_told(tmp_path, capsys):
    assert run("--port", "0", "--api-key-file", str(tmp_path / "none")) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_wrong_port_is_a_usage_error(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("--port", port)


def test_a_taken_port_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("--port", str(taken.getsockname()[1])) == 1
    assert "Choose another" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_ends_it(capsys):
    def failing(settings, progress):
        raise CheckpointError("model.safetensors is cut short.", "Fetch it again.")

    assert serve.main(["--port", "0"], load=failing) == 1
    assert "cut short" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["environment", "file", "option"])
def test_the_key_comes_from(source, tmp_path, monkeypatch):
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setattr(serve, "api_key_of_environment", lambda: KEY)
    options = {"file": ["--api-key-file", str(tmp_path / "key")], "option": ["--api-key", KEY]}
    args = serve._parser().parse_args(["--host", "0.0.0.0", *options.get(source, [])])
    assert serve._key(args) == KEY


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_serves_on_tcp_to_those_who_have_the_key():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.fakes", "serve", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "MIDFILL_API_KEY": KEY},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(process.stderr.readline, "")
        url = next(found for line in lines if (found := re.search(r"http://[\d.:]+", line))).group()
        assert asyncio.run(statuses(url)) == [200, 401, 200, 404]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert KEY not in err
    finally:
        process.kill()
        process.communicate()


async def statuses(url: str) -> list[int]:
    body, key = {"prompt": "x"}, {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/health") as open_to_all:
            pass
        async with session.post("/v1/completions", json=body) as without:
            pass
        async with session.post("/v1/completions", json=body, headers=key) as with_key:
            pass
        async with session.post("/v1/midfill/stop", headers=key) as stop:
            pass
    return [answer.status for answer in (open_to_all, without, with_key, stop)]
