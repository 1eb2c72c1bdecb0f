"""The ``/infill`` endpoint of the llama.cpp server, as llama.vim and llama.vscode use it.

Owns both directions of that dialect. Never rejects by ``model``: llama.vscode sends names of
other products. Knows neither models nor threads.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from midfill_engine.api.fields import Fields, InvalidField, cache_session, read_object
from midfill_engine.api.problems import json_response
from midfill_engine.api.streams import EVENT_STREAM, SteadyText, event, respond, strategy_for
from midfill_engine.service.engine import Engine
from midfill_engine.wire import (
    MAX_CANDIDATES,
    MAX_TOKENS_LIMIT,
    Fill,
    FillRequest,
    Middle,
    Snippet,
)

#: llama.cpp's own default is endless; a middle is not.
DEFAULT_PREDICT = 128
STOP_TYPES = {"end": "eos", "stop": "word", "length": "limit"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A decoded body: what to fill and how to answer."""

    fill: FillRequest
    slot: int
    warm_up: bool
    stream: bool
    response_fields: tuple[str, ...]


class LlamaCppApi:
    """Handlers over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def infill(self, request: web.Request) -> web.StreamResponse:
        """``POST /infill``."""
        fields = Fields(await read_object(request))
        slot = fields.integer("id_slot", -1, 2**31, -1)
        asked = decode(fields, slot, cache_session("infill", request, slot))
        if asked.stream and not asked.warm_up:
            return await respond(request, self._events(asked), EVENT_STREAM)
        if asked.warm_up and self._engine.info and not asked.fill.prefix + asked.fill.suffix:
            # llama.vim warms up with other files alone. Nothing to read stays of it, and it must
            # not push the document that is being typed in out of the slot's cache.
            return json_response(self._encode(asked, Fill((), "end", self._engine.info.name)))
        fill = await self._engine.fill(asked.fill, supersedes=False)
        return json_response(self._encode(asked, fill))

    async def _events(self, asked: Asked) -> AsyncGenerator[bytes]:
        steady = SteadyText(asked.fill)
        async with aclosing(self._engine.stream(asked.fill, supersedes=False)) as states:
            async for state in states:
                if isinstance(state, Fill):
                    first, *others = _middles(state)
                    for index, middle in enumerate((steady.last(first), *others)):
                        last = self._completion(asked, state, index, middle)
                        yield event(_select(last, asked.response_fields))
                elif asked.fill.candidates == 1 and (text := steady.grown(state)):
                    part = {"index": 0, "content": text, "id_slot": asked.slot, "stop": False}
                    yield event(_select(part, asked.response_fields))

    def _encode(self, asked: Asked, fill: Fill) -> Any:
        """One object, or a list of them when several completions were asked for."""
        completions = [
            _select(self._completion(asked, fill, index, middle), asked.response_fields)
            for index, middle in enumerate(_middles(fill))
        ]
        return completions if asked.fill.candidates > 1 else completions[0]

    def _completion(self, asked: Asked, fill: Fill, index: int, middle: Middle) -> dict[str, Any]:
        info = self._engine.info
        content = "" if asked.warm_up else middle.text
        return {
            "index": index,
            "content": content,
            "tokens": [],
            "id_slot": asked.slot,
            "stop": True,
            "model": fill.model,
            "tokens_predicted": 0 if asked.warm_up else fill.completion_tokens,
            "tokens_evaluated": fill.prompt_tokens,
            "generation_settings": {
                "n_ctx": info.context_tokens if info else 0,
                "n_predict": asked.fill.max_tokens,
                "temperature": asked.fill.temperature,
                "seed": asked.fill.seed,
                "stop": list(asked.fill.stop),
                "stream": asked.stream,
            },
            "prompt": "",
            "has_new_line": "\n" in content,
            "truncated": middle.finish_reason not in ("end", "stop", "length"),
            "stop_type": STOP_TYPES.get(middle.finish_reason, "none"),
            "stopping_word": "",
            "tokens_cached": fill.cached_tokens,
            "timings": _timings(fill),
        }


def decode(fields: Fields, slot: int, session: str) -> Asked:
    """Read a body.

    A warm-up (``n_predict`` 0) becomes a speculative request of one token: it reads the context
    into the cache and gives way to anything that a person waits for.

    Raises
    ------
    InvalidField
        Naming the wrong field.
    """
    predict = fields.integer("n_predict", -1, MAX_TOKENS_LIMIT, DEFAULT_PREDICT)
    warm_up, stream = predict == 0, fields.flag("stream")
    fill = FillRequest(
        prefix=_required(fields, "input_prefix") + fields.text("prompt"),
        suffix=_required(fields, "input_suffix"),
        snippets=tuple(
            Snippet(extra.text("filename"), extra.text("text"))
            for extra in fields.objects("input_extra")
        ),
        session=session,
        budget_ms=None if warm_up else _budget_ms(fields),
        max_tokens=1 if warm_up else DEFAULT_PREDICT if predict < 0 else predict,
        candidates=1 if warm_up else fields.integer("n_cmpl", 1, MAX_CANDIDATES, 1),
        temperature=fields.number("temperature", 0, 5, 0),
        seed=_seed(fields),
        stop=fields.stop(),
        strategy=strategy_for(stream=stream),
        speculative=warm_up,
    )
    return Asked(fill, slot, warm_up, stream, fields.strings("response_fields"))


def _budget_ms(fields: Fields) -> int | None:
    """Time for the prompt and for predicting together; 0 or less is no limit, as in llama.cpp."""
    predict_ms = fields.integer("t_max_predict_ms", -(2**31), 300_000, 0)
    prompt_ms = fields.integer("t_max_prompt_ms", -(2**31), 300_000, 0)
    return predict_ms + max(prompt_ms, 0) if predict_ms > 0 else None


def _seed(fields: Fields) -> int:
    """-1, or its unsigned twin, asks for a random one."""
    seed = fields.integer("seed", -1, 2**53, 0)
    return secrets.randbits(31) if seed in (-1, 2**32 - 1) else seed


def _required(fields: Fields, name: str) -> str:
    if fields.get(name) is None:
        raise InvalidField(name, "is missing.", "Send a string; it may be empty.")
    return fields.text(name)


def _middles(fill: Fill) -> tuple[Middle, ...]:
    return fill.middles or (Middle("", (), 0.0, fill.finish_reason),)


def _timings(fill: Fill) -> dict[str, float]:
    read = max(fill.prompt_tokens - fill.cached_tokens, 0)
    return {
        "cache_n": fill.cached_tokens,
        **_pace("prompt", read, fill.prefill_ms),
        **_pace("predicted", fill.completion_tokens, fill.denoise_ms),
    }


def _pace(name: str, tokens: int, ms: float) -> dict[str, float]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": ms,
        f"{name}_per_token_ms": ms / tokens if tokens else 0.0,
        f"{name}_per_second": tokens / ms * 1000 if ms else 0.0,
    }


def _select(completion: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """Only ``response_fields``; a path such as ``timings/prompt_n`` becomes a flat key."""
    if not wanted:
        return completion
    selected: dict[str, Any] = {}
    for path in wanted:
        value: Any = completion
        for key in path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            selected[path] = value
    return selected
