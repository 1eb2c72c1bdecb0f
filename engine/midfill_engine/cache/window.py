"""The approximate keystroke cache of fully bidirectional models: a window around the hole.

In these models every row sees the middle, so no row outlives an edit exactly. Keys and values far
from what changed move little, though: they are kept from an earlier forward, a window over the
hole and over every change runs anew, and every few steps all of it does (Fast-dLLM's dual cache,
arXiv 2505.22618; refreshing around what changed: dKV-Cache, arXiv 2505.15781). Running all of it at
every step is the exact mode. Knows neither texts nor models beyond their key-value memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_engine.cache.keystroke import KeystrokeCache

#: Rows on either side of what changed that run again with it.
VICINITY = 8


@dataclass(frozen=True, slots=True)
class WindowCache:
    """A session's rows, of which those outside a window are taken as they were.

    Attributes
    ----------
    memory
        The session's ids, keys and values; its ``age`` counts forwards since all rows ran.
    refresh_steps
        All rows run at every so-manieth forward; 1 is exact.
    """

    memory: KeystrokeCache
    refresh_steps: int = 1

    def keep(self, ids: Sequence[int]) -> int:
        """How many rows of ``ids`` stand in the cache with the same token at the same place."""
        first, last = self._changed(ids)
        return len(ids) - (last - first)

    def masks(self, before: int, after: Sequence[int]) -> int:
        """Masks behind ``before`` tokens with which ``after`` keeps its place; 0 where none do.

        What was typed thus takes the place of the first masks, and nothing behind them moves.
        """
        old = self.memory.ids
        start = len(old) - len(after)
        kept = start > before and old[start:] == list(after)
        return start - before if kept else 0

    def window(self, ids: Sequence[int], first: int, last: int) -> range:
        """The rows that must run so that rows ``[first, last)`` of ``ids`` can be read."""
        if self.memory.age + 1 >= self.refresh_steps or not self.memory.ids:
            return range(len(ids))
        low, high = self._changed(ids)
        low, high = (min(low, first), max(high, last)) if low < high else (first, last)
        return range(max(low - VICINITY, 0), min(high + VICINITY, len(ids)))

    def ran(self, ids: Sequence[int], rows: range) -> None:
        """Take note that ``rows`` of ``ids`` have run, all others of which stand as they were."""
        self.memory.ids[:] = ids
        self.memory.age = 0 if len(rows) == len(ids) else self.memory.age + 1

    def _changed(self, ids: Sequence[int]) -> tuple[int, int]:
        """The span outside of which ``ids`` stand as they stood; where it is empty, all do."""
        old, count = self.memory.ids, len(ids)
        common = min(len(old), count)
        first = next((n for n in range(common) if old[n] != ids[n]), common)
        if len(old) != count:
            return first, count
        last = next((n for n in range(count, first, -1) if old[n - 1] != ids[n - 1]), first)
        return first, last
