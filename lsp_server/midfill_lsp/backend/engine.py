"""Our own engine over HTTP: a Unix socket, loopback with a token, or `midfill serve`.

Owns the connection and the native dialect. aiohttp is imported with the first connection, not
with the module, since it costs a third of the time in which the language server must be ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from midfill_engine.wire import Draft, Fill, FillRequest, MidfillError
from midfill_lsp.backend.base import EngineUnavailable, Health
from midfill_lsp.backend.launcher import Endpoint, Launcher, find_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

log = logging.getLogger(__name__)

#: Beyond its budget an engine may need one more denoising step; after that it counts as stuck.
GRACE_S = 5.0
HEALTH_TIMEOUT_S = 2.0
#: How long the first requests wait for the first look at an engine that may be running.
FIRST_LOOK_S = 1.0
#: Largest line of an answer; several candidates of 1024 tokens stay far below.
MAX_LINE_BYTES = 4 * 2**20


class EngineBackend:
    """The native interface of one engine.

    Parameters
    ----------
    on_change
        Told each change of the engine's state.
    url, token
        Of a remote engine; empty for the user's local one, which is then started on demand.
    command, autostart
        Passed to the `Launcher`.
    """

    compares = True

    def __init__(
        self,
        on_change: Callable[[Health], None] = lambda _: None,
        *,
        url: str = "",
        token: str = "",
        command: Sequence[str] = (),
        autostart: bool = True,
    ) -> None:
        self._remote = Endpoint(url=url.rstrip("/"), token=token) if url else None
        self._session: aiohttp.ClientSession | None = None
        self._endpoint: Endpoint | None = None
        self._looked = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self.launcher = Launcher(
            self.health,
            on_change,
            command=command,
            autostart=autostart and not url,
            stop_old=None if url else self.stop,
        )

    @property
    def state(self) -> Health:
        """The state of the engine as last seen."""
        return self.launcher.state

    def wake(self) -> None:
        """Look for the engine in the background, and start it if need be."""
        self.launcher.wake()

    async def health(self) -> dict[str, Any]:
        """The engine's ``/health``.

        Raises
        ------
        EngineUnavailable
            When nothing answers in time, or something that is no engine.
        """
        import aiohttp  # noqa: PLC0415  (start-up time)

        timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
        try:
            async with self._open().get("/health", timeout=timeout) as answer:
                body = json.loads(await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            await self._drop()
            raise EngineUnavailable("No engine answers.", silence="engine-starting") from error
        finally:
            self._looked.set()
        if not isinstance(body, dict):
            raise EngineUnavailable("What answers is no engine.")
        return body

    async def fill(
        self, request: FillRequest, on_draft: Callable[[Draft], None] | None = None
    ) -> Fill:
        """Post one request; see `Backend.fill`. Cancelling closes the connection."""
        import aiohttp  # noqa: PLC0415  (start-up time)

        await self._first_look()
        if self.state.state != "ready":
            self.launcher.wake()
            raise self.launcher.silence()
        budget_s = (request.budget_ms or 60_000) / 1000 + GRACE_S
        timeout = aiohttp.ClientTimeout(total=budget_s)
        body = json.dumps(request.to_dict() | {"stream": on_draft is not None})
        try:
            async with self._open().post("/v1/midfill", data=body, timeout=timeout) as answer:
                return await _read(answer, on_draft)
        except TimeoutError as error:
            raise EngineUnavailable(
                "The engine did not answer in time.", silence="deadline"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            await self._drop()
            self.launcher.lost(crashed=self._remote is not None or find_endpoint() is not None)
            raise self.launcher.silence() from error
        except (ValueError, KeyError, TypeError) as error:
            raise MidfillError("The engine's answer cannot be understood.") from error
        except MidfillError as error:
            if error.code != "loading":
                raise
            self.launcher.lost(crashed=False)
            raise EngineUnavailable(str(error), silence="engine-loading") from None

    def typed(self, session: str, version: int, text: str) -> None:
        """Post it in the background; see `Backend.typed`."""
        body = json.dumps({"session": session, "version": version, "typed": text})
        task = asyncio.get_running_loop().create_task(self._tell("/v1/midfill/typed", body))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def stop(self) -> None:
        """Ask the engine to end."""
        await self._tell("/v1/midfill/stop")
        await self._drop()

    async def restart(self) -> None:
        """End the engine and start it anew, whatever failed before."""
        if self._remote is None:
            await self.stop()
        self.launcher.retry()

    async def close(self) -> None:
        """Close the connections; the engine itself goes on."""
        await self.launcher.close()
        await self._drop()

    async def _tell(self, path: str, body: str = "") -> None:
        """Post something to which no answer matters."""
        import aiohttp  # noqa: PLC0415  (start-up time)

        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, EngineUnavailable):
            async with self._open().post(path, data=body) as answer:
                await answer.read()

    async def _first_look(self) -> None:
        if not self._looked.is_set():
            self.launcher.wake()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._looked.wait(), FIRST_LOOK_S)
                await asyncio.sleep(0)  # the launcher notes what it saw

    def _open(self) -> aiohttp.ClientSession:
        """A session at the endpoint; a new one where the engine has moved."""
        import aiohttp  # noqa: PLC0415  (start-up time)

        if self._session is not None:
            return self._session
        endpoint = self._remote or find_endpoint()
        if endpoint is None:
            raise EngineUnavailable("No engine runs.", silence="engine-starting")
        connector: aiohttp.BaseConnector
        if endpoint.socket:
            # A connection a request: one kept open could be closed under a request by an engine
            # that is well, and would be taken for a crash.
            connector = aiohttp.UnixConnector(path=endpoint.socket, force_close=True)
            base = "http://engine"
        else:
            connector, base = aiohttp.TCPConnector(), endpoint.url
        headers = {"Content-Type": "application/json"}
        if endpoint.token:
            headers["Authorization"] = f"Bearer {endpoint.token}"
        self._session = aiohttp.ClientSession(
            base, connector=connector, headers=headers, read_bufsize=MAX_LINE_BYTES, trust_env=False
        )
        return self._session

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def import_transport() -> None:
    """Import what the first request needs; it may be done in a thread."""
    import aiohttp  # noqa: F401, PLC0415  (start-up time)


async def _read(answer: aiohttp.ClientResponse, on_draft: Callable[[Draft], None] | None) -> Fill:
    """Read the fill, or one JSON object a line: drafts, then the fill or an error."""
    if answer.status != 200:
        raise _error_of(await answer.read())
    if on_draft is None:
        return Fill.from_dict(json.loads(await answer.read()))
    async for line in answer.content:
        said = json.loads(line)
        if "draft" in said:
            on_draft(Draft.from_dict(said["draft"]))
        elif "fill" in said:
            return Fill.from_dict(said["fill"])
        else:
            raise _error_of(line)
    raise ConnectionResetError("the answer ended early")


def _error_of(body: bytes) -> MidfillError:
    try:
        said = json.loads(body)["error"]
        error = MidfillError(str(said["message"]), str(said.get("hint", "")))
        error.code = str(said.get("code", "error"))
    except (ValueError, KeyError, TypeError):
        error = MidfillError("The engine answered with something else than its protocol.")
    return error
