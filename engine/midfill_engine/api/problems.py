"""Errors as HTTP: one table from codes to statuses, and the error form of each dialect.

Owns the only broad ``except`` of the HTTP side. Knows no request text and logs none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from midfill_engine.wire import MidfillError

if TYPE_CHECKING:
    from midfill_engine.api.metrics import Metrics

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

#: A client that has gone; nobody reads this answer.
CLIENT_CLOSED = 499

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


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

    @classmethod
    def of(cls, error: BaseException, request: web.Request) -> Problem:
        """What to tell the client about ``error``."""
        if isinstance(error, MidfillError):
            status = STATUSES.get(error.code, UNAVAILABLE)
            param = getattr(error, "param", None)
            return cls(status, error.code, error.message, error.hint, param)
        if isinstance(error, web.HTTPException):
            return _of_http(error, request)
        return cls(
            500,
            "internal",
            f"The engine failed on this request ({type(error).__name__}).",
            "It goes on with the next one; its log has the details.",
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


_LLAMACPP_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    500: "server_error",
    503: "unavailable_error",
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


def middleware(metrics: Metrics) -> Any:
    """Turn every failure into the shape's own error, count it, and write one log line."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        code = ""
        try:
            response = await handler(request)
        except ConnectionError:
            response = web.Response(status=CLIENT_CLOSED)
        except Exception as error:  # noqa: BLE001  (nothing a client sends may end the daemon)
            problem = Problem.of(error, request)
            code = problem.code
            if not isinstance(error, MidfillError | web.HTTPException):
                _log_defect(error)
            response = _error_response(problem, request)
        endpoint = _endpoint(request)
        metrics.request(endpoint, response.status)
        log.info(
            "request",
            extra={
                "endpoint": endpoint,
                "status": response.status,
                "code": code,
                "ms": (time.monotonic() - started) * 1000,
            },
        )
        return response

    return answer


def _error_response(problem: Problem, request: web.Request) -> web.Response:
    response = json_response(form_of(request.path)(problem), problem.status)
    if problem.status == UNAVAILABLE:
        response.headers["Retry-After"] = "1"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _endpoint(request: web.Request) -> str:
    """The route, never the path as sent: labels and log lines come from a closed set."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    code = _CODES.get(error.status, "invalid_request")
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


def _log_defect(error: Exception) -> None:
    """Kind and place only: the exception's text may quote the user's code."""
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        name = Path(traceback.tb_frame.f_code.co_filename).name
        places.append(f"{name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    log.error("defect", extra={"error": type(error).__name__, "where": " > ".join(places)})
