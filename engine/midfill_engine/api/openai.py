"""OpenAI completions with ``suffix``, and the Codestral and Mercury shape of the same.

Owns both directions: body to `FillRequest`, `Fill` to choices or server-sent events. Knows neither
models nor threads. Unknown fields are ignored, as servers of this shape do; sampling fields that
make no sense for denoising (``top_p``, penalties, ``logit_bias``) are accepted without effect. A
prompt in another model's template is taken apart where there is no ``suffix``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from midfill_engine.api.fields import Fields, InvalidField, cache_session, read_object
from midfill_engine.api.problems import json_response
from midfill_engine.api.streams import EVENT_STREAM, SteadyText, event, respond, strategy_for
from midfill_engine.api.templates import Parts, taken_apart
from midfill_engine.service.engine import Engine
from midfill_engine.wire import MAX_CANDIDATES, MAX_TOKENS_LIMIT, Fill, FillRequest, Middle

Shape = Literal["completions", "fim"]

DEFAULT_MAX_TOKENS = 128
#: Clients of the hosted services send these names and often cannot send another.
HOSTED_NAMES = ("codestral", "mercury")
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A decoded body: what to fill and how to answer."""

    fill: FillRequest
    shape: Shape
    stream: bool
    usage_in_stream: bool
    echo: str

    def head(self, model: str) -> dict[str, Any]:
        """The fields that every answer and every chunk has."""
        kinds = {"completions": "text_completion", "fim": "chat.completion"}
        kind = "chat.completion.chunk" if self.stream and self.shape == "fim" else kinds[self.shape]
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def choice(self, index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
        """One choice. ``fim`` has Codestral's message or delta beside the plain text of Mercury."""
        choice: dict[str, Any] = {"index": index, "text": text, "finish_reason": finish_reason}
        if self.shape == "fim":
            role = "delta" if self.stream else "message"
            choice[role] = {"role": "assistant", "content": text}
        else:
            choice["logprobs"] = None
        return choice


class OpenAiApi:
    """Handlers over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """``POST /v1/completions``."""
        return await self._answer(request, "completions")

    async def fim(self, request: web.Request) -> web.StreamResponse:
        """``POST /v1/fim/completions``."""
        return await self._answer(request, "fim")

    async def _answer(self, request: web.Request, shape: Shape) -> web.StreamResponse:
        fields = Fields(await read_object(request))
        fields.model(self._engine.info, HOSTED_NAMES if shape == "fim" else ())
        asked = decode(fields, shape, cache_session("openai", request, fields.text("user")))
        if asked.stream:
            return await respond(request, self._events(asked), EVENT_STREAM)
        fill = await self._engine.fill(asked.fill, supersedes=False)
        return json_response(encode(asked, fill))

    async def _events(self, asked: Asked) -> AsyncGenerator[bytes]:
        head = asked.head(self._engine.info.name if self._engine.info else "")
        steady = SteadyText(asked.fill)
        echo = asked.echo
        async with aclosing(self._engine.stream(asked.fill, supersedes=False)) as states:
            async for state in states:
                if isinstance(state, Fill):
                    for choice in _last_choices(asked, state, steady, echo):
                        yield event({**head, "choices": [choice]})
                    if asked.usage_in_stream:
                        yield event({**head, "choices": [], "usage": _usage(state)})
                    yield DONE
                elif asked.fill.candidates == 1 and (text := steady.grown(state)):
                    yield event({**head, "choices": [asked.choice(0, echo + text, None)]})
                    echo = ""


def decode(fields: Fields, shape: Shape, session: str) -> Asked:
    """Read a body.

    Raises
    ------
    InvalidField
        Naming the field as the client knows it.
    """
    prompt, suffix = _prompt(fields), fields.text("suffix")
    parts = (None if suffix else taken_apart(prompt)) or Parts(prompt, suffix)
    options, stream = fields.get("stream_options"), fields.flag("stream")
    fill = FillRequest(
        prefix=parts.prefix,
        suffix=parts.suffix,
        snippets=parts.snippets,
        session=session,
        budget_ms=fields.integer("budget_ms", 1, 600_000, 0) or None,
        max_tokens=fields.integer("max_tokens", 1, MAX_TOKENS_LIMIT, DEFAULT_MAX_TOKENS),
        candidates=_candidates(fields),
        temperature=fields.number("temperature", 0, 2, 0),
        seed=fields.integer("random_seed" if shape == "fim" else "seed", 0, 2**53, 0),
        stop=fields.stop(),
        strategy=strategy_for(stream=stream),
    )
    return Asked(
        fill=fill,
        shape=shape,
        stream=stream,
        usage_in_stream=isinstance(options, dict) and options.get("include_usage") is True,
        echo=prompt if fields.flag("echo") else "",
    )


def encode(asked: Asked, fill: Fill) -> dict[str, Any]:
    """The whole answer, one choice a candidate."""
    choices = [
        asked.choice(index, asked.echo + middle.text, finish_reason(middle))
        for index, middle in enumerate(_middles(fill))
    ]
    return {**asked.head(fill.model), "choices": choices, "usage": _usage(fill)}


def finish_reason(middle: Middle) -> str:
    """``stop`` for an ended middle, ``length`` for one that was cut by a limit or a deadline."""
    return "stop" if middle.finish_reason in ("end", "stop") else "length"


def _last_choices(asked: Asked, fill: Fill, steady: SteadyText, echo: str) -> list[dict[str, Any]]:
    first, *others = _middles(fill)
    first = steady.last(first)
    texts = [echo + first.text, *(asked.echo + middle.text for middle in others)]
    return [
        asked.choice(index, text, finish_reason(middle))
        for index, (text, middle) in enumerate(zip(texts, (first, *others), strict=True))
    ]


def _middles(fill: Fill) -> tuple[Middle, ...]:
    """At least one, since clients index ``choices[0]`` without looking."""
    return fill.middles or (Middle("", (), 0.0, fill.finish_reason),)


def _prompt(fields: Fields) -> str:
    value = fields.get("prompt")
    if value is None:
        raise InvalidField("prompt", "is missing.", "Send the text before the cursor.")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return Fields({"prompt": value[0]}).text("prompt")
    if not isinstance(value, str):
        raise InvalidField("prompt", "must be one string; lists and token ids are not taken.")
    return fields.text("prompt")


def _candidates(fields: Fields) -> int:
    wanted = fields.integer("n", 1, 2**31, 1)
    if wanted > MAX_CANDIDATES:
        raise InvalidField("n", f"must be at most {MAX_CANDIDATES}.")
    return wanted


def _usage(fill: Fill) -> dict[str, Any]:
    return {
        "prompt_tokens": fill.prompt_tokens,
        "completion_tokens": fill.completion_tokens,
        "total_tokens": fill.prompt_tokens + fill.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": fill.cached_tokens},
    }
