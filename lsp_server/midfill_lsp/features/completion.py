"""`textDocument/completion`: the same suggestions in the ordinary menu, for editors without ghosts.

Owns the form of a menu entry: labelled by the word before the cursor and the first suggested
line, whole text in the documentation. The list is incomplete, so that editors ask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from midfill_engine.wire import Silence
from midfill_lsp.features.inline_completion import acceptance, edit_range, span, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygls.lsp.server import LanguageServer

    from midfill_lsp.documents import Ask
    from midfill_lsp.suggest.session import Session
    from midfill_lsp.suggest.shown import Suggestion

TRIGGERS = (".", "(", "[", "{", "=", ",", " ")


def options() -> types.CompletionOptions:
    """What is advertised when the setting is on."""
    return types.CompletionOptions(trigger_characters=list(TRIGGERS))


def register(server: LanguageServer, session: Callable[[], Session]) -> None:
    """Add the feature to ``server``; called only where the setting is on."""

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, options())
    async def completion(ask: Ask | None) -> types.CompletionList | None:
        parts = session()
        if ask is None or not parts.settings.completion.enabled:
            return None
        outcome = await suggest(parts, ask)
        if isinstance(outcome, Silence):
            return types.CompletionList(is_incomplete=True, items=[])
        return types.CompletionList(
            is_incomplete=True, items=[_entry(parts, ask, suggestion) for suggestion in outcome]
        )


def _entry(session: Session, ask: Ask, suggestion: Suggestion) -> types.CompletionItem:
    start, end, lead = span(ask, suggestion)
    text, language = lead + suggestion.text, ask.snapshot.language_id
    first_line = text.strip("\r\n").splitlines()[0] if text.strip("\r\n") else text
    document = session.documents.get(ask.snapshot.uri)
    edit = None
    if document is not None:
        where = edit_range(document.index, start, end, session.documents.encoding)
        edit = types.TextEdit(range=where, new_text=text)
    return types.CompletionItem(
        label=first_line.strip() or first_line,
        detail="Midfill",
        documentation=types.MarkupContent(types.MarkupKind.Markdown, f"```{language}\n{text}\n```"),
        kind=types.CompletionItemKind.Snippet,
        filter_text=lead + first_line[len(lead) :],
        sort_text="\u0000",
        insert_text_format=types.InsertTextFormat.PlainText,
        # Otherwise clients indent the later lines once more.
        insert_text_mode=types.InsertTextMode.AsIs,
        text_edit=edit,
        command=acceptance(lead, suggestion),
    )
