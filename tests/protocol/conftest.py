"""A language server and a scripted engine for each test."""

import pytest

from midfill_lsp import server as server_module
from midfill_lsp.server import MidfillServer
from tests.fake_engine import FakeEngine
from tests.protocol.client import Client, environment


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The runtime directory, which this process's settings point to as well."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    for name, value in environment(directory).items():
        monkeypatch.setenv(name, value)
    # The test runner's logging stays as it is.
    monkeypatch.setattr(server_module.logs, "configure", lambda *_: [])
    return directory


@pytest.fixture
async def engine(run):
    engine = await FakeEngine(run).start()
    yield engine
    engine.go.set()
    await engine.close()


@pytest.fixture
async def connect(run):
    """Makes clients that are told goodbye at the end of the test."""
    clients = []

    def new():
        clients.append(Client.inside(MidfillServer()))
        return clients[-1]

    yield new
    for client in clients:
        if not client.serving.done():
            await client.stop()


@pytest.fixture
async def client(connect, engine):
    """An editor with a ready engine."""
    client = connect()
    await client.initialize()
    await client.ready()
    return client
