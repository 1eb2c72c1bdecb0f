"""Who may ask: the API key, and no web page that happens to be open on this machine.

Owns the check before every route but ``/health``. Knows no dialect.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from midfill_engine.api.problems import Handler
from midfill_engine.wire import MidfillError

#: Open to load balancers; tells nothing of what anybody asks.
OPEN_PATHS = frozenset({"/health"})


class Unauthorized(MidfillError):  # noqa: N818
    """No key, or a wrong one."""

    code = "unauthorized"


class Forbidden(MidfillError):  # noqa: N818
    """A browser page of another origin asks."""

    code = "forbidden"


def middleware(key: str) -> Any:
    """Check each request; an empty ``key`` asks for none."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_origin(request, keyless=not key)
        if key and request.path not in OPEN_PATHS:
            _check_key(request, key)
        return await handler(request)

    return check


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; a name other than localhost may be anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_key(request: web.Request, key: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), key.encode())
    if scheme.lower() != "bearer" or not same:
        raise Unauthorized(
            "The API key is missing or wrong.", "Send the header Authorization: Bearer KEY."
        )


def _check_origin(request: web.Request, *, keyless: bool) -> None:
    """Editors send no Origin; browsers do, and a page must not use an engine that asks no key.

    The host's name is checked too, since a page can make its own name point to this machine.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return
    foreign = urlsplit(origin).netloc != request.host
    rebound = keyless and not is_loopback(urlsplit(f"//{request.host}").hostname or "")
    if foreign or rebound:
        raise Forbidden("Web pages of another origin may not use the engine.")
