"""From a question at a cursor to suggestions: one live request a document.

Owns the order of things: what is known, why not to ask, stop the predecessor, ask, shape,
remember, and what is asked ahead. Knows neither LSP types nor transports; what it needs of
context, shape and backend is handed to it. Stands between the features and the backend in a
keystroke's walk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from midfill_engine.wire import (
    DEFAULT_STRATEGY,
    GROWING_STRATEGY,
    Fill,
    FillRequest,
    MidfillError,
    Silence,
)
from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.documents import Ask
from midfill_lsp.suggest import newlines
from midfill_lsp.suggest.live import HURRIED_MS, DocumentState, Live
from midfill_lsp.suggest.shown import Suggestion, certain
from midfill_lsp.suggest.silence import silence
from midfill_lsp.suggest.trace import Answer, Traces
from midfill_lsp.suggest.trigger import Dismissals, Switches, why_not_here, why_off

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from midfill_engine.wire import Draft, Middle
    from midfill_lsp.backend.base import Backend
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.documents import DocumentSnapshot, LineEdit
    from midfill_lsp.settings import LspSettings
    from midfill_lsp.shape.pipeline import Shaped

log = logging.getLogger(__name__)

Outcome = tuple[Suggestion, ...] | Silence

#: How often the engine may go on with what was not ready in time; a processor reads a long context
#: for several seconds.
TRIES = 4

#: Seconds in which a key may follow the cancel of the question before it: editors that cancel first
#: send the change next, which says whether the work goes on.
FOLLOWED_WITHIN_S = 0.01


class Surroundings(Protocol):
    """What the suggester needs of context and shape, for one workspace."""

    def why_excluded(self, snapshot: DocumentSnapshot, settings: LspSettings) -> Silence | None:
        """Why the text of this document may not be used."""
        ...

    def window(self, snapshot: DocumentSnapshot, settings: LspSettings) -> ContextWindow:
        """The text around the cursor that the model is shown."""
        ...

    def single_line(self, window: ContextWindow) -> bool:
        """Whether only the rest of the cursor's line is asked for."""
        ...

    def shape(
        self, middle: Middle, window: ContextWindow, settings: LspSettings, *, explicit: bool
    ) -> Shaped | Silence:
        """The middle as it may be shown."""
        ...


class Suggester:
    """Answers questions for all documents of one editor.

    Parameters
    ----------
    backend
        Where middles come from.
    surroundings
        Context, privacy and shape; asked for when they are first needed.
    settings
        The settings as they are now.
    on_draft
        Told each denoising step of a live request.
    on_late
        Told when what was not ready in time is known, and the text is still the same.
    on_work
        Told when `busy` may have changed.
    on_battery
        Whether the machine runs on battery.
    """

    def __init__(
        self,
        backend: Backend,
        surroundings: Callable[[], Surroundings],
        settings: Callable[[], LspSettings],
        *,
        on_draft: Callable[[Live, Draft], None] = lambda *_: None,
        on_late: Callable[[Live], None] = lambda _: None,
        on_work: Callable[[], None] = lambda: None,
        on_battery: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend, self._surroundings, self._settings = backend, surroundings, settings
        self._on_draft, self._on_late = on_draft, on_late
        self._on_work, self._on_battery = on_work, on_battery
        self._clock = clock
        self._documents: dict[str, DocumentState] = {}
        self._running = 0
        self.switches = Switches()
        self.dismissals = Dismissals()
        self.traces = Traces(clock)
        self.last: Suggestion | None = None

    async def suggest(self, ask: Ask) -> Outcome:
        """Suggestions at a cursor, best first, or why there are none.

        Cancelling this call stops the work behind it, unless what was typed meanwhile agrees
        with it.
        """
        began = self._clock()
        document = self._document(ask.snapshot.uri)
        self._leave_others(document)
        document.turn += 1
        turn = document.turn
        # The change after this question may have been read before this task began.
        stale = document.version > ask.snapshot.version
        document.version = max(document.version, ask.snapshot.version)
        outcome = silence("stale") if stale else await self._outcome(ask, document, turn)
        if not document.awaits(ask, turn):
            outcome = silence("stale")
        ms = (self._clock() - began) * 1000
        if document.turn == turn:
            document.answer = Answer(
                ask.snapshot.uri, ask.snapshot.version, ask.line, ask.explicit, outcome, ms
            )
        if isinstance(outcome, Silence):
            log.debug("silence", extra={"f": {"code": outcome.code}})
            if outcome.code == "deadline" and not ask.explicit:
                self._try_again(ask, document)
            return outcome
        timed = tuple(replace(suggestion, ms=ms) for suggestion in outcome)
        self.last = timed[0]
        document.show(ask.snapshot, timed[0].text)
        self._on_work()
        if timed[0].hurried:
            self._try_again(ask, document)
        elif not ask.explicit:
            self._look_ahead(ask, timed[0], document)
        return timed

    @property
    def busy(self) -> bool:
        """Whether somebody waits for the backend."""
        return self._running > 0

    def _strategy(self) -> str:
        """How middles are decoded now: no search on battery, where forwards cost charge."""
        strategy = self._settings().strategy
        saves = strategy == DEFAULT_STRATEGY and self._on_battery()
        return GROWING_STRATEGY if saves else strategy

    @property
    def paused_on_battery(self) -> bool:
        """Whether the user wants no suggestions while typing now."""
        return self._settings().pause_on_battery and self._on_battery()

    def why(self, uri: str) -> tuple[Silence, int] | None:
        """Why the last question about a document was answered by nothing, at which version."""
        answer = self.answer(uri)
        if answer is None or not isinstance(answer.outcome, Silence):
            return None
        return answer.outcome, answer.version

    def answer(self, uri: str) -> Answer | None:
        """How the last question about a document was answered."""
        document = self._documents.get(uri)
        return document.answer if document is not None else None

    def changed(self, uri: str, version: int, text: str, edits: Sequence[LineEdit] | None) -> None:
        """A document changed: stop what the change makes pointless."""
        self.dismissals.changed(uri, edits)
        document = self._document(uri)
        document.version = version
        document.changed(text)
        live = document.live
        if live is not None and live.compared and (live.typed or live.told):
            live.told = True
            typed = newlines.lf(certain(live.typed))
            self.backend.typed(document.session, live.ask.snapshot.version, typed)

    def closed(self, uri: str) -> None:
        """Forget a document and stop its work."""
        self.dismissals.closed(uri)
        self.traces.closed(uri)
        document = self._documents.pop(uri, None)
        if document is not None:
            document.stop()

    def dismiss(self, uri: str, line: int, suggestion_id: str = "") -> None:
        """Suggest nothing on this line until it changes."""
        document = self._document(uri)
        document.stop()
        document.known.forget(suggestion_id)
        self.dismissals.add(uri, line)

    def forget(self) -> None:
        """Drop what is known of all documents: settings changed."""
        for document in self._documents.values():
            document.stop_ahead()
            document.known.clear()

    async def close(self) -> None:
        """Stop all work."""
        lives = [live for d in self._documents.values() for live in (d.live, d.ahead) if live]
        for live in lives:
            live.stop()
        await asyncio.gather(*(live.task for live in lives), return_exceptions=True)

    def _leave_others(self, document: DocumentState) -> None:
        """End what was begun ahead elsewhere: nobody types there now."""
        for other in self._documents.values():
            if other is not document:
                other.stop_ahead()

    def _document(self, uri: str) -> DocumentState:
        # The session is no function of the path, which the engine need not know.
        return self._documents.setdefault(uri, DocumentState(session=uuid4().hex))

    async def _outcome(self, ask: Ask, document: DocumentState, turn: int) -> Outcome:
        settings, snapshot = self._settings(), ask.snapshot
        why = why_off(snapshot, settings, self.switches, explicit=ask.explicit) or why_not_here(
            ask, dismissed=self.dismissals.holds(snapshot.uri, ask.line)
        )
        if why is not None:
            document.stop()
            return why
        if not ask.explicit:
            if known := document.known.find(snapshot.text, snapshot.offset):
                document.stop_live()
                if known[0].typed:
                    document.agree()
                return known
            if self.paused_on_battery:
                return silence("battery")
        return await self._asked(ask, document, turn)

    async def _asked(self, ask: Ask, document: DocumentState, turn: int) -> Outcome:
        """Ask, or wait for a running request that will answer this question as well."""
        if (ahead := document.ahead) is not None and ahead.begun and ahead.serves(ask):
            document.stop_live()
            document.live, document.ahead = ahead, None
            ahead.typed = ask.snapshot.text[ahead.ask.snapshot.offset : ask.snapshot.offset]
        live = document.live
        if live is not None and live.serves(ask):
            budget_ms = _budget_ms(self._settings(), patient=ask.explicit)
            try:
                outcome = await self._await(live, document, budget_ms / 1000)
            except TimeoutError:  # it was begun with a larger one
                return silence("deadline")
            stopped = isinstance(outcome, Silence) and outcome.code == "stale" and not live.broken
            anew = live.typed or live.broken
            if stopped or not document.awaits(ask, turn) or not anew:
                return outcome
            # It was for an earlier cursor, and may differ from what its drafts promised.
            rest = document.known.find(ask.snapshot.text, ask.snapshot.offset)
            if rest:
                return rest
        return await self._await(self._start(Live(ask), document), document)

    def _start(self, live: Live, document: DocumentState) -> Live:
        """Start a request in place of what runs for the document."""
        document.stop()
        work = self._fill_late(live, document) if live.again else self._fill(live, document)
        live.task = asyncio.get_running_loop().create_task(work)
        if live.ahead:
            document.ahead = live
        else:
            document.live = live
        return live

    async def _await(
        self, live: Live, document: DocumentState, budget_s: float | None = None
    ) -> Outcome:
        live.waiting += 1
        live.followed = False
        try:
            async with asyncio.timeout(budget_s):
                return await asyncio.shield(live.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or not current.cancelling():
                return silence("stale")  # a change or a successor stopped it
            loop = asyncio.get_running_loop()
            loop.call_later(FOLLOWED_WITHIN_S, document.left, live)
            raise
        finally:
            live.waiting -= 1
            if live.task.done() and document.live is live:
                document.live = None

    def _try_again(self, ask: Ask, document: DocumentState) -> None:
        """Let the engine go on with what was not ready in time, while the typist rests.

        The next key then finds the context read, or even the answer; who rests on is told of it,
        where nothing is shown or the beginning of it.
        """
        if self._may_look_ahead and document.live is None:
            self._start(Live(replace(ask, selected=None), ahead=True), document)

    @property
    def _may_look_ahead(self) -> bool:
        ready = self.backend.state.state == "ready"
        return ready and self._settings().speculate and not self._on_battery()

    def _look_ahead(self, ask: Ask, suggestion: Suggestion, document: DocumentState) -> None:
        """Ask for what follows a suggestion before it is accepted, if all of it is sure.

        What is not sure is mostly typed over, and the work thrown away.
        """
        if not self._may_look_ahead or suggestion.sure < len(suggestion.text):
            return
        snapshot = ask.snapshot
        after = snapshot.offset + suggestion.replace_after
        text = snapshot.text[: snapshot.offset] + suggestion.text + snapshot.text[after:]
        offset = snapshot.offset + len(suggestion.text)
        if document.known.find(text, offset) or document.ahead_of(text):
            return
        future = Ask(replace(snapshot, text=text, offset=offset))
        self._start(Live(future, ahead=True, taken=suggestion), document)

    async def _fill_late(self, live: Live, document: DocumentState) -> Outcome:
        outcome: Outcome = silence("deadline")
        for _ in range(TRIES):
            outcome = await self._fill(live, document)
            if not (isinstance(outcome, Silence) and outcome.code == "deadline"):
                break
        unchanged = document.version == live.ask.snapshot.version
        shown = document.expected(live.ask.snapshot)
        # What stands under the eyes of the typist may grow, and changes in no other way.
        says = "" if isinstance(outcome, Silence) else outcome[0].text
        grows = says.startswith(shown) and len(says) > len(shown)
        if grows and document.ahead is live and unchanged:
            self._on_late(live)
        return outcome

    async def _fill(self, live: Live, document: DocumentState) -> Outcome:
        """Ask the backend and shape what it says."""
        settings, snapshot = self._settings(), live.ask.snapshot
        if rest_s := document.rest_s(live):
            await asyncio.sleep(rest_s)
        live.begun = True
        surroundings = self._surroundings()
        why = surroundings.why_excluded(snapshot, settings)
        if why is not None:
            return why
        window = surroundings.window(snapshot, settings)
        if (why := _why_not_in(window.scope.kind, settings)) and not live.ask.explicit:
            return why
        live.newlines = newlines.Newlines.of(window)
        draft = "" if live.ahead or live.ask.explicit else document.expected(snapshot)
        # What is asked for ahead is once a question, too, and is not waited for longer.
        patient = live.ask.explicit or live.again
        whole_ms = _budget_ms(settings, patient=patient)
        budget_ms = document.budget_ms(live, whole_ms)
        request = replace(
            _request(live, newlines.plain(window), document.session, settings),
            budget_ms=budget_ms,
            writing_ms=None if patient else HURRIED_MS,
            draft=newlines.lf(draft),
            single_line=not settings.multiline or surroundings.single_line(window),
            strategy=self._strategy(),
        )
        live.compared = self.backend.compares
        trace = self.traces.begin(live.ask, request, ahead=live.ahead)

        def on_draft(draft: Draft) -> None:
            trace.step(draft)
            document.drafted(live, live.newlines.restored(draft.text))
            self._on_draft(live, draft)

        began = self._clock()
        try:
            fill = await self._counted(live, self.backend.fill(request, on_draft))
        except EngineUnavailable as error:
            return Silence(error.silence, str(error))
        except MidfillError as error:
            log.warning("fill refused", extra={"f": {"code": error.code}})
            return silence("engine-down", str(error))
        document.took_s = self._clock() - began
        if fill.finish_reason == "superseded" and live.told:
            document.refused(live)
        outcome = self._shaped(fill, window, live, settings)
        trace.end(fill, outcome)
        if not isinstance(outcome, Silence):
            if not patient and fill.finish_reason == "deadline":
                outcome = tuple(replace(found, hurried=True) for found in outcome)
            document.known.remember(snapshot.text, snapshot.offset, outcome)
        return outcome

    async def _counted(self, live: Live, work: Awaitable[Fill]) -> Fill:
        """Count the work that somebody waits for, so that the status can tell."""
        counts = int(not live.ahead)
        self._running += counts
        self._on_work()
        try:
            return await work
        finally:
            self._running -= counts
            self._on_work()

    def _shaped(
        self, fill: Fill, window: ContextWindow, live: Live, settings: LspSettings
    ) -> Outcome:
        if fill.finish_reason in ("superseded", "cancelled", "shutdown"):
            return silence("stale")
        why: Silence | None = None
        found: dict[str, Suggestion] = {}
        for middle in fill.middles:
            shaped = self._surroundings().shape(
                middle, window, settings, explicit=live.ask.explicit
            )
            if isinstance(shaped, Silence):
                why = why or shaped
                continue
            suggestion = Suggestion(
                id=uuid4().hex[:12],
                text=shaped.text,
                tokens=shaped.tokens,
                sure=shaped.sure,
                replace_after=shaped.replace_after,
                nfe=fill.nfe,
                source="speculated" if live.ahead else "model",
            )
            found.setdefault(suggestion.text, suggestion)
        if found:
            return tuple(found.values())
        if fill.finish_reason == "deadline" and (why is None or why.code == "empty"):
            return silence("deadline")
        return why or silence("empty")


def _request(live: Live, window: ContextWindow, session: str, settings: LspSettings) -> FillRequest:
    explicit = live.ask.explicit
    return FillRequest(
        prefix=window.prefix,
        suffix=window.suffix,
        path=window.path,
        language=window.language,
        snippets=window.snippets,
        session=session,
        version=live.ask.snapshot.version,
        max_tokens=settings.max_tokens,
        candidates=settings.candidates if explicit else 1,
        # Who asks explicitly expects something.
        allow_empty=not explicit,
        speculative=live.ahead,
    )


def _budget_ms(settings: LspSettings, *, patient: bool) -> int:
    return settings.explicit_budget_ms if patient else settings.budget_ms


def _why_not_in(scope: str, settings: LspSettings) -> Silence | None:
    if scope == "comment" and not settings.in_comments:
        return silence("comment")
    if scope == "string" and not settings.in_strings:
        return silence("string")
    return None
