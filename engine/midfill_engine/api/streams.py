"""Streaming answers: sent only once there is something, so that an early failure keeps its status.

Owns the response's life and the rule which part of a draft is steady. Knows no dialect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from midfill_engine.api.problems import explain, form_of
from midfill_engine.fill.canvas import stops_of
from midfill_engine.wire import DEFAULT_STRATEGY, GROWING_STRATEGY, Draft, FillRequest, Middle

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


def strategy_for(*, stream: bool) -> str:
    """How a middle is decoded where the client names nothing: what is sent early has to stay."""
    return GROWING_STRATEGY if stream else DEFAULT_STRATEGY


class SteadyText:
    """Turns drafts, which may still change, into text that only grows.

    Shapes made for left-to-right models cannot take back what was sent. Sent is therefore what
    is committed from the start on without a gap and stays wherever the middle ends, less a tail
    that could become a stop string, the user's or the line that follows, or half a character.
    """

    def __init__(self, request: FillRequest) -> None:
        self._stop = stops_of(request)
        self._sent = ""

    def grown(self, draft: Draft) -> str:
        """What ``draft`` adds for certain; often nothing."""
        steady = ""
        for token in draft.tokens[: draft.steady]:
            if not token.committed or "\ufffd" in token.text:
                break
            steady += token.text
        cuts = [at for text in self._stop if (at := steady.find(text)) >= 0]
        held = max((begun(steady, text) for text in self._stop), default=0)
        end = min(cuts, default=len(steady) - held)
        return self._advance(steady[:end])

    def last(self, middle: Middle) -> Middle:
        """What the finished ``middle`` adds.

        Where it was cut back behind what has been sent, nothing: the stream ends as one that
        came to its limit.
        """
        if not middle.text.startswith(self._sent):
            return replace(middle, text="", finish_reason="length")
        return replace(middle, text=self._advance(middle.text))

    def _advance(self, text: str) -> str:
        if not text.startswith(self._sent):
            return ""
        added = text[len(self._sent) :]
        self._sent = text
        return added


def begun(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` could become ``stop``, which is not in it."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((n for n in sizes if text.endswith(stop[:n])), 0)
