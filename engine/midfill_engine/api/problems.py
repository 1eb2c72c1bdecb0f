"""Errors as HTTP: one table from codes to statuses, and the error form of each dialect.

Owns what a client is told when something failed. Knows no request text.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from midfill_engine.service.logs import log_defect
from midfill_engine.wire import MidfillError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUSES = {
    "invalid_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "internal": 500,
}
#: What else can fail (loading, busy, checkpoint, device) is a matter of time or of the server.
UNAVAILABLE = 503

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_LLAMACPP_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    500: "server_error",
    503: "unavailable_error",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way out."""

    status: int
    code: str
    message: str
    hint: str = ""
    param: str | None = None

    @property
    def sentence(self) -> str:
        """Message and hint, for shapes that have one field for both."""
        return f"{self.message} {self.hint}".strip()


def explain(error: Exception, request: web.Request) -> Problem:
    """What to tell the client about ``error``; a defect is logged too."""
    if isinstance(error, MidfillError):
        status = STATUSES.get(error.code, UNAVAILABLE)
        param = getattr(error, "param", None)
        return Problem(status, error.code, error.message, error.hint, param)
    if isinstance(error, web.HTTPException):
        return _of_http(error, request)
    log_defect(log, error)
    return Problem(
        500,
        "internal",
        f"The engine failed on this request ({type(error).__name__}).",
        "It goes on with the next one; its log has the place.",
    )


def native_form(problem: Problem) -> dict[str, Any]:
    """``{"error": {"code", "message", "hint"}}``."""
    return {"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}}


def openai_form(problem: Problem) -> dict[str, Any]:
    """OpenAI's error object."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    code = "invalid_api_key" if problem.code == "unauthorized" else problem.code
    return {
        "error": {
            "message": problem.sentence,
            "type": kind,
            "param": problem.param,
            "code": code,
        }
    }


def llamacpp_form(problem: Problem) -> dict[str, Any]:
    """The error object of the llama.cpp server."""
    kind = _LLAMACPP_TYPES.get(problem.status, "invalid_request_error")
    return {"error": {"code": problem.status, "message": problem.sentence, "type": kind}}


def form_of(path: str) -> Callable[[Problem], dict[str, Any]]:
    """The error form that clients of ``path`` read."""
    if path == "/infill":
        return llamacpp_form
    if path.startswith("/v1/") and not path.startswith("/v1/midfill"):
        return openai_form
    return native_form


def json_response(data: Any, status: int = 200) -> web.Response:
    """Compact JSON: llama.vim looks for ``"content":"`` without a space."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    code = _HTTP_CODES.get(error.status, "invalid_request")
    messages = {
        "not_found": ("There is no such endpoint.", "docs/http-api.md lists them."),
        "method_not_allowed": (
            f"{request.method} is not allowed here.",
            f"Use {error.headers.get('Allow', 'another method')}.",
        ),
        "too_large": (
            f"The request body is larger than {request.client_max_size // 2**20} MiB.",
            "Send the part of the file near the cursor.",
        ),
    }
    message, hint = messages.get(code, ("The request is malformed.", ""))
    return Problem(error.status, code, message, hint)
