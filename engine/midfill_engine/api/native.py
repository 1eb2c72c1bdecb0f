"""The native dialect: ``POST /v1/midfill``, `FillRequest` in, `Fill` or drafts out.

Knows the wire types only; neither models nor threads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from midfill_engine.api.fields import read_object
from midfill_engine.api.problems import json_response
from midfill_engine.api.streams import JSON_LINES, line, respond
from midfill_engine.service.engine import Engine
from midfill_engine.wire import VERSIONS, Draft, FillRequest, InvalidRequest, check_int, check_text


class NativeApi:
    """Handlers over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def fill(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, streamed when it says so."""
        data = await read_object(request)
        stream = data.pop("stream", False)
        if not isinstance(stream, bool):
            raise InvalidRequest("stream must be true or false.")
        wanted = FillRequest.from_dict(data)
        if stream:
            return await respond(request, self._lines(wanted), JSON_LINES)
        fill = await self._engine.fill(wanted)
        return json_response(fill.to_dict())

    async def typed(self, request: web.Request) -> web.Response:
        """Take what was typed since a request of a session."""
        data = await read_object(request)
        if set(data) != {"session", "version", "typed"}:
            raise InvalidRequest("What was typed comes with session, version and typed.")
        check_text("session", data["session"])
        check_text("typed", data["typed"])
        check_int("version", data["version"], *VERSIONS)
        self._engine.typed(data["session"], data["version"], data["typed"])
        return json_response({})

    async def _lines(self, wanted: FillRequest) -> AsyncGenerator[bytes]:
        async with aclosing(self._engine.stream(wanted)) as states:
            async for state in states:
                name = "draft" if isinstance(state, Draft) else "fill"
                yield line({name: state.to_dict()})
