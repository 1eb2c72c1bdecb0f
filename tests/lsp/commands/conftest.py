"""A scripted engine, and the command run as a user runs it: in a process of its own."""

import asyncio
import os
import sys
from dataclasses import dataclass

import pytest
from tests.fake_engine import FakeEngine


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "run"


@pytest.fixture
async def engine(directory):
    engine = await FakeEngine(directory).start()
    yield engine
    engine.go.set()
    await engine.close()


@pytest.fixture
def midfill(tmp_path, directory):
    """Run `midfill ARGUMENTS` with the test's runtime directory and no user configuration."""

    async def run(*args, stdin=b"", env=None, cwd=tmp_path):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "midfill_lsp.cli", *map(str, args)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "MIDFILL_RUNTIME_DIR": str(directory),
                "MIDFILL_CONFIG": str(tmp_path / "none.toml"),
                **(env or {}),
            },
        )
        out, err = await child.communicate(stdin)
        return Ran(child.returncode, out.decode(), err.decode())

    return run
