"""What became of suggestions, on this disk only: identifiers, counts and times, never code.

Owns the file (one JSON object a line, mode 0600, bounded) and the lives of suggestions from
offered to accepted, dismissed or replaced. Knows no documents.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

#: At this size the file becomes ``journal.1.jsonl`` and a new one begins.
MAX_BYTES = 4 * 2**20
#: Suggestions whose end is still open; the oldest are written as replaced.
MAX_OPEN = 256
#: Seconds after acceptance at which the inserted text is looked for again.
PERSISTENCE_S = (30, 120, 300, 600)


@dataclass(slots=True)
class _Life:
    facts: dict[str, Any]
    offered: float
    shown: float | None = None


class Journal:
    """Outcomes of one editor's suggestions.

    Parameters
    ----------
    directory
        Where the file lives; made when the first outcome is written.
    enabled
        Asked before each write, so that the setting takes effect at once.
    """

    def __init__(
        self,
        directory: Path,
        enabled: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._enabled, self._clock = directory / "journal.jsonl", enabled, clock
        self._open: OrderedDict[str, _Life] = OrderedDict()

    def offered(self, suggestion_id: str, **facts: float | str | bool) -> None:
        """A suggestion was sent to the editor. One offered again goes on with its life."""
        if suggestion_id in self._open:
            self._open.move_to_end(suggestion_id)
            return
        self._open[suggestion_id] = _Life(facts, self._clock())
        while len(self._open) > MAX_OPEN:
            self._end(next(iter(self._open)), "replaced")

    def shown(self, suggestion_id: str) -> None:
        """The editor drew it."""
        life = self._open.get(suggestion_id)
        if life is not None and life.shown is None:
            life.shown = self._clock()

    def accepted(self, suggestion_id: str, kind: str, length: int) -> None:
        """The user took it, or a part of it (``length`` UTF-16 units from its start)."""
        if kind == "all":
            self._end(suggestion_id, "accepted", accepted=length)
        elif suggestion_id in self._open:
            self._open[suggestion_id].facts |= {"part": kind, "accepted": length}

    def dismissed(self, suggestion_id: str) -> None:
        """The user did not want it."""
        self._end(suggestion_id, "dismissed")

    def replaced(self, suggestion_id: str) -> None:
        """Something else was typed or shown instead."""
        self._end(suggestion_id, "replaced")

    def persisted(self, suggestion_id: str, after_s: int, kept: float) -> None:
        """So much of an accepted text is still there after so many seconds, from 0 to 1."""
        self._write({"id": suggestion_id, "after_s": after_s, "kept": round(kept, 3)})

    def close(self) -> None:
        """Write what is still open."""
        for suggestion_id in list(self._open):
            self._end(suggestion_id, "replaced")

    def _end(self, suggestion_id: str, outcome: str, **facts: float) -> None:
        life = self._open.pop(suggestion_id, None)
        if life is None:
            return
        now = self._clock()
        line = {"id": suggestion_id, "outcome": outcome} | life.facts | facts
        line["offered_ms"] = round((now - life.offered) * 1000)
        if life.shown is not None:
            line["shown_ms"] = round((now - life.shown) * 1000)
        if outcome == "replaced" and "part" in life.facts:
            line["outcome"] = "partly"
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        if not self._enabled():
            return
        line["at"] = int(time.time())
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._path.with_name("journal.1.jsonl"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self._path, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:
            log.warning("journal not written", exc_info=True)
