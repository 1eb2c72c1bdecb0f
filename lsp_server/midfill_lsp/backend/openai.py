"""A foreign server as backend: OpenAI completions with a suffix, or Codestral's and Mercury's.

Owns the two dialects and the key that goes with them. Used only where the user's own settings
name a server; then the text around the cursor leaves this machine.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

from midfill_engine.wire import Fill, FillRequest, FinishReason, Middle, MidfillError, Token
from midfill_lsp.backend.base import EngineUnavailable, Health

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from midfill_engine.wire import Draft

Dialect = Literal["openai", "codestral"]

PATHS: Mapping[Dialect, str] = {
    "openai": "/v1/completions",
    "codestral": "/v1/fim/completions",
}
#: A server that knows no deadlines gets at least this long, seconds; typing on cancels it.
PATIENCE_S = 5.0


class ForeignBackend:
    """One server that completes a prompt before a suffix.

    Parameters
    ----------
    dialect
        Whose interface it has.
    url
        Base address, without ``/v1``.
    model, key
        Sent along; either may be empty.
    """

    compares = False

    def __init__(self, dialect: Dialect, url: str, *, model: str = "", key: str = "") -> None:
        self._dialect, self._url = dialect, url.rstrip("/").removesuffix("/v1")
        self._model, self._key = model, key
        self._session: aiohttp.ClientSession | None = None
        where = f"{self._url} ({dialect})"
        self.state = (
            Health("ready", "", None, model or dialect, where)
            if url
            else Health("error", "The setting backend.url names no server.")
        )

    def typed(self, session: str, version: int, text: str) -> None:
        """Nothing to do: it knows no drafts."""

    def wake(self) -> None:
        """Nothing to do: it is somebody else's server."""

    async def fill(
        self, request: FillRequest, on_draft: Callable[[Draft], None] | None = None
    ) -> Fill:
        """Ask once, without drafts; see `Backend.fill`."""
        del on_draft
        if self.state.state == "error":
            raise EngineUnavailable(self.state.message)
        import aiohttp  # noqa: PLC0415  (start-up time)

        budget_s = max((request.budget_ms or 0) / 1000, PATIENCE_S)
        try:
            async with self._open().post(
                self._url + PATHS[self._dialect],
                data=json.dumps(self._body(request)),
                timeout=aiohttp.ClientTimeout(total=budget_s),
            ) as answer:
                if answer.status != 200:
                    raise _refusal(answer.status)
                return _read(await answer.json(content_type=None), request)
        except TimeoutError:
            return Fill((), "deadline", session=request.session, version=request.version)
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailable(
                "The server of the setting backend.url cannot be reached.",
                "Check the address, or set backend.kind to engine.",
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415  (start-up time)

        if self._session is None:
            headers = {"Content-Type": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._session = aiohttp.ClientSession(headers=headers)
        return self._session

    def _body(self, request: FillRequest) -> dict[str, Any]:
        stop = [*request.stop, *(["\n"] if request.single_line else [])]
        body: dict[str, Any] = {
            "prompt": request.prefix,
            "suffix": request.suffix,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if stop:
            body["stop"] = stop
        if self._model:
            body["model"] = self._model
        if self._dialect == "openai":
            body |= {"n": request.candidates, "logprobs": 0}
        return body


def _refusal(status: int) -> MidfillError:
    if status in (401, 403):
        return EngineUnavailable(
            f"The server of the setting backend.url refused the key ({status}).",
            "Put a valid one into the variable that backend.apiKeyEnv names.",
        )
    return EngineUnavailable(f"The server of the setting backend.url answered {status}.")


def _read(body: Any, request: FillRequest) -> Fill:
    try:
        middles = tuple(_middle(choice) for choice in body["choices"])
    except (KeyError, TypeError, IndexError, ValueError):
        raise EngineUnavailable(
            "The server of the setting backend.url answers in another form.",
            "Check the setting backend.kind.",
        ) from None
    reason = middles[0].finish_reason if middles else "end"
    return Fill(
        middles,
        reason,
        model=str(body.get("model", "")),
        session=request.session,
        version=request.version,
    )


def _middle(choice: Mapping[str, Any]) -> Middle:
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    if not isinstance(text, str):
        raise TypeError
    reason: FinishReason = "length" if choice.get("finish_reason") == "length" else "end"
    told = choice.get("logprobs") or {}
    pieces, logs = told.get("tokens") or [], told.get("token_logprobs") or []
    if len(pieces) != len(logs) or "".join(map(str, pieces)) != text or None in logs:
        # Without probabilities everything counts as sure: there is nothing to dim by.
        return Middle(text, (Token(text, 1.0),) if text else (), 0.0, reason)
    tokens = tuple(Token(p, math.exp(min(log, 0.0))) for p, log in zip(pieces, logs, strict=True))
    return Middle(text, tokens, sum(logs) / max(len(logs), 1), reason)
