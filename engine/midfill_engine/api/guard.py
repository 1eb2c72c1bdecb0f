"""The outermost layer of every request: no failure passes it, each answer is counted and logged.

Owns the only broad ``except`` of the HTTP side. Knows no request text and logs none.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from aiohttp import web

from midfill_engine.api.metrics import Metrics
from midfill_engine.api.problems import Handler, Problem, explain, form_of, json_response

log = logging.getLogger(__name__)

#: A client that has gone; nobody reads this answer, but metrics and log tell it apart.
CLIENT_CLOSED = 499
#: Asked many times a second while a model loads; not worth lines of the log.
POLLED = ("/health", "/metrics")


def middleware(metrics: Metrics) -> Any:
    """Turn every failure into the shape's own error, count it, and write one log line."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        status, code = CLIENT_CLOSED, "cancelled"
        try:
            response, code = await _guarded(request, handler)
            status = response.status
        finally:  # also when the client has gone and the handler is cancelled
            endpoint = _endpoint(request)
            metrics.request(endpoint, status)
            ms = (time.monotonic() - started) * 1000
            log.log(
                logging.DEBUG if endpoint in POLLED else logging.INFO,
                "request",
                extra={"endpoint": endpoint, "status": status, "code": code, "ms": ms},
            )
        return response

    return answer


async def _guarded(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, str]:
    """The answer and the code of what went wrong, if anything did."""
    try:
        return await handler(request), ""
    except ConnectionError:
        return web.Response(status=CLIENT_CLOSED), "cancelled"
    except Exception as error:  # noqa: BLE001  (nothing a client sends may end the daemon)
        problem = explain(error, request)
        return _error_response(problem, request), problem.code


def _error_response(problem: Problem, request: web.Request) -> web.Response:
    response = json_response(form_of(request.path)(problem), problem.status)
    if problem.status == 503:
        response.headers["Retry-After"] = "1"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _endpoint(request: web.Request) -> str:
    """The route, never the path as sent: labels and log lines come from a closed set."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
