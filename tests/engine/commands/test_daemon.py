"""The daemon as a process: started, found, doubled, killed, left alone. Scripted model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from midfill_engine.service.process import Place, answers
from midfill_engine.wire import PROTOCOL_VERSION

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of Unix")


class Daemons:
    """Starts daemons in one runtime directory and ends them all."""

    def __init__(self, directory: Path) -> None:
        self.place = Place(directory)
        self.started: list[subprocess.Popen] = []

    def start(self, *args: str, wait: bool = True, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.fakes", "engine", *args],
            cwd=ROOT,
            env={
                **os.environ,
                "MIDFILL_RUNTIME_DIR": str(self.place.directory),
                "XDG_CONFIG_HOME": str(self.place.directory),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        if wait:
            until(lambda: answers(self.place) or process.poll() is not None)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


def until(condition) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, "waited 30 s in vain"
        time.sleep(0.01)


@pytest.fixture
def daemons(short_path):
    daemons = Daemons(short_path)
    yield daemons
    daemons.end()


def call(place: Place, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    """One request over the Unix socket."""

    async def ask() -> tuple[int, dict]:
        connector = aiohttp.UnixConnector(str(place.socket))
        async with (
            aiohttp.ClientSession("http://engine", connector=connector) as session,
            session.request(method, path, json=body) as answer,
        ):
            return answer.status, await answer.json()

    return asyncio.run(ask())


def test_serves_on_a_private_socket_and_says_how_to_reach_it(daemons):
    process = daemons.start("--daemon")
    place = daemons.place
    until(place.description.exists)
    description = json.loads(place.description.read_text())
    assert description["pid"] == process.pid
    assert description["socket"] == str(place.socket)
    assert description["protocol"] == PROTOCOL_VERSION
    assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
    assert call(place, "GET", "/health")[1]["pid"] == process.pid
    assert call(place, "POST", "/v1/midfill", {"prefix": "x"})[0] == 200


def test_stop_ends_it_in_order(daemons):
    process = daemons.start("--daemon")
    assert call(daemons.place, "POST", "/v1/midfill/stop") == (200, {"stopping": True})
    assert process.wait(20) == 0
    left = {path.name for path in daemons.place.directory.iterdir()}
    assert left == {"engine.lock", "engine.log"}


def test_a_signal_ends_it_in_order(daemons):
    process = daemons.start("--daemon")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not daemons.place.socket.exists()


def test_a_second_one_sees_the_first_and_exits_with_zero(daemons):
    first = daemons.start("--daemon")
    second = daemons.start("--daemon", wait=False)
    out, _ = second.communicate(timeout=30)
    assert (second.returncode, first.poll()) == (0, None)
    assert "running already" in out


def test_of_simultaneous_starts_exactly_one_stays(daemons):
    processes = [daemons.start("--daemon", wait=False) for _ in range(3)]
    until(lambda: sum(process.poll() is None for process in processes) == 1)
    assert sorted(process.poll() for process in processes if process.poll() is not None) == [0, 0]
    (winner,) = [process for process in processes if process.poll() is None]
    until(lambda: answers(daemons.place))
    assert call(daemons.place, "GET", "/health")[1]["pid"] == winner.pid


def test_a_killed_one_is_replaced(daemons):
    first = daemons.start("--daemon", FAKE_GATED="1")
    first.kill()
    first.wait(20)
    assert daemons.place.socket.exists()  # what kill -9 leaves behind
    second = daemons.start("--daemon")
    assert second.poll() is None
    assert call(daemons.place, "GET", "/health")[1]["pid"] == second.pid


def test_the_log_has_no_text_of_requests(daemons):
    process = daemons.start("--daemon")
    place = daemons.place
    for path, field in (("/v1/midfill", "prefix"), ("/v1/completions", "prompt")):
        call(place, "POST", path, {field: "canary"})
        call(place, "POST", path, {field: "canary\0"})
        call(place, "POST", path, {field: "x", "canary": 1})
    call(place, "GET", "/canary")
    call(place, "GET", "/health")
    call(place, "POST", "/v1/midfill/stop")
    _, err = process.communicate(timeout=20)
    text = place.log.read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert {"started", "loaded", "fill", "request", "ended"} <= set(events)
    assert "canary" not in text + err
    assert "/health" not in text  # polled


def test_wrong_settings_are_told_and_the_others_count(daemons):
    (daemons.place.directory / "midfill").mkdir()
    (daemons.place.directory / "midfill" / "midfill.toml").write_text(
        "[engine]\ndevise = 'cpu'\nidle_exit_s = 0.1\nthreads = 'many'\n"
    )
    process = daemons.start("--daemon")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    last = json.loads(daemons.place.log.read_text().splitlines()[-1])
    assert last["reason"] == "idle"  # after 0.1 s, as the file says
    assert "Unknown setting 'devise'" in err
    assert "Did you mean 'device'?" in err
    assert "'threads'" in err
