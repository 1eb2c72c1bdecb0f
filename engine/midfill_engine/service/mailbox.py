"""Jobs that wait for the device: bounded, fair between sessions, a session's newest wins.

Owns the order, who displaces whom and who may run beside whom. Does not know how a job runs, nor
asyncio, nor HTTP. The asyncio side puts, the inference thread takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from midfill_engine.deadline import Clock, Deadline, StopReason, StopToken
from midfill_engine.errors import EngineBusy
from midfill_engine.wire import Draft, Fill, FillRequest


@dataclass(eq=False, slots=True)
class Job:
    """A request with its deadline, its stop flag and its ways back to who asked.

    ``done`` is called once, from any thread, unless the job is withdrawn before it runs;
    ``on_draft`` is called from the inference thread.
    ``owner`` is whose newer job takes the place of this one; empty: nobody's does.
    """

    request: FillRequest
    deadline: Deadline
    done: Callable[[Fill | BaseException], None]
    stop: StopToken = field(default_factory=StopToken)
    on_draft: Callable[[Draft], None] | None = None
    owner: str = ""
    put_at: float = 0.0

    def ended(self, reason: StopReason) -> Fill:
        """The answer of a job that was stopped before it ran."""
        request = self.request
        return Fill((), reason, session=request.session, version=request.version)


class Mailbox:
    """Waiting jobs and those that run, behind one condition variable.

    Real jobs run in order of arrival, speculative ones when no real one waits or runs. A real job
    ends every older job of its owner and whatever speculative jobs are running, since the device is
    better used for somebody who waits; a speculative job ends older speculative ones of its owner.
    Jobs of one session never run beside one another: they share what is cached.
    """

    def __init__(self, capacity: int, clock: Clock = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._closed = False

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether all is over."""
        return self._closed

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self._running and not self._waiting

    def put(self, job: Job) -> None:
        """Queue ``job`` and displace what it makes stale.

        Raises
        ------
        EngineBusy
            When the queue is full of jobs that must not be displaced, or closed.
        """
        with self._changed:
            if self._closed:
                raise EngineBusy("The engine is ending.", "Ask again; a new one is started.")
            stale = [old for old in self._waiting if _displaces(job, old)]
            room = self._capacity - (len(self._waiting) - len(stale))
            if room <= 0:
                stale.append(self._least_wanted(job))
            self._waiting = [old for old in self._waiting if old not in stale]
            for running in self._running:
                if _stops(job, running):
                    running.stop.stop("superseded")
            job.put_at = self._clock()
            self._waiting.append(job)
            self._changed.notify()
        for old in stale:
            old.stop.stop("superseded")
            old.done(old.ended("superseded"))

    def rests(self, seconds: float) -> bool:
        """Wait for something to happen; whether nothing did for so long."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._next() or self._closed, seconds)

    def take(self, *, wait: bool = True) -> Job | None:
        """The next job that may run; called by the inference thread only.

        Parameters
        ----------
        wait
            Until there is one; ``None`` then says that the mailbox was closed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._next() or self._closed)
            job = self._next()
            if job is not None:
                self._waiting.remove(job)
                self._running.append(job)
            return job

    def finished(self, job: Job) -> None:
        """``job``, which was taken, runs no more; called by the inference thread only."""
        with self._changed:
            self._running.remove(job)

    def withdraw(self, job: Job) -> None:
        """Forget a waiting job whose asker has gone; one that runs ends at its stop flag."""
        job.stop.stop("cancelled")
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def typed(self, session: str, version: int, text: str) -> None:
        """Let the job of ``session`` for ``version`` go on only if its draft begins with ``text``.

        Parameters
        ----------
        text
            All that was typed at the cursor since.
        """
        with self._changed:
            for job in (*self._waiting, *self._running):
                if job.owner == session and job.request.version == version:
                    job.stop.typed = text

    def close(self) -> None:
        """End all jobs and let `take` return ``None``."""
        with self._changed:
            self._closed = True
            left, self._waiting = self._waiting, []
            for running in self._running:
                running.stop.stop("shutdown")
            self._changed.notify_all()
        for job in left:
            job.stop.stop("shutdown")
            job.done(job.ended("shutdown"))

    def _next(self) -> Job | None:
        """The first that may run beside those that do."""
        busy = {running.request.session for running in self._running}
        real = any(not running.request.speculative for running in self._running)
        able = (
            waiting
            for waiting in self._waiting
            if waiting.request.session not in busy and not (real and waiting.request.speculative)
        )
        return min(able, key=lambda waiting: waiting.request.speculative, default=None)

    def _least_wanted(self, job: Job) -> Job:
        """A speculative job that makes room for a real one."""
        if not job.request.speculative:
            for old in self._waiting:
                if old.request.speculative:
                    return old
        raise EngineBusy(
            f"{len(self._waiting)} requests are waiting already.", "Ask again in a moment."
        )


def _displaces(new: Job, old: Job) -> bool:
    same_owner = bool(new.owner) and new.owner == old.owner
    return same_owner and (old.request.speculative or not new.request.speculative)


def _stops(new: Job, running: Job) -> bool:
    hurried = running.request.speculative and not new.request.speculative
    return hurried or _displaces(new, running)
