"""The HTTP application: routes, limits, access, and a closed connection that stops the work.

Owns the wiring. Knows neither what a fill is nor where the daemon listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

from midfill_engine.api import access, guard
from midfill_engine.api.llamacpp import LlamaCppApi
from midfill_engine.api.metrics import Metrics, health, models
from midfill_engine.api.native import NativeApi
from midfill_engine.api.openai import OpenAiApi
from midfill_engine.api.problems import json_response
from midfill_engine.service.engine import Engine

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds that running answers get to end after the engine was told to.
SHUTDOWN_S = 2.0


def build(engine: Engine, *, key: str = "", stop: asyncio.Event | None = None) -> web.Application:
    """The application over ``engine``.

    Parameters
    ----------
    key
        API key or token that each request must bring; empty: none.
    stop
        Set by ``POST /v1/midfill/stop``; without it there is no such route.
    """
    metrics = Metrics(engine)
    app = web.Application(
        # Errors outermost, so that a refused key is answered in the dialect's form too.
        middlewares=[guard.middleware(metrics), access.middleware(key)],
        client_max_size=engine.settings.max_body_mb * 2**20,
    )
    openai, native, llamacpp = OpenAiApi(engine), NativeApi(engine), LlamaCppApi(engine)

    async def get_health(_: web.Request) -> web.Response:
        return json_response(health(engine))

    async def get_models(_: web.Request) -> web.Response:
        return json_response(models(engine))

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": METRICS_TYPE})

    async def post_stop(_: web.Request) -> web.Response:
        if stop is not None:
            stop.set()
        return json_response({"stopping": True})

    app.add_routes(
        [
            web.post("/v1/midfill", native.fill),
            web.post("/v1/midfill/typed", native.typed),
            web.post("/v1/completions", openai.completions),
            web.post("/v1/fim/completions", openai.fim),
            web.post("/infill", llamacpp.infill),
            web.get("/v1/models", get_models),
            web.get("/health", get_health),
            web.get("/metrics", get_metrics),
        ]
    )
    if stop is not None:
        app.add_routes([web.post("/v1/midfill/stop", post_stop)])
    return app


@asynccontextmanager
async def serving(app: web.Application, listener: socket) -> AsyncIterator[None]:
    """Serve ``app`` on ``listener`` for the length of a block."""
    runner = web.AppRunner(
        app,
        # The handler is cancelled when its client has gone; `Engine.fill` then stops the work.
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
