import json
import subprocess
import sys

import pytest

from midfill_lsp.commands.status import read_metrics

METRICS = """\
# HELP midfill_fills_total Fills by why they ended.
midfill_fills_total{finish_reason="end"} 3.0
midfill_tokens_total{kind="prompt"} 1000.0
midfill_tokens_total{kind="cached"} 900.0
midfill_forwards_total 12.0
midfill_fill_seconds_count{phase="total"} 4.0
midfill_fill_seconds_sum{phase="total"} 0.5
"""


def test_metrics_are_read():
    assert read_metrics(METRICS)["midfill_tokens_total.cached"] == 900
    assert read_metrics(METRICS)["midfill_forwards_total"] == 12


async def test_status_of_nothing(midfill):
    ran = await midfill("status")
    assert ran.code == 1
    assert "No engine runs." in ran.out
    ran = await midfill("status", "--json")
    assert json.loads(ran.out)["health"]["status"] == "down"


async def test_status_of_an_engine(engine, midfill):
    ran = await midfill("status")
    assert (ran.code, ran.err) == (0, "")
    assert "ready" in ran.out
    assert "fake-model" in ran.out


async def test_status_while_loading(engine, midfill):
    engine.status, engine.progress = "loading", 0.4
    ran = await midfill("status")
    assert (ran.code, "40%" in ran.out) == (1, True)


async def test_stop_of_nothing(midfill):
    ran = await midfill("stop")
    assert (ran.code, ran.out) == (0, "No engine runs.\n")


@pytest.fixture
def deaf(directory):
    """A process that says it is the engine and does not answer."""
    directory.mkdir()
    code = "print('up', flush=True); import time; time.sleep(600)  # midfill engine"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (directory / "engine.json").write_text(json.dumps({"pid": process.pid}))
        yield process
        process.kill()


async def test_a_deaf_engine_is_named_and_can_be_forced(midfill, deaf):
    ran = await midfill("stop")
    assert (ran.code, f"Process {deaf.pid}" in ran.err, "--force" in ran.err) == (1, True, True)
    ran = await midfill("stop", "--force")
    assert (ran.code, ran.out) == (0, "The engine has ended.\n")
    assert deaf.wait(10) != 0


@pytest.fixture
def stranger():
    """A process that has nothing to do with Midfill."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(b"\n")


async def test_another_process_with_the_same_number_is_left_alone(midfill, directory, stranger):
    directory.mkdir()
    (directory / "engine.json").write_text(json.dumps({"pid": stranger.pid}))
    ran = await midfill("stop", "--force")
    assert ran.out == "No engine runs.\n"
    assert stranger.poll() is None
