"""A running request of a document, and whether what is typed agrees with it.

Owns `Live` and the state of one document. Knows no backend: who starts a request gives it its
task.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from midfill_lsp.suggest.newlines import Newlines
from midfill_lsp.suggest.shown import Known, Suggestion, agrees, typed_since

if TYPE_CHECKING:
    import asyncio

    from midfill_engine.wire import Silence
    from midfill_lsp.documents import Ask, DocumentSnapshot
    from midfill_lsp.suggest.trace import Answer

    Outcome = tuple[Suggestion, ...] | Silence


@dataclass(slots=True)
class Live:
    """One running request.

    ``draft`` is how its answer looked at the last denoising step, ``waiting`` counts the callers
    that want it, ``followed`` says that what was typed since agrees with it. An ``ahead`` one
    answers a question that nobody has asked yet: the document as if ``taken`` were accepted, or
    once more what was not ready in time; ``begun`` once it has waited for the typist to rest.
    """

    ask: Ask
    ahead: bool = False
    taken: Suggestion | None = None
    task: asyncio.Task[Outcome] = field(init=False)
    newlines: Newlines = field(default_factory=Newlines)
    draft: str = field(default="", repr=False)
    waiting: int = 0
    followed: bool = False
    begun: bool = False

    def follows(self, text: str) -> str | None:
        """What was typed since, if that is how the draft begins; ``None`` if it is not."""
        snapshot = self.ask.snapshot
        typed = typed_since(snapshot.text, snapshot.offset, text)
        return typed if typed is not None and agrees(typed, self.draft) else None

    def serves(self, ask: Ask) -> bool:
        """Whether its answer, or what is left of it, will answer ``ask`` as well."""
        typed = self.follows(ask.snapshot.text)
        return (
            typed is not None
            and ask.snapshot.offset == self.ask.snapshot.offset + len(typed)
            and (self.ask.explicit or not ask.explicit)
        )

    def stop(self) -> None:
        """Cancel it, which closes its connection and so ends the engine's work."""
        self.task.cancel()


@dataclass(slots=True)
class DocumentState:
    """What the suggester knows of one open document."""

    session: str
    version: int = 0
    known: Known = field(default_factory=Known)
    live: Live | None = None
    ahead: Live | None = None
    turn: int = 0
    answer: Answer | None = None
    shown_after: str = field(default="", repr=False)
    shown: str = field(default="", repr=False)

    def show(self, snapshot: DocumentSnapshot, text: str) -> None:
        """Note what is shown, and after which beginning of its line."""
        self.shown_after, self.shown = _line_before(snapshot), text

    def expected(self, snapshot: DocumentSnapshot) -> str:
        """What the middle probably is: the rest of what is shown, if it is typed along.

        It is of use where the text around has changed, so that the answer is not simply known.
        """
        line = _line_before(snapshot)
        typed = line[len(self.shown_after) :]
        if line.startswith(self.shown_after) and self.shown.startswith(typed):
            return self.shown[len(typed) :]
        return ""

    def stop(self) -> None:
        """End all work for this document."""
        self.stop_live()
        self.stop_ahead()

    def stop_live(self) -> None:
        """End the running request."""
        live, self.live = self.live, None
        if live is not None:
            live.stop()

    def stop_ahead(self) -> None:
        """End what was begun ahead."""
        ahead, self.ahead = self.ahead, None
        if ahead is not None:
            ahead.stop()

    def changed(self, text: str) -> None:
        """Stop what a change makes pointless."""
        if self.live is not None:
            typed = self.live.follows(text)
            if typed is None:
                self.stop_live()
            elif typed:
                self.live.followed = True
        if self.ahead is not None and not self.ahead_of(text):
            self.stop_ahead()

    def ahead_of(self, text: str) -> bool:
        """Whether the text may still become the one that was begun ahead."""
        if self.ahead is None:
            return False
        if self.ahead.taken is None:
            return self.ahead.follows(text) is not None
        future, taken = self.ahead.ask.snapshot, self.ahead.taken
        if text == future.text:
            return True
        start = future.offset - len(taken.text)
        original = future.text[:start] + future.text[future.offset :]
        typed = typed_since(original, start, text)
        return typed is not None and agrees(typed, taken.text)


def _line_before(snapshot: DocumentSnapshot) -> str:
    text, offset = snapshot.text, snapshot.offset
    return text[text.rfind("\n", 0, offset) + 1 : offset]
