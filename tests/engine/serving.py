"""An engine with a scripted filler, and HTTP on a real socket: fixtures and helpers."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from midfill_engine.api import app
from midfill_engine.service.engine import Engine
from midfill_engine.settings import EngineSettings
from tests.engine.fakes import ScriptedFiller, load_with


@pytest.fixture
def short_path():
    """A directory whose name leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="mf"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def filler() -> ScriptedFiller:
    return ScriptedFiller()


@asynccontextmanager
async def running(
    filler: ScriptedFiller, settings: EngineSettings | None = None
) -> AsyncIterator[Engine]:
    """A loaded engine around ``filler``."""
    engine = Engine(settings or EngineSettings(), load_with(filler))
    await engine.start()
    await engine.loaded()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def client_of(engine: Engine, path: Path, **options) -> AsyncIterator[aiohttp.ClientSession]:
    """A client over a Unix socket, as editors use it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / "s"))
    async with app.serving(app.build(engine, **options), listener):
        connector = aiohttp.UnixConnector(str(path / "s"))
        async with aiohttp.ClientSession("http://engine", connector=connector) as session:
            yield session


@pytest.fixture
async def engine(filler: ScriptedFiller) -> AsyncIterator[Engine]:
    async with running(filler) as engine:
        yield engine


@pytest.fixture
async def http(engine: Engine, short_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(engine, short_path) as session:
        yield session


async def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for ``condition``; fail when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (the other side is a thread)
            await asyncio.sleep(0.002)


async def acquired(semaphore, count: int = 1) -> None:
    """Wait, without blocking the loop, for ``count`` releases by another thread."""
    for _ in range(count):
        assert await asyncio.to_thread(semaphore.acquire, True, 10)
