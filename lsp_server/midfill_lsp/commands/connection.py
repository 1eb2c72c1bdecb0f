"""The command line's way to the engine: the language server's backend, waited for.

Owns waiting until the engine is ready, asking it for plain facts, and a private engine for the
length of a block. Knows nothing of what is asked of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import aiohttp

from midfill_engine.wire import MidfillError
from midfill_lsp.backend.base import EngineUnavailable, Health
from midfill_lsp.backend.engine import EngineBackend
from midfill_lsp.backend.launcher import find_endpoint
from midfill_lsp.settings import (
    environment_source,
    merge,
    runtime_directory,
    secret,
    user_source,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from midfill_lsp.settings import LspSettings

#: An engine that runs answers plain questions at once, even while it loads or denoises.
FACTS_TIMEOUT_S = 5.0
#: Budget of a command's fill where none is given: somebody waits for it, on any machine.
PATIENT_MS = 120_000


def user_settings() -> tuple[LspSettings, list[str]]:
    """The settings of the user and the environment, and what is wrong with them, in words."""
    source, faults = user_source()
    settings, problems = merge([source, environment_source()])
    return settings, faults + problems


@contextlib.asynccontextmanager
async def connected(
    settings: LspSettings, tell: Callable[[Health], None] = lambda _: None
) -> AsyncIterator[EngineBackend]:
    """An engine that is ready; started if none runs.

    Parameters
    ----------
    tell
        Told each state while it starts and loads.

    Raises
    ------
    EngineUnavailable
        When it does not get ready; the message says why.
    """
    changed = asyncio.Event()

    def on_change(health: Health) -> None:
        tell(health)
        changed.set()

    where = settings.backend
    backend = EngineBackend(
        on_change,
        url=where.url if where.kind == "engine" else "",
        token=secret(where.api_key_env) if where.url else "",
        command=settings.engine.command,
        autostart=settings.engine.autostart,
    )
    try:
        backend.wake()
        while backend.state.state not in ("ready", "error"):
            await changed.wait()
            changed.clear()
        if backend.state.state == "error":
            raise EngineUnavailable(backend.state.message, _last_words())
        yield backend
    finally:
        await backend.close()


def _last_words() -> str:
    """What a local engine that did not come up wrote last, unless it is a line of its log."""
    try:
        text = (runtime_directory() / "engine.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    last = text.strip().rpartition("\n")[2]
    return f"Its last words: {last[:200]}" if last and not last.startswith("{") else ""


async def facts(path: str, *, post: bool = False) -> bytes:
    """What the running engine answers at ``path``; it is never started for that.

    Raises
    ------
    EngineUnavailable
        When none runs or it does not answer.
    """
    endpoint = find_endpoint()
    if endpoint is None:
        raise EngineUnavailable("No engine runs.", "Editors start it by themselves.")
    connector = aiohttp.UnixConnector(endpoint.socket) if endpoint.socket else None
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    timeout = aiohttp.ClientTimeout(total=FACTS_TIMEOUT_S)
    url = (endpoint.url or "http://engine") + path
    try:
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as client,
            client.request("POST" if post else "GET", url) as answer,
        ):
            return await answer.read()
    except (aiohttp.ClientConnectionError, FileNotFoundError, ConnectionError) as error:
        raise EngineUnavailable("No engine runs.", "Editors start it by themselves.") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EngineUnavailable(
            "The engine does not answer.", "`midfill stop --force` ends it."
        ) from error


async def health() -> dict[str, Any]:
    """The running engine's ``/health``.

    Raises
    ------
    EngineUnavailable
        When none runs or what answers is no engine.
    """
    try:
        said = json.loads(await facts("/health"))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise EngineUnavailable("What answers is no engine.", "Run `midfill doctor`.")
    return said


@contextlib.contextmanager
def private_engine() -> Iterator[None]:
    """Let engines started in this block live in a directory of their own, and end with it."""
    before = os.environ.get("MIDFILL_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="midfill-", ignore_cleanup_errors=True) as directory:
        os.environ["MIDFILL_RUNTIME_DIR"] = directory
        try:
            yield
        finally:
            with contextlib.suppress(EngineUnavailable):
                asyncio.run(facts("/v1/midfill/stop", post=True))
            if before is None:
                del os.environ["MIDFILL_RUNTIME_DIR"]
            else:
                os.environ["MIDFILL_RUNTIME_DIR"] = before


def run(name: str, work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work; a failure becomes one sentence on standard error and exit code 1."""
    try:
        return asyncio.run(work)
    except MidfillError as error:
        print(f"midfill {name}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
    except BrokenPipeError:
        # The reader (a pager, head) has seen enough; nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
