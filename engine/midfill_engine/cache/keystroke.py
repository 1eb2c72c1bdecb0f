"""The exact keystroke cache: context rows of a document session, reused while they hold true.

Context rows are causal: a row depends on nothing after it. So the longest common front of the
cached and the new token ids is exactly what can be kept, whatever the edit was. Knows neither
texts nor models beyond their key-value memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from midfill_engine.cache.spent import Piece
from midfill_engine.models.kv import KVCache


@dataclass(slots=True)
class KeystrokeCache:
    """Token ids whose rows ``kv`` holds, slot for position.

    ``anchor`` is the layout's to keep, ``middle`` the tokens that were last written here, behind a
    prefix that ended with ``before``, ``age`` that of `cache.window`. ``owed`` is device time of
    stopped fills that may yet prove of use.
    """

    kv: KVCache
    ids: list[int] = field(default_factory=list)
    anchor: str = field(default="", repr=False)
    before: str = field(default="", repr=False)
    middle: list[int] = field(default_factory=list, repr=False)
    age: int = 0
    owed: list[Piece] = field(default_factory=list)

    def copy(self) -> Self:
        """The same with a memory of its own: another middle can be written behind it."""
        return replace(self, kv=self.kv.copy(), ids=self.ids[:])

    def keep(self, ids: Sequence[int]) -> int:
        """Forget what differs from ``ids``; return how many rows remain true.

        At most ``len(ids) - 1``: the last row has to run again, for its hidden state is not kept.
        """
        limit = min(len(self.ids), len(ids) - 1)
        same = next((n for n in range(limit) if self.ids[n] != ids[n]), limit)
        del self.ids[same:]
        return same


class Sessions:
    """The caches of all document sessions, least recently used first out.

    Parameters
    ----------
    new
        Makes the memory of a new session.
    budget_bytes
        What all of them together may hold; the one used last is never evicted, and one that is
        evicted while a request runs over it is gone after that request.
    """

    def __init__(self, new: Callable[[], KVCache], budget_bytes: int) -> None:
        self._new = new
        self._budget = budget_bytes
        self._caches: OrderedDict[str, KeystrokeCache] = OrderedDict()

    def get(self, session: str) -> KeystrokeCache:
        """The cache of ``session``, made when it is new; others may be evicted for it."""
        cache = self._caches.setdefault(session, KeystrokeCache(self._new()))
        self._caches.move_to_end(session)
        while self.nbytes > self._budget and len(self._caches) > 1:
            self._caches.popitem(last=False)
        return cache

    def forget(self, session: str) -> None:
        """Drop the cache of ``session``, if there is one."""
        self._caches.pop(session, None)

    @property
    def nbytes(self) -> int:
        """Bytes held by all sessions."""
        return sum(cache.kv.nbytes for cache in self._caches.values())
