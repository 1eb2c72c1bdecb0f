"""A real HTTP engine with a scripted model behind it, which keeps what clients send.

For clients that nobody changed: they are pointed at `url` and used; `exchanges` then holds their
requests in order.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

from aiohttp import web
from tests.engine.fakes import ScriptedFiller
from tests.engine.serving import running

from midfill_engine.api import app

#: Headers that say something of the client.
KEPT_HEADERS = ("Accept", "Authorization", "Content-Type")


class RecordingEngine:
    """Serves from a thread of its own, from `start` to `close`."""

    def __init__(self, *tokens: str) -> None:
        self.filler = ScriptedFiller(tokens=tokens)
        self.exchanges: list[dict[str, Any]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> RecordingEngine:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with running(self.filler) as engine:
            application = app.build(engine)
            application.middlewares.append(self._keep)
            async with app.serving(application, self._listener):
                self._ready.set()
                await self._done.wait()

    @web.middleware
    async def _keep(self, request: web.Request, handler: Any) -> web.StreamResponse:
        kept = {
            "method": request.method,
            "path": request.path,
            "headers": {k: request.headers[k] for k in KEPT_HEADERS if k in request.headers},
        }
        if request.method == "POST":
            kept["body"] = json.loads(await request.read())
        self.exchanges.append(kept)
        answer: web.StreamResponse = await handler(request)
        return answer
