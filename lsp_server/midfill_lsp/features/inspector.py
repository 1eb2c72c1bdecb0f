"""`midfill/inspect`: the last question of a document, opened up.

Owns the form of the answer: what was shown or why not, and of the request behind it what was
sent, each denoising step, what came back. The text goes to the editor that has it already, and
nowhere else. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midfill_engine.wire import Silence
from midfill_lsp.features.parameters import uri_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pygls.lsp.server import LanguageServer

    from midfill_engine.wire import Fill, Token
    from midfill_lsp.suggest.session import Session
    from midfill_lsp.suggest.trace import Answer, Trace

#: Parts of a `Fill` that are told apart or already known.
TOLD_APART = ("middles", "session", "version")


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the request to ``server``."""

    @server.feature("midfill/inspect")
    def inspect(params: dict[str, Any]) -> dict[str, Any] | None:
        suggester = session().suggester
        answer = suggester.answer(uri_of(params))
        if answer is None:
            return None
        return {"answer": _answer(answer), "request": _request(suggester.traces.behind(answer))}


def _answer(answer: Answer) -> dict[str, Any]:
    out: dict[str, Any] = {
        "version": answer.version,
        "line": answer.line,
        "explicit": answer.explicit,
        "ms": round(answer.ms, 2),
    }
    if isinstance(answer.outcome, Silence):
        return out | {"code": answer.outcome.code, "message": answer.outcome.message}
    first = answer.outcome[0]
    return out | {"source": first.source, "shown": [_tokens(s.tokens) for s in answer.outcome]}


def _request(trace: Trace | None) -> dict[str, Any] | None:
    if trace is None:
        return None
    sent = trace.request.to_dict()
    return {
        "ahead": trace.ahead,
        "context": {
            "path": sent.pop("path", ""),
            "language": sent.pop("language", ""),
            "snippets": sent.pop("snippets", ()),
            "prefix": sent.pop("prefix"),
            "suffix": sent.pop("suffix", ""),
            "draft": sent.pop("draft", ""),
        },
        "parameters": {k: v for k, v in sent.items() if k not in ("session", "version")},
        "drafts": [
            {"step": draft.step, "ms": round(ms, 1), "tokens": _tokens(draft.tokens)}
            for ms, draft in trace.drafts
        ],
        "fill": _fill(trace.fill) if trace.fill is not None else None,
    }


def _fill(fill: Fill) -> dict[str, Any]:
    figures = {k: v for k, v in fill.to_dict().items() if k not in TOLD_APART}
    middles = [
        {"score": m.score, "finish_reason": m.finish_reason, "tokens": _tokens(m.tokens)}
        for m in fill.middles
    ]
    return figures | {"middles": middles}


def _tokens(tokens: Iterable[Token]) -> list[list[Any]]:
    """[text, confidence, committed] of each token that has a text."""
    return [[t.text, round(t.confidence, 4), int(t.committed)] for t in tokens if t.text]
