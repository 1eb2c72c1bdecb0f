"""`midfill/fillHoles`: every `___` in a range is filled, from the first to the last.

Owns what a hole is and the order of filling: each one sees what was put into those before it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from midfill_engine.wire import Silence
from midfill_lsp.documents import Ask, DocumentSnapshot
from midfill_lsp.features.inline_completion import edit_range
from midfill_lsp.features.parameters import position, uri_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygls.lsp.server import LanguageServer

    from midfill_lsp.suggest.session import Session

HOLE = re.compile(r"(?<!\w)___(?!\w)")


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the request to ``server``."""

    @server.feature("midfill/fillHoles")
    async def fill_holes(params: dict[str, Any]) -> types.WorkspaceEdit | None:
        uri = uri_of(params)
        start, end = position(params.get("range"), "start"), position(params.get("range"), "end")
        return await fill(session(), uri, start, end)


async def fill(
    session: Session, uri: str, start: tuple[int, int], end: tuple[int, int]
) -> types.WorkspaceEdit | None:
    """Fill the holes between two positions; ``None`` when nothing was filled."""
    document = session.documents.get(uri)
    if document is None:
        return None
    index, encoding = document.index, session.documents.encoding
    low, high = index.offset(*start, encoding), index.offset(*end, encoding)
    snapshot = document.snapshot(*start, encoding)
    middles = await _middles(session, snapshot, low, high)
    if not middles or document.version != snapshot.version:
        return None
    edits = [
        types.TextEdit(range=edit_range(index, at, at + 3, encoding), new_text=middle)
        for at, middle in middles
    ]
    return types.WorkspaceEdit(changes={uri: edits})


async def _middles(
    session: Session, snapshot: DocumentSnapshot, low: int, high: int
) -> list[tuple[int, str]]:
    """(offset in the original text, middle) of each hole that was filled."""
    text, shift, filled = snapshot.text, 0, []
    for hole in HOLE.finditer(snapshot.text, low, high):
        at = hole.start() + shift
        emptied = text[:at] + text[at + 3 :]
        ask = Ask(replace(snapshot, text=emptied, offset=at), explicit=True)
        outcome = await session.suggester.suggest(ask)
        if isinstance(outcome, Silence):
            if outcome.code == "stale":
                return []
            continue
        middle = outcome[0].text
        filled.append((hole.start(), middle))
        text = text[:at] + middle + text[at + 3 :]
        shift += len(middle) - 3
    return filled
