"""Decoding as a generator of the forwards that it wants, and what runs these.

A request yields the steps that it wants to run next, one for each of its lanes, and goes on when
their hidden states are there. Whoever drives it so decides what shares a forward. Owns the looks at
stop flag and deadline before each forward, and the one place where forwards happen. Knows neither
texts nor strategies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import Tensor

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.costs import Costs, Kind
from midfill_engine.fill.governor import joining_rows
from midfill_engine.models.decoder import Decoder, Lane
from midfill_engine.wire import FinishReason

if TYPE_CHECKING:
    from midfill_engine.models.graphs import GraphDecoder

T = TypeVar("T")


class Halted(Exception):  # noqa: N818  (not an error: the request ends with what it has)
    """The request must end now, for ``reason``."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Step:
    """Rows that one sequence wants to run.

    Attributes
    ----------
    reads
        Whether nothing is looked for but the context brought up: a chunk of a prefill.
    hidden
        ``(rows, hidden)``, once they have run. On a GPU the next forward may overwrite it.
    beside
        Rows of others that ran in the same forward.
    ms
        Its share of the forward's time, by rows.
    """

    lane: Lane
    reads: bool = False
    hidden: Tensor = field(init=False)
    beside: int = field(default=0, init=False)
    ms: float = field(default=0.0, init=False)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.lane.ids)

    @property
    def causal(self) -> bool:
        """Whether no row sees what stands behind it."""
        return not self.lane.open_rows and self.lane.end is None


#: Yields the steps that must run before it can go on; `Halted` is raised where it waits for them.
Steps = Generator[list[Step], None, T]


def together(lanes: Sequence[Steps[object]]) -> Steps[None]:
    """Run ``lanes`` side by side until all have come to their end; they are halted together."""
    going = list(lanes)
    while going:
        wanted: list[Step] = []
        waiting: list[Steps[object]] = []
        for lane in going:
            steps = next(lane, None)
            if steps is not None:
                wanted += steps
                waiting.append(lane)
        going = waiting
        if wanted:
            try:
                yield wanted
            except Halted as halt:
                for lane in going:
                    _halt(lane, halt.reason)
                raise


@dataclass(eq=False, slots=True)
class Task(Generic[T]):
    """A request that runs; ``done`` is called once, with what it returns or what it raised."""

    steps: Steps[T]
    deadline: Deadline
    stop: StopToken
    done: Callable[[T | Exception], None]
    wanted: list[Step] = field(default_factory=list, init=False)

    @property
    def rows(self) -> int:
        """Rows that it wants to run next."""
        return sum(step.rows for step in self.wanted)

    @property
    def reads(self) -> bool:
        """Whether it is still reading its context."""
        return all(step.reads for step in self.wanted)


class Rounds:
    """The requests that run, one forward after the other.

    Those that read a context and those that write take turns, each in order of arrival: a long
    context delays nobody's next token by more than a chunk. Who can do so cheaply joins.
    """

    def __init__(self, decoder: Decoder | GraphDecoder, costs: Costs) -> None:
        self._decoder = decoder
        self._costs = costs
        self._going: list[Task[Any]] = []
        self._read = False

    def __len__(self) -> int:
        """How many run."""
        return len(self._going)

    def start(self, task: Task[Any]) -> None:
        """Let ``task`` take part from the next round on."""
        self._going.append(task)
        self._go_on(task)

    def round(self) -> None:
        """One forward, after which those whose it was go on.

        Those that are stopped or late end here, whether or not it is their turn; so does who would
        be late after this forward.
        """
        for task in self._going[:]:
            reason = task.stop.reason or ("deadline" if task.deadline.passed() else None)
            if reason is not None:
                self._raise(task, Halted(reason))
        chosen = self._chosen() if self._going else []
        rows = sum(task.rows for task in chosen)
        kind = _kind([step for task in chosen for step in task.wanted])
        expected = self._costs.expected(rows, kind)
        for task in chosen[:]:
            if task.deadline.left_ms() <= expected:
                self._costs.doubt(rows, kind)
                self._raise(task, Halted("deadline"))
                chosen.remove(task)
        if chosen:
            self._run(chosen)

    def _chosen(self) -> list[Task[Any]]:
        """The one whose turn it is, and those that join it."""
        [first, *others] = sorted(self._going, key=lambda task: task.reads == self._read)
        self._read = first.reads
        chosen, lanes, joined = [first], len(first.wanted), 0
        most = joining_rows(self._costs)
        for task in others:
            fits = lanes + len(task.wanted) <= self._decoder.lanes and joined + task.rows <= most
            if fits:
                chosen.append(task)
                lanes, joined = lanes + len(task.wanted), joined + task.rows
        return chosen

    def _run(self, tasks: list[Task[Any]]) -> None:
        steps = [step for task in tasks for step in task.wanted]
        rows = sum(step.rows for step in steps)
        began = time.perf_counter()
        try:
            hidden = self._decoder.forward_lanes([step.lane for step in steps])
        except Exception as error:  # noqa: BLE001  (whatever fails is told to whose it is)
            if len(tasks) == 1:
                self._raise(tasks[0], error)
            else:  # whose it is shows when each runs alone
                for task in tasks:
                    self._run([task])
            return
        ms = (time.perf_counter() - began) * 1000
        for step, rows_of_it in zip(steps, hidden, strict=True):
            step.hidden, step.beside = rows_of_it, rows - step.rows
            step.ms = ms * step.rows / rows
        for task in tasks:
            self._go_on(task)
        # Statistics included: on a GPU a forward has run only when something of it was read back.
        self._costs.add(rows, (time.perf_counter() - began) * 1000, _kind(steps))

    def _go_on(self, task: Task[Any]) -> None:
        self._resume(task, lambda: next(task.steps))

    def _raise(self, task: Task[Any], error: Exception) -> None:
        self._resume(task, lambda: task.steps.throw(error))

    def _resume(self, task: Task[Any], go_on: Callable[[], list[Step]]) -> None:
        try:
            task.wanted = go_on()
        except StopIteration as end:
            outcome = end.value
        except Exception as error:  # noqa: BLE001  (it is its request's, and nobody else's)
            outcome = error
        else:
            return
        self._going.remove(task)
        task.done(outcome)


def _kind(steps: Sequence[Step]) -> Kind:
    """What the forward of ``steps`` is like, as to its cost."""
    if len(steps) > 1:
        return "shared"
    return "causal" if all(step.causal for step in steps) else "open"


def alone(
    steps: Steps[T],
    decoder: Decoder | GraphDecoder,
    costs: Costs,
    *,
    deadline: Deadline | None = None,
    stop: StopToken | None = None,
) -> T:
    """What ``steps`` return, with all forwards for themselves.

    Raises
    ------
    Exception
        What ``steps`` raise.
    """
    outcomes: list[T | Exception] = []
    rounds = Rounds(decoder, costs)
    deadline = deadline or Deadline.after_ms(None)
    rounds.start(Task(steps, deadline, stop or StopToken(), outcomes.append))
    while not outcomes:
        rounds.round()
    [outcome] = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _halt(lane: Steps[object], reason: FinishReason) -> None:
    with suppress(Halted):
        lane.throw(Halted(reason))
