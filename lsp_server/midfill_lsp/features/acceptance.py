"""What the user did with a suggestion: shown, accepted, accepted in part, dismissed.

Owns these messages and the command `midfill.accepted`. The journal keeps the outcomes.
"""

from __future__ import annotations

import asyncio
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from midfill_lsp.features.inline_completion import ACCEPTED_COMMAND
from midfill_lsp.features.parameters import number, position, text, uri_of
from midfill_lsp.journal import PERSISTENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygls.lsp.server import LanguageServer

    from midfill_lsp.suggest.session import Session

PARTS = ("all", "word", "line", "sure")


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the command and the notifications to ``server``."""

    @server.command(ACCEPTED_COMMAND)
    def accepted(*arguments: Any) -> None:
        # The editor has inserted the text already: nothing here may fail in its face.
        first = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
        if isinstance(suggestion_id := first.get("id"), str):
            accept(session(), suggestion_id)

    @server.feature("midfill/didShow")
    def did_show(params: dict[str, Any]) -> None:
        session().journal.shown(text(params, "id"))

    @server.feature("midfill/didAccept")
    def did_accept(params: dict[str, Any]) -> None:
        kind, length = text(params, "kind", PARTS), int(number(params, "length", 0, 2**31))
        if kind == "all":
            accept(session(), text(params, "id"), length)
        else:
            session().journal.accepted(text(params, "id"), kind, length)

    @server.feature("midfill/didDismiss")
    def did_dismiss(params: dict[str, Any]) -> None:
        uri, (line, _) = uri_of(params), position(params)
        suggestion_id = params.get("id")
        known = suggestion_id if isinstance(suggestion_id, str) else session().newest.get(uri, "")
        session().suggester.dismiss(uri, line, known)
        session().journal.dismissed(known)


def accept(session: Session, suggestion_id: str, length: int | None = None) -> None:
    """Note an acceptance and look later whether the text stayed."""
    offer = session.offers.pop(suggestion_id, None)
    taken = length if length is not None else (offer.length if offer else 0)
    session.journal.accepted(suggestion_id, "all", taken)
    if offer is None or not offer.text.strip():
        return
    loop = asyncio.get_running_loop()
    for after_s in PERSISTENCE_S:
        loop.call_later(
            after_s, _look_again, session, suggestion_id, offer.uri, offer.text, after_s
        )


def _look_again(session: Session, suggestion_id: str, uri: str, taken: str, after_s: int) -> None:
    document = session.documents.get(uri)
    if document is not None:
        session.journal.persisted(suggestion_id, after_s, kept_share(taken, document.text))


def kept_share(taken: str, document: str) -> float:
    """How much of an accepted text is still in the document, line by line, from 0 to 1."""
    there = {line.strip() for line in document.splitlines()}
    lines = [line.strip() for line in taken.splitlines() if line.strip()]
    total = sum(map(len, lines))
    kept = sum(
        len(line) * max((_likeness(line, other) for other in there), default=0.0) for line in lines
    )
    return kept / total if total else 0.0


def _likeness(line: str, other: str) -> float:
    if line in other:
        return 1.0
    if abs(len(line) - len(other)) > len(line) // 2:
        return 0.0
    matcher = SequenceMatcher(None, line, other, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() > 0.5 else 0.0
