"""What the last requests were and what became of them, for whoever wants to look inside.

Owns `Answer`, `Trace` and a small memory of traces. It holds code and lives in this process only:
nothing of it is logged or written.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from midfill_engine.wire import Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill_engine.wire import Draft, Fill, FillRequest
    from midfill_lsp.documents import Ask
    from midfill_lsp.suggest.shown import Suggestion

    Outcome = tuple[Suggestion, ...] | Silence

#: Requests remembered, all documents together. What is typed along comes from the last few.
CAPACITY = 8


class Answer(NamedTuple):
    """What a question was answered: at which version and line of its document, how fast."""

    uri: str
    version: int
    line: int
    explicit: bool
    outcome: Outcome
    ms: float


@dataclass(slots=True)
class Trace:
    """One request to the backend: what was sent, each denoising step, what came back.

    ``drafts`` are kept with the milliseconds since the request; ``ids`` are the suggestions that
    were made of the answer.
    """

    uri: str
    version: int
    ahead: bool
    request: FillRequest = field(repr=False)
    began: float
    clock: Callable[[], float] = field(repr=False)
    drafts: list[tuple[float, Draft]] = field(default_factory=list, repr=False)
    fill: Fill | None = field(default=None, repr=False)
    ids: frozenset[str] = frozenset()

    def step(self, draft: Draft) -> None:
        """Note the state after a denoising step."""
        self.drafts.append(((self.clock() - self.began) * 1000, draft))

    def end(self, fill: Fill, outcome: Outcome) -> None:
        """Note the answer and what was made of it."""
        self.fill = fill
        if not isinstance(outcome, Silence):
            self.ids = frozenset(suggestion.id for suggestion in outcome)


class Traces:
    """The last traces, oldest first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: deque[Trace] = deque(maxlen=CAPACITY)
        self._clock = clock

    def begin(self, ask: Ask, request: FillRequest, *, ahead: bool) -> Trace:
        """Note a request that is about to be sent."""
        snapshot = ask.snapshot
        trace = Trace(snapshot.uri, snapshot.version, ahead, request, self._clock(), self._clock)
        self._kept.append(trace)
        return trace

    def closed(self, uri: str) -> None:
        """Forget a document."""
        kept = [trace for trace in self._kept if trace.uri != uri]
        self._kept = deque(kept, maxlen=CAPACITY)

    def behind(self, answer: Answer) -> Trace | None:
        """The request that an answer came from; ``None`` if none was made, or it is forgotten."""
        outcome = answer.outcome
        for trace in reversed(self._kept):
            if trace.uri != answer.uri:
                continue
            if isinstance(outcome, Silence):
                if trace.version == answer.version and not trace.ahead:
                    return trace
            elif outcome[0].id in trace.ids:
                return trace
        return None
