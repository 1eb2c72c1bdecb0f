"""When to stop, and who said so.

Owns `Deadline` (an absolute instant on an injected clock) and `StopToken` (a flag that the
inference thread polls before every forward). Knows nothing of what is being stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from midfill_engine.wire import Draft

StopReason = Literal["superseded", "cancelled", "shutdown"]
Clock = Callable[[], float]


@dataclass(slots=True)
class Deadline:
    """An instant on ``clock``, in seconds; infinite when there is no budget.

    Durations cross processes, instants never: make it from a budget where the request is read.
    Only the inference thread looks at it, and may bring it forward.
    """

    at: float
    clock: Clock = time.monotonic

    @classmethod
    def after_ms(cls, budget_ms: float | None, clock: Clock = time.monotonic) -> Deadline:
        """The instant ``budget_ms`` milliseconds from now; never, for ``None``."""
        return cls(float("inf") if budget_ms is None else clock() + budget_ms / 1000, clock)

    def left_ms(self) -> float:
        """Milliseconds left; negative when it has passed."""
        return (self.at - self.clock()) * 1000

    def within(self, ms: float) -> None:
        """Come at most so many milliseconds from now."""
        self.at = min(self.at, self.clock() + ms / 1000)

    def passed(self) -> bool:
        """Whether the instant has come."""
        return self.left_ms() <= 0


class StopToken:
    """A stop flag with a reason; the first reason wins. Set from any thread, polled by one.

    Attributes
    ----------
    typed
        What was typed at the cursor since: the work goes on only while its draft begins so, and
        says more.
    said
        The last draft.
    """

    __slots__ = ("_reason", "said", "typed")

    def __init__(self) -> None:
        self._reason: StopReason | None = None
        self.typed = ""
        self.said: Draft | None = None

    def stop(self, reason: StopReason) -> None:
        """Ask the work to stop; later calls change nothing."""
        if self._reason is None:
            self._reason = reason

    @property
    def reason(self) -> StopReason | None:
        """Why the work must stop, or ``None`` while it may go on."""
        typed = self.typed
        if typed:
            said = self.said.text if self.said is not None else ""
            if len(said) <= len(typed) or not said.startswith(typed):
                self.stop("superseded")
        return self._reason
