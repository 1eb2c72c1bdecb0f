"""The dialect of the Copilot language server, as far as its clients depend on it.

Owns the three notifications that such clients send; they say what `midfill/didShow` and
`midfill/didAccept` say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygls.lsp.server import LanguageServer

    from midfill_lsp.suggest.session import Session


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the notifications to ``server``."""

    @server.feature("textDocument/didFocus")
    def did_focus(params: Any) -> None:
        document = params.get("textDocument") if isinstance(params, dict) else None
        if isinstance(document, dict) and isinstance(uri := document.get("uri"), str):
            session().documents.touch(uri)

    @server.feature("textDocument/didShowCompletion")
    def did_show(params: Any) -> None:
        session().journal.shown(item_id(params))

    @server.feature("textDocument/didPartiallyAcceptCompletion")
    def did_accept_partly(params: Any) -> None:
        length = params.get("acceptedLength") if isinstance(params, dict) else None
        if isinstance(length, int):
            session().journal.accepted(item_id(params), "word", length)


def item_id(params: Any) -> str:
    """The identifier in an item's acceptance command; the empty string if there is none."""
    try:
        return str(params["item"]["command"]["arguments"][0]["id"])
    except (KeyError, IndexError, TypeError):
        return ""
