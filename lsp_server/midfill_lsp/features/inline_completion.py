"""`textDocument/inlineCompletion`: from a frozen question to items.

Owns the form of an item: text from the start of the word, a range on one line, the acceptance
command with the confidences in UTF-16 units. Decides nothing about suggestions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from midfill_engine.wire import Silence
from midfill_lsp.documents import units
from midfill_lsp.suggest.session import Offer
from midfill_lsp.suggest.silence import silence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pygls.lsp.server import LanguageServer

    from midfill_engine.wire import Draft, Token
    from midfill_lsp.documents import Ask, DocumentStore, LineIndex
    from midfill_lsp.suggest.live import Live
    from midfill_lsp.suggest.session import Session
    from midfill_lsp.suggest.shown import Suggestion

ACCEPTED_COMMAND = "midfill.accepted"


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the feature to ``server``; with options, for else it is not advertised."""

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(ask: Ask | None) -> types.InlineCompletionList | None:
        if ask is None:
            return None
        return await complete(session(), ask)


async def complete(session: Session, ask: Ask) -> types.InlineCompletionList | None:
    """Answer one question; ``None`` for an expected silence, whose reason is told apart."""
    outcome = await suggest(session, ask)
    if isinstance(outcome, Silence):
        return None
    document = session.documents.get(ask.snapshot.uri)
    if document is None:
        return None
    index, encoding = document.index, session.documents.encoding
    items = [_item(ask, suggestion, index, encoding) for suggestion in outcome]
    return types.InlineCompletionList(items=items)


async def suggest(session: Session, ask: Ask) -> tuple[Suggestion, ...] | Silence:
    """Suggestions as they will be offered, journaled; or the silence, told to the client."""
    snapshot = ask.snapshot
    stale = ask.claimed_version is not None and ask.claimed_version != snapshot.version
    outcome = silence("stale") if stale else await session.suggester.suggest(with_entry(ask))
    if not isinstance(outcome, Silence) and ask.selected is not None:
        fitting = tuple(f for s in outcome if (f := _inside(s, ask)) is not None)
        outcome = fitting or silence("repeats-suffix")
    if isinstance(outcome, Silence):
        session.notify(
            "midfill/silence",
            {
                "uri": snapshot.uri,
                "version": snapshot.version,
                "code": outcome.code,
                "message": outcome.message,
            },
        )
        return outcome
    offered = outcome if ask.explicit else outcome[:1]
    _journal(session, ask, offered)
    return tuple(s.with_lf() for s in offered) if session.lf_only else offered


def with_entry(ask: Ask) -> Ask:
    """The question as if the highlighted menu entry had been taken."""
    entry, snapshot = ask.selected, ask.snapshot
    if entry is None:
        return ask
    text = snapshot.text[: entry.start] + entry.text + snapshot.text[entry.end :]
    cursor = entry.start + len(entry.text)
    return replace(ask, snapshot=replace(snapshot, text=text, offset=cursor))


def span(ask: Ask, suggestion: Suggestion) -> tuple[int, int, str]:
    """What an item replaces, and the text of it that is there already or comes from the menu.

    From the start of the word, so that what is typed over it goes on matching, to the end of
    the text that the suggestion replaces.
    """
    if ask.selected is not None:
        return ask.selected.start, ask.selected.end, ask.selected.text
    text, offset = ask.snapshot.text, ask.snapshot.offset
    start = offset
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return start, offset + suggestion.replace_after, text[start:offset]


def acceptance(lead: str, suggestion: Suggestion) -> types.Command:
    """The command that a client runs after inserting: the only standard acceptance hook."""
    known = [[units(lead), 1.0]] if lead else []
    arguments = {
        "id": suggestion.id,
        "tokens": known + token_units(suggestion.tokens),
        "sure": units(lead) + units(suggestion.text[: suggestion.sure]),
        "ms": round(suggestion.ms, 1),
        "nfe": suggestion.nfe,
        "source": suggestion.source,
    }
    return types.Command(title="Accepted", command=ACCEPTED_COMMAND, arguments=[arguments])


def token_units(tokens: Sequence[Token]) -> list[list[float]]:
    """[UTF-16 length, confidence] of each token that has a text."""
    return [[units(t.text), round(t.confidence, 4)] for t in tokens if t.text]


def draft_message(live: Live, draft: Draft, documents: DocumentStore) -> dict[str, Any] | None:
    """A `midfill/draft`; ``None`` when nobody looks at that state of the document."""
    ask, document = live.ask, documents.get(live.ask.snapshot.uri)
    if document is None or document.version != ask.snapshot.version:
        return None
    if live.ahead or ask.selected is not None:
        return None
    line, character = document.index.position(ask.snapshot.offset, documents.encoding)
    tokens = [(live.newlines.restored(t.text), t) for t in draft.tokens]
    return {
        "uri": ask.snapshot.uri,
        "version": ask.snapshot.version,
        "position": {"line": line, "character": character},
        "text": "".join(text for text, _ in tokens),
        "tokens": [[units(text), round(t.confidence, 4), int(t.committed)] for text, t in tokens],
        "step": draft.step,
    }


def late_message(live: Live, documents: DocumentStore) -> dict[str, Any] | None:
    """A `midfill/late`; ``None`` when the document is not, or no more, as the question had it."""
    snapshot, document = live.ask.snapshot, documents.get(live.ask.snapshot.uri)
    if document is None or document.text != snapshot.text:
        return None
    line, character = document.index.position(snapshot.offset, documents.encoding)
    return {
        "uri": snapshot.uri,
        "version": snapshot.version,
        "position": {"line": line, "character": character},
    }


def edit_range(index: LineIndex, start: int, end: int, encoding: Any) -> types.Range:
    """A range between two offsets in the client's units."""
    return types.Range(
        types.Position(*index.position(start, encoding)),
        types.Position(*index.position(end, encoding)),
    )


def _item(
    ask: Ask, suggestion: Suggestion, index: LineIndex, encoding: Any
) -> types.InlineCompletionItem:
    start, end, lead = span(ask, suggestion)
    return types.InlineCompletionItem(
        insert_text=lead + suggestion.text,
        range=edit_range(index, start, end, encoding),
        command=acceptance(lead, suggestion),
    )


def _inside(suggestion: Suggestion, ask: Ask) -> Suggestion | None:
    """The suggestion without replacing what follows: a menu entry's range is not ours to widen."""
    length = suggestion.replace_after
    if not length or ask.selected is None:
        return suggestion
    end = ask.selected.end
    replaced = ask.snapshot.text[end : end + length]
    if not suggestion.text.endswith(replaced):
        return None
    return suggestion.cut(len(suggestion.text) - length)


def _journal(session: Session, ask: Ask, offered: Sequence[Suggestion]) -> None:
    uri = ask.snapshot.uri
    before = session.newest.get(uri)
    if before is not None and before != offered[0].id:
        session.journal.replaced(before)
    session.newest[uri] = offered[0].id
    for suggestion in offered:
        session.offer(suggestion.id, Offer(uri, suggestion.text))
        session.journal.offered(
            suggestion.id,
            version=ask.snapshot.version,
            language=ask.snapshot.language_id,
            trigger="explicit" if ask.explicit else "automatic",
            chars=len(suggestion.text),
            lines=suggestion.text.count("\n") + 1,
            ms=round(suggestion.ms, 1),
            nfe=suggestion.nfe,
            source=suggestion.source,
        )
