"""Device time by what it made, and what of it turned out to be of no use.

A fill that is stopped leaves context rows in the keystroke cache, and the tokens that it wrote as
the next one's draft. What of both the session's next fill finds or agrees with was worth its time;
the rest was thrown away. Knows neither models nor requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Piece:
    """Milliseconds for the slots from ``start`` to before ``end``; for none, if that is no more.

    ``reads`` says that rows of a context stand there, else tokens that were written.
    """

    start: int
    end: int
    ms: float
    reads: bool = False

    def cut(self, start: int, end: int) -> Self:
        """What of it is for the slots from ``start`` to before ``end``."""
        start, end = max(start, self.start), min(end, self.end)
        share = max(end - start, 0) / max(self.end - self.start, 1)
        return replace(self, start=start, end=end, ms=self.ms * share)


@dataclass(slots=True)
class Spent:
    """The device time of one fill: its share of each forward, by rows, and what follows it.

    Attributes
    ----------
    aside
        Whether what is written from now on is no draft for another fill: other ways of a search,
        further candidates.
    lost_reading_ms, lost_writing_ms
        Of stopped fills before it in the session, what it could not use.
    """

    clock: Callable[[], float] = time.perf_counter
    aside: bool = False
    lost_reading_ms: float = 0.0
    lost_writing_ms: float = 0.0
    _pieces: list[Piece] = field(default_factory=list)
    _since: float | None = None

    @property
    def reading_ms(self) -> float:
        """What brought up the context."""
        return sum(piece.ms for piece in self._pieces if piece.reads)

    @property
    def writing_ms(self) -> float:
        """All else."""
        return sum(piece.ms for piece in self._pieces if not piece.reads)

    def ran(self, ms: float, rows: int, *, slot: int, context: int = 0, known: int = 0) -> None:
        """Note a forward of ``rows`` rows that took ``ms``; what follows belongs to it, too.

        Parameters
        ----------
        slot
            Where its rows stand.
        context
            How many of them bring up the context.
        known
            How many of the tokens behind these had been written before.
        """
        read = Piece(slot, slot + context, ms * context / rows, reads=True)
        written = slot + context + known
        rest = Piece(written, written if self.aside else written + rows, ms - read.ms)
        self._pieces += [read] * bool(context) + [rest] * (context < rows)
        self._since = self.clock()

    def pause(self) -> None:
        """Others have the device now."""
        if self._since is not None:
            last, ms = self._pieces[-1], (self.clock() - self._since) * 1000
            self._pieces[-1], self._since = replace(last, ms=last.ms + ms), None

    def left(self, end: int) -> list[Piece]:
        """What the next fill may have a use for, or not; tokens were written up to ``end``."""
        out: list[Piece] = []
        for piece in reversed(self._pieces):
            if piece.reads or piece.end <= piece.start:
                out.append(piece)
            else:  # each forward wrote what stands before the next one's
                out.append(replace(piece, end=end))
                end = piece.start
        return out[::-1]


def unread(owed: Iterable[Piece], kept: int) -> tuple[list[Piece], float]:
    """What remains of ``owed`` when the first ``kept`` slots are found again, and what is lost.

    Context rows are found or lost; tokens that were written may still be a draft.
    """
    left = [replace(piece, ms=piece.ms - piece.cut(0, kept).ms) for piece in owed]
    lost = sum(piece.ms for piece in left if piece.reads)
    return [
        replace(piece, start=min(max(piece.start, kept), piece.end))
        for piece in left
        if not piece.reads
    ], lost


def unwritten(owed: Sequence[Piece], start: int, end: int) -> float:
    """What of ``owed`` is lost when a draft was agreed with from slot ``start`` to ``end``."""
    return sum(piece.ms - piece.cut(start, end).ms for piece in owed)
