"""When not to ask at all.

Owns what the user switched off (`Switches`), what was dismissed (`Dismissals`) and the rules
that need nothing but the document and the settings. Knows no engine and no LSP types.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from midfill_lsp.suggest.silence import silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midfill_engine.wire import Silence
    from midfill_lsp.documents import Ask, DocumentSnapshot, LineEdit
    from midfill_lsp.settings import LspSettings

#: Schemes of documents that editors show but nobody types into.
READ_ONLY_SCHEMES = frozenset({"git", "output", "debug", "vscode-scm", "review", "gitlens", "pr"})


class Switches:
    """What was switched by command in this session; settings say what holds without it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._snoozed_until = 0.0
        self._all: bool | None = None
        self._languages: dict[str, bool] = {}

    def snooze(self, minutes: float) -> None:
        """Be silent for so many minutes; 0 ends it."""
        self._snoozed_until = self._clock() + minutes * 60 if minutes > 0 else 0.0

    def snoozed_minutes(self) -> float:
        """Minutes of silence left."""
        return max(0.0, (self._snoozed_until - self._clock()) / 60)

    def toggle(self, settings: LspSettings, language: str | None, enabled: bool | None) -> bool:
        """Set a switch, or turn it round when ``enabled`` is ``None``; how it stands now.

        ``language`` is ``None`` for the switch of everything.
        """
        if language is None:
            self._all = not self.on(settings) if enabled is None else enabled
            return self._all
        now = self.language_on(settings, language)
        self._languages[language] = not now if enabled is None else enabled
        return self._languages[language]

    def on(self, settings: LspSettings) -> bool:
        """Whether Midfill is on at all."""
        return settings.enabled if self._all is None else self._all

    def language_on(self, settings: LspSettings, language: str) -> bool:
        """Whether it is on for a language."""
        if language in self._languages:
            return self._languages[language]
        return settings.languages.get(language, settings.languages.get("*", True))


class _Dismissal(NamedTuple):
    line: int


class Dismissals:
    """Lines of each document whose suggestion was dismissed, until the text there changes."""

    def __init__(self) -> None:
        self._lines: dict[str, list[_Dismissal]] = {}

    def add(self, uri: str, line: int) -> None:
        """Suggest nothing on this line until it changes."""
        self._lines.setdefault(uri, []).append(_Dismissal(line))

    def holds(self, uri: str, line: int) -> bool:
        """Whether the line's suggestion was dismissed."""
        return any(d.line == line for d in self._lines.get(uri, ()))

    def changed(self, uri: str, edits: Iterable[LineEdit] | None) -> None:
        """Forget what was edited and move what stands below; ``None``: all was replaced."""
        kept = self._lines.pop(uri, [])
        for edit in edits if edits is not None else ():
            moved = edit.n_lines - (edit.last - edit.first + 1)
            kept = [
                _Dismissal(d.line + moved) if d.line > edit.last else d
                for d in kept
                if not edit.first <= d.line <= edit.last
            ]
        if kept and edits is not None:
            self._lines[uri] = kept

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self._lines.pop(uri, None)


def why_off(
    snapshot: DocumentSnapshot, settings: LspSettings, switches: Switches, *, explicit: bool
) -> Silence | None:
    """Why this document gets no suggestion at all now, or ``None``."""
    if not switches.on(settings):
        return silence("disabled")
    if not explicit and (why := _why_not_unasked(settings, switches)):
        return why
    if not switches.language_on(settings, snapshot.language_id):
        return silence("language-off")
    if urlsplit(snapshot.uri).scheme in READ_ONLY_SCHEMES:
        return silence("read-only")
    if len(snapshot.text) > settings.max_document_chars:
        return silence("too-large")
    return None


def _why_not_unasked(settings: LspSettings, switches: Switches) -> Silence | None:
    if not settings.automatic:
        return silence("disabled", "Suggestions while typing are switched off; ask for one.")
    if minutes := switches.snoozed_minutes():
        return silence("snoozed", f"Midfill is snoozed for {minutes:.0f} more minutes.")
    return None


def why_not_here(ask: Ask, *, dismissed: bool) -> Silence | None:
    """Why nobody should be disturbed at this cursor, or ``None``. Asking explicitly overrules."""
    if ask.explicit:
        return None
    if dismissed:
        return silence("dismissed")
    text, offset = ask.snapshot.text, ask.snapshot.offset
    if offset < len(text) and (text[offset].isalnum() or text[offset] == "_"):
        return silence("word-follows")
    return None
