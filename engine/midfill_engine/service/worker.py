"""The inference thread: loads the model, then runs all jobs, alone on the device.

Owns the thread and what is known of the model's state. Knows neither sockets nor asyncio nor
HTTP: answers leave through the callbacks of a `Job`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from midfill_engine.deadline import Clock, Deadline, StopToken
from midfill_engine.errors import DeviceError, InternalError
from midfill_engine.service.logs import log_defect
from midfill_engine.service.mailbox import Job, Mailbox
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Draft, Fill, FillRequest, MidfillError, ModelInfo

log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
State = Literal["loading", "ok", "error"]

#: Seconds without a request after which memory is given back. That takes 5 ms on a CPU; that the
#: next request has to take it again could not be told from noise.
REST_S = 2.0
#: The least that a working model can do.
PROBE = FillRequest("x = ", max_tokens=1, session="probe")


class FillerLike(Protocol):
    """What the thread needs of a loaded model; all calls come from the inference thread."""

    @property
    def info(self) -> ModelInfo:
        """What clients may know of the model."""

    @property
    def lanes(self) -> int:
        """How many requests may run side by side."""

    def start(
        self,
        request: FillRequest,
        *,
        deadline: Deadline,
        stop: StopToken,
        on_draft: Callable[[Draft], None] | None = None,
        done: Callable[[Fill | Exception], None],
    ) -> None:
        """Fill the middle in the rounds that follow, then call ``done``, possibly at once."""

    def round(self) -> None:
        """One forward; looks at stop flags and deadlines before it."""

    def fill(self, request: FillRequest, *, deadline: Deadline, stop: StopToken) -> Fill:
        """Fill the middle in forwards of its own."""

    def forget(self, session: str) -> None:
        """Drop what is cached for ``session``."""

    def rest(self) -> None:
        """Give back the memory that the next request takes again."""


Load = Callable[[EngineSettings, Progress], FillerLike]


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far the model is: one immutable value that the thread swaps and anybody reads."""

    state: State = "loading"
    progress: float = 0.0
    message: str = "Starting."
    info: ModelInfo | None = None
    error: MidfillError | None = None

    @property
    def broken(self) -> bool:
        """Whether it was there and works no more."""
        return self.state == "error" and self.info is not None


class InferenceThread(threading.Thread):
    """Loads once, then takes jobs from the mailbox until it is closed.

    A daemon thread: a forward that hangs must not keep the process from ending.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        load: Callable[[Progress], FillerLike],
        on_loaded: Callable[[], None],
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(name="midfill-inference", daemon=True)
        self._mailbox = mailbox
        self._load = load
        self._on_loaded = on_loaded
        self._clock = clock
        self.model = ModelState()

    def run(self) -> None:
        """Thread body; it ends when the mailbox is closed or the device works no more."""
        filler = self._loaded()
        self._on_loaded()
        while filler is not None and self._joined(filler):
            filler.round()
            if not self._mailbox.running and self._mailbox.rests(REST_S):
                filler.rest()

    def _joined(self, filler: FillerLike) -> bool:
        """Start what may run beside what does, wait where nothing does; whether anything runs."""
        mailbox = self._mailbox
        while mailbox.running < filler.lanes:
            job = mailbox.take(wait=not mailbox.running)
            if job is None:
                break
            self._start(filler, job)
        return mailbox.running > 0

    def _loaded(self) -> FillerLike | None:
        started = self._clock()
        try:
            filler = self._load(self._report)
            info = filler.info
        except Exception as error:  # noqa: BLE001  (whatever fails, /health must say so)
            known = error if isinstance(error, MidfillError) else _load_failed(error)
            self.model = ModelState("error", 0.0, str(known), None, known)
            log.error("load_failed", extra={"code": known.code})  # noqa: TRY400  (may hold text)
            return None
        self.model = ModelState("ok", 1.0, "Ready.", info)
        log.info("loaded", extra={"ms": (self._clock() - started) * 1000, "model": info.name})
        return filler

    def _report(self, progress: float, message: str) -> None:
        if self._mailbox.closed:  # the only place where a load can be left
            raise MidfillError("The engine was ended while it loaded.")
        self.model = replace(self.model, progress=min(max(progress, 0.0), 1.0), message=message)

    def _start(self, filler: FillerLike, job: Job) -> None:
        queue_ms = (self._clock() - job.put_at) * 1000

        def done(outcome: Fill | Exception) -> None:
            job.done(self._answer(filler, job, outcome, queue_ms))
            self._mailbox.finished(job)
            if self.model.broken:
                self._mailbox.close()

        if (reason := job.stop.reason) is not None:
            done(job.ended(reason))
            return
        filler.start(
            job.request, deadline=job.deadline, stop=job.stop, on_draft=job.on_draft, done=done
        )

    def _answer(
        self, filler: FillerLike, job: Job, outcome: Fill | Exception, queue_ms: float
    ) -> Fill | MidfillError:
        if isinstance(outcome, Fill):
            return replace(outcome, queue_ms=queue_ms, total_ms=outcome.total_ms + queue_ms)
        if isinstance(outcome, MidfillError):
            return outcome
        log_defect(log, outcome)
        self._recover(filler, job.request.session)
        return InternalError(
            f"The engine failed on this request ({type(outcome).__name__}).",
            "It goes on with the next one; its log has the place.",
        )

    def _recover(self, filler: FillerLike, session: str) -> None:
        """After a defect, see whether it was the request or the device.

        The session starts afresh, since its cache may be half written. If not even a trivial
        request works (CUDA takes no more work after some faults), only a new process helps.
        """
        try:
            filler.forget(session)
            filler.fill(PROBE, deadline=Deadline.after_ms(None), stop=StopToken())
        except Exception as error:  # noqa: BLE001  (whatever it is, the model is of no use)
            log_defect(log, error)
            broken = DeviceError("The device works no more.", "The engine ends and starts anew.")
            self.model = ModelState("error", 0.0, str(broken), self.model.info, broken)


def _load_failed(error: Exception) -> InternalError:
    """No document is involved yet, so the exception's own words may be told: they help."""
    log_defect(log, error)
    return InternalError(
        f"The model could not be loaded ({type(error).__name__}: {error}).", "Run `midfill doctor`."
    )
