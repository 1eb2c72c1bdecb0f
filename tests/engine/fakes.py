"""A filler that follows a script, and a daemon around it, for tests without a model."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.service.worker import PROBE
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Draft, Fill, FillRequest, Middle, ModelInfo, Token

INFO = ModelInfo(
    name="scripted",
    architecture="ScriptedForDiffusion",
    parameters=1,
    precision="float32",
    device="cpu",
    context_tokens=2048,
    block_size=32,
    bytes_resident=4,
)


@dataclass
class Going:
    """A request that runs, and how many tokens of it are there."""

    request: FillRequest
    deadline: Deadline
    stop: StopToken
    on_draft: Callable[[Draft], None] | None
    done: Callable[[Fill | Exception], None]
    placed: int = 0

    def over(self) -> str | None:
        return self.stop.reason or ("deadline" if self.deadline.passed() else None)


@dataclass
class ScriptedFiller:
    """Commits one token a step, left to right.

    With ``gated``, each step waits for a permit of `permit`: a test decides how far a fill gets.
    Up to ``lanes`` requests share a step.
    ``error`` fails every request; the worker's probe after it only when ``dead``.
    ``started`` is released when a fill begins, so that a test need not guess.
    """

    tokens: tuple[str, ...] = ("a", " + ", "b")
    gated: bool = False
    error: Exception | None = None
    dead: bool = False
    lanes: int = 1
    info: ModelInfo = INFO
    permit: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    requests: list[FillRequest] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    rests: int = 0
    reasons: list[str] = field(default_factory=list)
    steps: int = 0
    going: list[Going] = field(default_factory=list)

    def fill(self, request: FillRequest, *, deadline: Deadline, stop: StopToken) -> Fill:
        if self.dead and self.error is not None:
            raise self.error
        done = 0 if request == PROBE else len(self.tokens)
        return self._fill(request, "end", done)

    def start(
        self,
        request: FillRequest,
        *,
        deadline: Deadline,
        stop: StopToken,
        on_draft: Callable[[Draft], None] | None = None,
        done: Callable[[Fill | Exception], None],
    ) -> None:
        self.requests.append(request)
        self.started.release()
        if self.error is not None:
            done(self.error)
        else:
            self.going.append(Going(request, deadline, stop, on_draft, done))

    def round(self) -> None:
        for one in self.going[:]:
            if reason := one.over():
                self._end(one, reason)
        if not self.going or (self.gated and not self.permit.acquire(timeout=0.002)):
            return
        self.steps += 1
        for one in self.going[:]:
            one.placed += 1
            if one.on_draft is not None:
                one.on_draft(Draft(one.placed, self._state(one.placed)))
            if one.placed == len(self.tokens):
                self._end(one, "end")

    def _end(self, one: Going, reason: str) -> None:
        self.going.remove(one)
        self.reasons.append(reason)
        try:
            outcome: Fill | Exception = self._fill(one.request, reason, one.placed)
        except Exception as error:  # noqa: BLE001  (as a filler does)
            outcome = error
        one.done(outcome)

    def forget(self, session: str) -> None:
        self.forgotten.append(session)

    def rest(self) -> None:
        self.rests += 1

    def _state(self, done: int) -> tuple[Token, ...]:
        return tuple(
            Token(text, 0.9 if place < done else 0.1, place < done)
            for place, text in enumerate(self.tokens)
        )

    def _fill(self, request: FillRequest, reason: str, done: int) -> Fill:
        state = self._state(done)[:done]
        middles = tuple(
            Middle("".join(t.text for t in state) + "!" * rank, state, -float(rank), reason)
            for rank in range(request.candidates)
        )
        return Fill(
            middles=middles,
            finish_reason=reason,
            model=self.info.name,
            strategy=request.strategy,
            nfe=done,
            tokens_per_forward=1.0,
            prompt_tokens=10,
            cached_tokens=4,
            completion_tokens=done,
            prefill_ms=6.0,
            denoise_ms=3.0,
            total_ms=9.0,
            reading_ms=5.0,
            writing_ms=4.0,
            lost_reading_ms=2.0,
            lost_writing_ms=1.0,
            session=request.session,
            version=request.version,
        )


def load_with(filler: ScriptedFiller):
    """A ``load`` that gives ``filler`` at once."""

    def load(settings: EngineSettings, progress: Callable[[float, str], None]) -> ScriptedFiller:
        progress(0.5, "Half.")
        return filler

    return load


def main() -> int:
    """``python -m tests.engine.fakes engine|serve ...``: the real command, a scripted model.

    With ``FAKE_GATED=1`` a fill runs until it is stopped.
    """
    from midfill_engine.commands import engine, serve

    command = {"engine": engine, "serve": serve}[sys.argv[1]]
    filler = ScriptedFiller(gated=os.environ.get("FAKE_GATED") == "1")
    return command.main(sys.argv[2:], load=load_with(filler))


if __name__ == "__main__":
    sys.exit(main())
