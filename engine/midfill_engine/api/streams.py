"""Streaming answers: sent only once there is something, so that an early failure keeps its status.

Owns the response's life and the rule which part of a draft is steady. Knows no dialect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from midfill_engine.api.problems import explain, form_of
from midfill_engine.wire import Draft

EVENT_STREAM = "text/event-stream"
JSON_LINES = "application/x-ndjson"


async def respond(
    request: web.Request, chunks: AsyncGenerator[bytes], content_type: str
) -> web.StreamResponse:
    """Send ``chunks`` as they come.

    A failure before the first chunk propagates; a later one is sent as a last chunk, because the
    status line has gone by then.
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = content_type
    frame = event if content_type == EVENT_STREAM else line
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(chunk)
    except ConnectionError:
        raise
    except Exception as error:
        if not response.prepared:
            raise
        await response.write(frame(form_of(request.path)(explain(error, request))))
    await response.write_eof()
    return response


def event(data: Any) -> bytes:
    """One server-sent event with compact JSON."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def line(data: Any) -> bytes:
    """One line of JSON."""
    return orjson.dumps(data) + b"\n"


class SteadyText:
    """Turns drafts, which may still change, into text that only grows.

    Shapes made for left-to-right models cannot take back what was sent. Sent is therefore what
    is committed from the start on without a gap, less a tail that could become a stop string or
    half a character.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._held = max((len(text) for text in stop), default=1) - 1
        self._stop = tuple(stop)
        self._sent = ""

    def grown(self, draft: Draft) -> str:
        """What ``draft`` adds for certain; often nothing."""
        steady = ""
        for token in draft.tokens:
            if not token.committed or "\ufffd" in token.text:
                break
            steady += token.text
        cuts = [at for text in self._stop if (at := steady.find(text)) >= 0]
        end = min(cuts, default=len(steady) - self._held)
        return self._advance(steady[: max(end, 0)])

    def rest(self, text: str) -> str:
        """What the finished middle adds; nothing if it does not continue what was sent."""
        return self._advance(text)

    def _advance(self, text: str) -> str:
        if not text.startswith(self._sent):
            return ""
        added = text[len(self._sent) :]
        self._sent = text
        return added
