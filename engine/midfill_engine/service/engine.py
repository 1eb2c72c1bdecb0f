"""`Engine`: the asyncio side of one loaded model.

Owns deadlines, stop flags and the way from a coroutine to the inference thread and back. Knows
neither HTTP nor LSP, nor what a forward is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial

from midfill_engine.deadline import Clock, Deadline, StopToken
from midfill_engine.device.library import lightly_imported
from midfill_engine.device.memory import uncollected
from midfill_engine.errors import EngineLoading
from midfill_engine.models.locate import base_of, locate
from midfill_engine.models.sums import sums_checked
from midfill_engine.service.mailbox import Job, Mailbox
from midfill_engine.service.worker import (
    FillerLike,
    InferenceThread,
    Load,
    ModelState,
    Progress,
    State,
)
from midfill_engine.settings import EngineSettings, share_cores
from midfill_engine.wire import Draft, Fill, FillRequest, ModelInfo

log = logging.getLogger(__name__)

#: Longest wait for the running forward when the engine closes; then the thread is left behind.
CLOSE_TIMEOUT_S = 5.0


def load_filler(settings: EngineSettings, progress: Progress) -> FillerLike:
    """Load the real model, its checksums compared meanwhile. Runs in the inference thread."""
    share_cores()
    model = locate(settings.model)
    with sums_checked(model, base_of(model)):
        with uncollected(), lightly_imported():
            # Late, because importing torch takes a second, and by then the socket must answer.
            from midfill_engine.fill.filler import Filler  # noqa: PLC0415

        with uncollected():  # apart, so that what loading frees is soon found among what it made
            return Filler.load(settings, progress)


class Engine:
    """One model behind one inference thread; any number of coroutines ask for fills."""

    def __init__(
        self,
        settings: EngineSettings,
        load: Load = load_filler,
        clock: Clock = time.monotonic,
    ) -> None:
        self.settings = settings
        #: Called in the event loop with every finished fill (metrics).
        self.observers: list[Callable[[Fill], None]] = []
        self._clock = clock
        self._mailbox = Mailbox(settings.max_waiting, clock)
        self._loaded = asyncio.Event()
        self._load = partial(load, settings)
        self._thread: InferenceThread | None = None
        self._active_at = clock()

    async def start(self) -> None:
        """Begin to load in the background; returns at once."""
        loop = asyncio.get_running_loop()
        self._thread = InferenceThread(
            self._mailbox,
            self._load,
            lambda: _call(loop, self._on_loaded),
            self._clock,
        )
        self._thread.start()

    async def loaded(self) -> ModelState:
        """Wait until the model is there or has failed."""
        await self._loaded.wait()
        return self.model

    async def close(self) -> None:
        """End all fills as ``shutdown`` and the inference thread with them."""
        self._mailbox.close()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_TIMEOUT_S)

    @property
    def model(self) -> ModelState:
        """State, progress and description of the model."""
        return self._thread.model if self._thread is not None else ModelState()

    @property
    def state(self) -> State:
        """``loading``, ``ok`` or ``error``."""
        return self.model.state

    @property
    def info(self) -> ModelInfo | None:
        """The loaded model, if it is."""
        return self.model.info

    @property
    def waiting(self) -> int:
        """How many requests wait for the device."""
        return len(self._mailbox)

    def idle_s(self) -> float:
        """Seconds since anybody wanted something; 0 while loading or working."""
        if self.state == "loading" or not self._mailbox.idle:
            return 0.0
        return self._clock() - self._active_at

    async def fill(
        self,
        request: FillRequest,
        *,
        stop: StopToken | None = None,
        on_draft: Callable[[Draft], None] | None = None,
        supersedes: bool = True,
    ) -> Fill:
        """The middle for ``request``. Cancelling the call stops the work within one step.

        Parameters
        ----------
        on_draft
            Called in the event loop with the state after each denoising step.
        supersedes
            Whether a newer request of the same session takes the place of an older one. False
            for sessions that only name a cache, since two clients may then share one.

        Raises
        ------
        EngineLoading
            While the model loads.
        MidfillError
            Why the model could not be loaded, or why this request failed.
        """
        deadline = Deadline.after_ms(request.budget_ms, self._clock)
        self._check_ready()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Fill] = loop.create_future()
        stop = stop or StopToken()

        def drafted(draft: Draft) -> None:
            stop.said = draft
            if on_draft is not None:
                _call(loop, on_draft, draft)

        job = Job(
            request,
            deadline,
            done=lambda outcome: _call(loop, self._on_done, answer, outcome),
            stop=stop,
            on_draft=on_draft and drafted,
            owner=request.session if supersedes else "",
        )
        self._mailbox.put(job)
        try:
            fill = await answer
        finally:
            self._active_at = self._clock()
            if not answer.done() or answer.cancelled():
                self._mailbox.withdraw(job)
        return fill

    def typed(self, session: str, version: int, text: str) -> None:
        """Tell what was typed since ``session`` asked for ``version``: all of it, at its cursor.

        The fill goes on while its draft begins so and says more; else it ends as ``superseded``
        before the next forward. One whose draft is not there yet ends unless a forward that makes
        one is running.
        """
        self._mailbox.typed(session, version, text)

    async def stream(
        self, request: FillRequest, *, supersedes: bool = True
    ) -> AsyncGenerator[Draft | Fill]:
        """The drafts of a fill as they come, then the fill. Closing the iterator stops the work."""
        drafts: asyncio.Queue[Draft | None] = asyncio.Queue()
        task = asyncio.create_task(
            self.fill(request, on_draft=drafts.put_nowait, supersedes=supersedes)
        )
        task.add_done_callback(lambda _: drafts.put_nowait(None))
        try:
            while (draft := await drafts.get()) is not None:
                yield draft
            yield await task
        finally:
            task.cancel()

    def _check_ready(self) -> None:
        model = self.model
        if model.error is not None:
            raise model.error.with_traceback(None)  # the same one each time
        if model.state == "loading":
            raise EngineLoading(
                f"The model is loading ({model.progress:.0%}).", "Ask again in a moment."
            )

    def _on_done(self, answer: asyncio.Future[Fill], outcome: Fill | BaseException) -> None:
        """Count what was computed, also when nobody waits for it any more."""
        if isinstance(outcome, Fill):
            _log_fill(outcome)
            for observe in self.observers:
                observe(outcome)
        _settle(answer, outcome)

    def _on_loaded(self) -> None:
        self._active_at = self._clock()
        self._loaded.set()


def _log_fill(fill: Fill) -> None:
    counts = ("prompt_tokens", "cached_tokens", "completion_tokens", "nfe")
    times = ("queue_ms", "prefill_ms", "denoise_ms")
    measured = {name: getattr(fill, name) for name in (*counts, *times)}
    log.info("fill", extra={"finish_reason": fill.finish_reason, "ms": fill.total_ms, **measured})


def _settle(answer: asyncio.Future[Fill], outcome: Fill | BaseException) -> None:
    if answer.done():
        return
    if isinstance(outcome, BaseException):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    """Run ``function`` in the loop from any thread; nobody listens once the loop has closed."""
    if not loop.is_closed():
        try:
            loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            log.debug("loop_closed")
