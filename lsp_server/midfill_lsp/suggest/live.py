"""A running request of a document, whether what is typed agrees with it, and when to begin one.

Owns `Live` and the state of one document. Knows no backend: who starts a request gives it its
task.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from midfill_lsp.suggest.newlines import Newlines
from midfill_lsp.suggest.shown import AUTO_CLOSED, Known, Suggestion, agrees, typed_since

if TYPE_CHECKING:
    import asyncio

    from midfill_engine.wire import Silence
    from midfill_lsp.documents import Ask, DocumentSnapshot
    from midfill_lsp.suggest.trace import Answer

    Outcome = tuple[Suggestion, ...] | Silence


#: Seconds after which a typist is taken to rest: the next key mostly comes sooner.
RESTED_S = 0.2
#: Where answers take long, a rest must be as many times as long, but no longer than this.
RESTS, LONG_REST_S = 5, 1.0
#: Milliseconds in which the question after a miss is answered: few pauses between keys are shorter.
#: Each key that has agreed since adds as many; on a line without a miss one is taken to have. No
#: answer takes longer from its first draft on: that one decides whether the next key agrees, and
#: what is written for longer the key after it mostly throws away.
HURRIED_MS = 120


@dataclass(slots=True)
class Live:
    """One running request.

    ``draft`` is how its answer looked at the last denoising step, ``waiting`` counts the callers
    that want it, ``typed`` is what was typed since it was asked and ``followed`` says that some of
    it came after the last caller. ``compared`` says that the backend holds its drafts against what
    it is ``told`` was typed, ``broken`` that one went another way. An ``ahead`` one answers a
    question that nobody has asked yet: the document as if ``taken`` were accepted, or once more
    what was not ready in time; ``begun`` once it has waited for the typist to rest.
    """

    ask: Ask
    ahead: bool = False
    taken: Suggestion | None = None
    task: asyncio.Task[Outcome] = field(init=False)
    newlines: Newlines = field(default_factory=Newlines)
    draft: str = field(default="", repr=False)
    waiting: int = 0
    typed: str = field(default="", repr=False)
    followed: bool = False
    compared: bool = False
    told: bool = False
    broken: bool = False
    begun: bool = False

    @property
    def again(self) -> bool:
        """Whether it asks once more what was not ready in time."""
        return self.ahead and self.taken is None

    def follows(self, text: str) -> str | None:
        """What was typed since, if that is how the draft begins; ``None`` if it is not."""
        snapshot = self.ask.snapshot
        typed = typed_since(snapshot.text, snapshot.offset, text)
        return typed if typed is not None and self.leaves(typed) else None

    def leaves(self, typed: str) -> bool:
        """Whether the draft says something behind ``typed``, so that it is worth going on.

        The first draft decides, too, where the backend compares it before it goes on.
        """
        if not typed or (self.compared and not self.draft):
            return True
        return len(self.draft) > len(typed) and agrees(typed, self.draft)

    def serves(self, ask: Ask) -> bool:
        """Whether its answer, or what is left of it, will answer ``ask`` as well."""
        typed = self.follows(ask.snapshot.text)
        if typed is None or (ask.explicit and not self.ask.explicit):
            return False
        behind = self.ask.snapshot.offset + len(typed) - ask.snapshot.offset
        return behind == 0 or (behind == 1 and typed[-1] in AUTO_CLOSED)

    def stop(self) -> None:
        """Cancel it, which closes its connection and so ends the engine's work."""
        self.task.cancel()


@dataclass(slots=True)
class DocumentState:
    """What the suggester knows of one open document.

    ``read`` is the line of the last draft, ``agreed`` how many keys have agreed there since one
    threw work away, ``took_s`` how long the last request took.
    """

    session: str
    version: int = 0
    known: Known = field(default_factory=Known)
    live: Live | None = None
    ahead: Live | None = None
    turn: int = 0
    read: int | None = None
    agreed: int = 1
    took_s: float = 0.0
    answer: Answer | None = None
    shown_after: str = field(default="", repr=False)
    shown: str = field(default="", repr=False)

    def awaits(self, ask: Ask, turn: int) -> bool:
        """Whether ``ask``, the question number ``turn``, is the newest and the text still its."""
        return self.turn == turn and self.version == ask.snapshot.version

    def show(self, snapshot: DocumentSnapshot, text: str) -> None:
        """Note what is shown, and after which beginning of its line."""
        self.shown_after, self.shown = _line_before(snapshot), text

    def rest_s(self, live: Live) -> float:
        """Seconds without a key after which ``live`` may begin.

        Behind what takes as long as the pause between two keys the next one mostly comes too soon.
        What is read of a context that is new is not lost by that.
        """
        if not live.ahead:
            return 0.0
        reads = live.again and self.read != live.ask.line
        return RESTED_S if reads else min(max(RESTED_S, RESTS * self.took_s), LONG_REST_S)

    def budget_ms(self, live: Live, budget_ms: int) -> int:
        """Milliseconds of ``budget_ms`` that ``live`` may take.

        Until keys have agreed the next one mostly throws away what is not ready when it comes. The
        answer is then what is settled by that time; a machine that answers between two keys is done
        before. Reading a context that is new takes its time, and so does who asks explicitly.
        """
        if live.ahead or live.ask.explicit or self.read != live.ask.line:
            return budget_ms
        return min(budget_ms, HURRIED_MS * (1 + self.agreed))

    def agree(self) -> None:
        """Note a key that is how a draft or what is shown goes on."""
        self.agreed += 1

    def miss(self, live: Live) -> None:
        """Note a key that threw away what was written; what was read is no loss."""
        if live.begun and (live.draft or self.read == live.ask.line):
            self.agreed = 0

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
            if typed is not None:
                self.live.typed, self.live.followed = typed, True
                if typed and self.live.draft:
                    self.agree()
            else:
                self.miss(self.live)
                self.stop_live()
        if self.ahead is not None and not self.ahead_of(text):
            self.stop_ahead()

    def drafted(self, live: Live, draft: str) -> None:
        """Take a draft of ``live``; stop it where that goes another way than the typist."""
        first, live.draft = not live.draft, draft
        if live.taken is None and self.read != live.ask.line:
            self.read, self.agreed = live.ask.line, 1
        if live is not self.live or not live.typed:
            return
        if not live.leaves(live.typed):
            live.broken = True
            self.miss(live)
            self.stop_live()
        elif first:
            self.agree()

    def refused(self, live: Live) -> None:
        """Note that the backend has ended ``live``: it does not agree with what was typed."""
        live.broken = True
        self.miss(live)
        if self.live is live:
            self.live = None  # the key may have been taken back, and the same be asked again

    def left(self, live: Live) -> None:
        """Stop ``live`` if nobody wants it: its caller left, and no key that agrees came since."""
        if not live.waiting and not live.followed:
            live.stop()
            if self.live is live:
                self.live = None

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
