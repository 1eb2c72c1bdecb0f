"""The engine between coroutines and its thread, with a filler that a test lets go step by step."""

from __future__ import annotations

import asyncio
import threading

import pytest

from midfill_engine.deadline import StopToken
from midfill_engine.errors import (
    CheckpointError,
    DeviceError,
    EngineBusy,
    EngineLoading,
    InternalError,
    OutOfMemory,
)
from midfill_engine.service import worker
from midfill_engine.service.engine import Engine
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Draft, Fill, FillRequest
from tests.engine.fakes import INFO, ScriptedFiller, load_with
from tests.engine.serving import acquired, eventually, running


@pytest.fixture
def filler() -> ScriptedFiller:
    return ScriptedFiller(gated=True)


def ask(engine: Engine, session: str = "", **fields) -> asyncio.Task[Fill]:
    return asyncio.create_task(engine.fill(FillRequest("x", session=session, **fields)))


async def test_fills_and_adds_the_time_in_the_queue(engine, filler):
    filler.permit.release(3)
    fill = await engine.fill(FillRequest("x", session="s", version=3))
    assert (fill.text, fill.finish_reason, fill.version) == ("a + b", "end", 3)
    assert fill.queue_ms >= 0
    assert fill.total_ms == pytest.approx(9.0 + fill.queue_ms)


async def test_memory_is_given_back_once_when_nobody_asks(engine, filler, monkeypatch):
    monkeypatch.setattr(worker, "REST_S", 0.05)
    for before in (0, 1):
        filler.permit.release(3)
        await engine.fill(FillRequest("x"))
        assert filler.rests == before  # not between request and answer
        await asyncio.sleep(0.25)
        assert filler.rests == before + 1


async def test_drafts_arrive_in_the_event_loop_before_the_fill(engine, filler):
    filler.permit.release(3)
    seen = []
    loop_thread = threading.get_ident()
    fill = await engine.fill(
        FillRequest("x"), on_draft=lambda d: seen.append((d.step, threading.get_ident()))
    )
    assert seen == [(1, loop_thread), (2, loop_thread), (3, loop_thread)]
    assert fill.nfe == 3


async def test_stream_yields_drafts_then_the_fill(engine, filler):
    filler.permit.release(3)
    states = [state async for state in engine.stream(FillRequest("x"))]
    assert [type(state) for state in states] == [Draft, Draft, Draft, Fill]


async def test_cancelling_the_call_stops_the_work_within_one_step(engine, filler):
    counted = []
    engine.observers.append(counted.append)
    task = ask(engine)
    await acquired(filler.started)
    filler.permit.release()
    await eventually(lambda: filler.steps == 1)
    task.cancel()
    await eventually(lambda: filler.reasons == ["cancelled"])
    assert filler.steps == 1
    # What was computed for nobody is counted as well.
    await eventually(lambda: [fill.finish_reason for fill in counted] == ["cancelled"])
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_the_stream_stops_the_work(engine, filler):
    states = engine.stream(FillRequest("x"))
    filler.permit.release()
    assert isinstance(await anext(states), Draft)
    await states.aclose()
    await eventually(lambda: filler.reasons == ["cancelled"])


async def test_a_cancelled_request_that_waits_never_reaches_the_device(engine, filler):
    first = ask(engine, "a")
    await acquired(filler.started)
    second = ask(engine, "b")
    await eventually(lambda: engine.waiting == 1)
    second.cancel()
    await eventually(lambda: engine.waiting == 0)
    filler.permit.release(3)
    assert (await first).finish_reason == "end"
    assert len(filler.requests) == 1


@pytest.fixture
async def states(engine, filler):
    """The states of a request of session ``s``, version 7, that has drafted ``a + b``."""
    states = engine.stream(FillRequest("x", session="s", version=7))
    filler.permit.release(2)
    await anext(states), await anext(states)
    yield states
    await states.aclose()


@pytest.mark.parametrize(
    ("session", "version", "typed"),
    [("s", 7, "a"), ("s", 7, "a +"), ("s", 7, ""), ("t", 7, "b"), ("s", 8, "b"), ("", 7, "b")],
)
async def test_what_agrees_with_what_was_typed_goes_on(
    engine, filler, states, session, version, typed
):
    engine.typed(session, version, typed)
    filler.permit.release()
    assert [state async for state in states][-1].finish_reason == "end"


@pytest.mark.parametrize("typed", ["b", "ab", "a + b", "a + bc"])
async def test_what_disagrees_or_says_nothing_more_ends_before_the_next_step(
    engine, filler, states, typed
):
    engine.typed("s", 7, typed)
    assert [state async for state in states][-1].finish_reason == "superseded"
    assert filler.steps == 2


async def test_a_waiting_request_ends_with_the_key_that_follows_it(engine, filler):
    first = ask(engine, "a")
    await acquired(filler.started)
    second = ask(engine, "s", version=7)
    await eventually(lambda: engine.waiting == 1)
    engine.typed("s", 7, "b")
    filler.permit.release(3)
    assert (await second).finish_reason == "superseded"
    assert (await first).finish_reason == "end"
    assert len(filler.requests) == 1


async def test_a_newer_request_of_the_session_supersedes_the_running_one(engine, filler):
    old = ask(engine, "s")
    await acquired(filler.started)
    new = ask(engine, "s")
    assert (await old).finish_reason == "superseded"
    filler.permit.release(3)
    assert (await new).finish_reason == "end"


async def test_a_burst_in_one_session_runs_the_first_and_the_last_only(engine, filler, monkeypatch):
    all_have_asked = threading.Event()
    end = filler._end

    def slow_to_stop(*how):
        assert all_have_asked.wait(30)
        end(*how)

    monkeypatch.setattr(filler, "_end", slow_to_stop)
    tasks = [ask(engine, "s", version=1)]
    await acquired(filler.started)
    tasks += [ask(engine, "s", version=version) for version in range(2, 30)]
    await asyncio.sleep(0)  # each of them asks
    filler.gated = False
    all_have_asked.set()
    reasons = [(await task).finish_reason for task in tasks]
    assert reasons == ["superseded"] * 28 + ["end"]
    assert [request.version for request in filler.requests] == [1, 29]


async def test_requests_that_only_share_a_cache_do_not_supersede(engine, filler):
    old = asyncio.create_task(engine.fill(FillRequest("x", session="s"), supersedes=False))
    await acquired(filler.started)
    new = asyncio.create_task(engine.fill(FillRequest("y", session="s"), supersedes=False))
    filler.permit.release(6)
    assert [(await task).finish_reason for task in (old, new)] == ["end", "end"]


async def test_the_budget_counts_the_time_in_the_queue(filler):
    now = [100.0]
    engine = Engine(EngineSettings(), load_with(filler), clock=lambda: now[0])
    await engine.start()
    await engine.loaded()
    first = ask(engine, "a")
    await acquired(filler.started)
    second = ask(engine, "b", budget_ms=50)
    await eventually(lambda: engine.waiting == 1)
    now[0] += 1
    filler.permit.release(3)
    await first
    fill = await second
    assert (fill.finish_reason, fill.queue_ms) == ("deadline", pytest.approx(1000))
    await engine.close()


async def test_a_stop_token_of_the_caller_is_obeyed(engine, filler):
    stop = StopToken()
    task = asyncio.create_task(engine.fill(FillRequest("x"), stop=stop))
    await acquired(filler.started)
    stop.stop("cancelled")
    assert (await task).finish_reason == "cancelled"


async def test_a_full_queue_is_busy_and_says_so(filler):
    async with running(filler, EngineSettings(max_waiting=1)) as engine:
        first = ask(engine, "a")
        await acquired(filler.started)
        second = ask(engine, "b")
        await eventually(lambda: engine.waiting == 1)
        with pytest.raises(EngineBusy, match="waiting already"):
            await engine.fill(FillRequest("x", session="c"))
        filler.permit.release(6)
        await asyncio.gather(first, second)


async def test_requests_while_loading_are_refused_with_the_progress():
    go = threading.Event()
    filler = ScriptedFiller()

    def load(settings, progress):
        progress(0.25, "Reading the weights.")
        go.wait(10)
        return filler

    engine = Engine(EngineSettings(), load)
    await engine.start()
    await eventually(lambda: engine.model.progress == 0.25)
    assert (engine.state, engine.model.message) == ("loading", "Reading the weights.")
    with pytest.raises(EngineLoading, match="25%"):
        await engine.fill(FillRequest("x"))
    assert engine.idle_s() == 0
    go.set()
    await engine.loaded()
    assert (engine.state, engine.info) == ("ok", INFO)
    assert (await engine.fill(FillRequest("x"))).text == "a + b"
    await engine.close()


async def test_closing_leaves_a_load_at_its_next_report():
    go, ended = threading.Event(), []

    def load(settings, progress):
        progress(0.1, "Reading.")
        go.wait(10)
        try:
            progress(0.2, "Reading on.")
        finally:
            ended.append(True)
        raise AssertionError("read on")

    engine = Engine(EngineSettings(), load)
    await engine.start()
    await eventually(lambda: engine.model.progress)
    close = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    go.set()
    await close
    assert ended == [True]
    assert engine.state == "error"
    assert "ended while it loaded" in engine.model.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CheckpointError("model.safetensors is cut short.", "Fetch it again."), "Fetch it again."),
        (ImportError("libcublas.so.12 is missing"), "ImportError: libcublas.so.12 is missing"),
    ],
)
async def test_a_failed_load_is_told_in_words_to_all(error, words):
    def load(settings, progress):
        raise error

    engine = Engine(EngineSettings(), load)
    await engine.start()
    model = await engine.loaded()
    assert model.state == "error"
    assert words in model.message
    for _ in range(2):
        with pytest.raises((CheckpointError, InternalError)):
            await engine.fill(FillRequest("x"))
    await engine.close()


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OutOfMemory("No room."), OutOfMemory), (ValueError("user text"), InternalError)],
)
async def test_a_failing_fill_fails_alone(engine, filler, error, expected):
    filler.error = error
    with pytest.raises(expected) as raised:
        await engine.fill(FillRequest("x", session="s"))
    assert "user text" not in str(raised.value)
    filler.error = None
    filler.permit.release(3)
    assert (await engine.fill(FillRequest("x", session="s"))).finish_reason == "end"


async def test_a_defect_drops_the_cache_of_its_session(engine, filler):
    filler.error = IndexError()
    with pytest.raises(InternalError):
        await engine.fill(FillRequest("x", session="s"))
    assert filler.forgotten == ["s"]


async def test_a_device_that_works_no_more_ends_the_engine(engine, filler):
    filler.error, filler.dead = RuntimeError("device-side assert"), True
    first = ask(engine, "a")
    second = ask(engine, "b")
    with pytest.raises(InternalError):
        await first
    assert (await second).finish_reason == "shutdown"
    assert engine.model.broken
    with pytest.raises(DeviceError, match="works no more"):
        await ask(engine, "c")


@pytest.fixture
def shared(filler) -> ScriptedFiller:
    """A filler on a device where requests may share their forwards."""
    filler.lanes = 2
    return filler


async def test_requests_of_two_sessions_run_beside_one_another(shared, engine):
    first = ask(engine, "a")
    await acquired(shared.started)
    shared.permit.release()
    await eventually(lambda: shared.steps == 1)
    second = ask(engine, "b")
    await acquired(shared.started)
    shared.permit.release(3)
    fills = await asyncio.gather(first, second)
    assert [fill.text for fill in fills] == ["a + b"] * 2
    assert shared.steps == 4  # the second joined at the second step


async def test_more_than_the_device_takes_wait(shared, engine):
    tasks = [ask(engine, name) for name in "abc"]
    await acquired(shared.started, 2)
    await eventually(lambda: engine.waiting == 1)
    assert len(shared.requests) == 2
    shared.permit.release(6)
    assert [(await task).finish_reason for task in tasks] == ["end"] * 3
    assert shared.steps == 6


async def test_stopping_one_leaves_the_other_running(shared, engine):
    gone, other = ask(engine, "a"), ask(engine, "b")
    await acquired(shared.started, 2)
    shared.permit.release()
    await eventually(lambda: shared.steps == 1)
    gone.cancel()
    await eventually(lambda: shared.reasons == ["cancelled"])
    shared.permit.release(2)
    assert (await other).text == "a + b"
    assert shared.steps == 3


async def test_a_newer_request_supersedes_its_own_session_only(shared, engine):
    old, other = ask(engine, "a"), ask(engine, "b")
    await acquired(shared.started, 2)
    new = ask(engine, "a")
    assert (await old).finish_reason == "superseded"
    await acquired(shared.started)
    shared.permit.release(3)
    fills = await asyncio.gather(other, new)
    assert [fill.finish_reason for fill in fills] == ["end"] * 2


async def test_a_defect_in_one_leaves_the_other_running(shared, engine):
    other = ask(engine, "a")
    await acquired(shared.started)
    shared.error = IndexError()
    with pytest.raises(InternalError):
        await engine.fill(FillRequest("x", session="b"))
    assert shared.forgotten == ["b"]
    shared.permit.release(3)
    assert (await other).text == "a + b"


async def test_a_device_that_works_no_more_ends_all_that_runs(shared, engine):
    other = ask(engine, "a")
    await acquired(shared.started)
    shared.error, shared.dead = RuntimeError("device-side assert"), True
    with pytest.raises(InternalError):
        await engine.fill(FillRequest("x", session="b"))
    assert (await other).finish_reason == "shutdown"


async def test_closing_ends_running_and_waiting_requests_as_shutdown(filler):
    async with running(filler) as engine:
        first = ask(engine, "a")
        await acquired(filler.started)
        second = ask(engine, "b")
        await eventually(lambda: engine.waiting == 1)
    assert [(await task).finish_reason for task in (first, second)] == ["shutdown", "shutdown"]


async def test_idle_time_starts_when_the_last_request_ends(filler):
    now = [0.0]
    engine = Engine(EngineSettings(), load_with(filler), clock=lambda: now[0])
    await engine.start()
    await engine.loaded()
    now[0] = 10.0
    task = ask(engine)
    await acquired(filler.started)
    now[0] = 500.0
    assert engine.idle_s() == 0
    filler.permit.release(3)
    await task
    now[0] = 507.0
    await eventually(lambda: engine.idle_s() == 7.0)
    await engine.close()
