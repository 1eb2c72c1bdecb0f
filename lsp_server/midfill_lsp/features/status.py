"""State and reasons: `midfill/status`, `midfill/why`, snoozing and switching.

Owns the form of these messages. What holds is decided in `suggest.trigger` and the backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midfill_lsp.features.parameters import boolean, number, text, uri_of
from midfill_lsp.suggest.silence import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygls.lsp.server import LanguageServer

    from midfill_lsp.suggest.session import Session

COPILOT_KINDS = {"error": "Error", "off": "Inactive", "paused": "Inactive"}


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the requests to ``server``."""

    @server.feature("midfill/status/get")
    def status_get(_: Any) -> dict[str, Any]:
        return status(session())

    @server.feature("midfill/why")
    def why(params: dict[str, Any]) -> dict[str, Any] | None:
        found = session().suggester.why(uri_of(params))
        if found is None:
            return None
        silence, version = found
        return {"code": silence.code, "message": silence.message, "at_version": version}

    @server.feature("midfill/snooze")
    def snooze(params: dict[str, Any]) -> dict[str, Any]:
        session().suggester.switches.snooze(number(params, "minutes", 0, 7 * 24 * 60))
        send(session())
        return status(session())

    @server.feature("midfill/toggle")
    def toggle(params: dict[str, Any]) -> dict[str, Any]:
        parts = session()
        scope = text(params, "scope", ("all", "language", "workspace"))
        language = text(params, "language") if scope == "language" else None
        enabled = boolean(params, "enabled")
        now = parts.suggester.switches.toggle(parts.settings, language, enabled)
        send(parts)
        return {"enabled": now}


def status(session: Session) -> dict[str, Any]:
    """The status object of the protocol."""
    health, switches = session.backend.state, session.suggester.switches
    state, message = str(health.state), health.message
    if not switches.on(session.settings):
        state, message = "off", "Midfill is switched off."
    elif minutes := switches.snoozed_minutes():
        state, message = "paused", f"Midfill is snoozed for {minutes:.0f} more minutes."
    elif session.suggester.paused_on_battery:
        state, message = "paused", MESSAGES["battery"]
    elif state == "ready" and session.suggester.busy:
        state = "busy"
    out: dict[str, Any] = {"state": state, "message": message}
    if health.progress is not None:
        out["progress"] = round(health.progress, 2)
    if health.model:
        out |= {"model": health.model, "device": health.device}
    if (last := session.suggester.last) is not None:
        out["last"] = {"ms": round(last.ms, 1), "nfe": last.nfe, "source": last.source}
    return out


def send(session: Session) -> None:
    """Tell the client the status, and a client of the Copilot dialect in its words as well."""
    now = status(session)
    if now == session.last_status:
        return
    session.last_status = now
    session.notify("midfill/status", now)
    if session.copilot:
        session.notify(
            "didChangeStatus",
            {
                "busy": now["state"] in ("busy", "starting", "loading"),
                "message": now["message"],
                "kind": COPILOT_KINDS.get(now["state"], "Normal"),
            },
        )
