"""Keeps benchmark problems out of the training text.

Owns two tests: a shared window of `WINDOW` characters (white space normalised) with any given
benchmark file, and regular expressions that only a benchmark or a copy of one would match. Knows
no benchmark by itself: their files come from a path.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Characters that a file and a benchmark must share to count as the same text.
WINDOW = 60
#: A window of fewer different characters is a rule of dashes, not content.
MIN_DIFFERENT = 8
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_LONGEST = 1 << 18

Hashes = NDArray[np.uint64]


def _powers(base: int) -> Hashes:
    with np.errstate(over="ignore"):
        steps = np.full(_LONGEST + 1, base % (1 << 64), np.uint64)
        steps[0] = 1
        return np.cumprod(steps, dtype=np.uint64)


_UP, _DOWN = _powers(_BASE), _powers(pow(_BASE, -1, 1 << 64))


def windows(text: str) -> Hashes:
    """Hashes of all windows of ``text``, one a position: a rolling polynomial modulo 2**64."""
    data = np.frombuffer(" ".join(text.split()).encode()[:_LONGEST], np.uint8)
    count = len(data) - WINDOW + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    with np.errstate(over="ignore"):
        sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum((data.astype(np.uint64) + np.uint64(1)) * _UP[: len(data)], out=sums[1:])
        hashes: Hashes = (sums[WINDOW:] - sums[:-WINDOW]) * _DOWN[:count]
        return hashes


def _telling(text: str) -> Hashes:
    """Hashes of those windows of ``text`` that are content."""
    data = np.frombuffer(" ".join(text.split()).encode()[:_LONGEST], np.uint8)
    if len(data) < WINDOW:
        return np.zeros(0, np.uint64)
    view = np.sort(np.lib.stride_tricks.sliding_window_view(data, WINDOW), axis=1)
    different = (view[:, 1:] != view[:, :-1]).sum(1) + 1
    telling: Hashes = windows(text)[different >= MIN_DIFFERENT]
    return telling


class Decontaminator:
    """Tells whether a text has to stay out."""

    def __init__(self, benchmarks: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        hashes = [_telling(text) for text in benchmarks]
        self._table: Hashes = (
            np.unique(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)
        )
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        self._pattern = re.compile(joined, re.MULTILINE) if joined else None

    def reason(self, text: str) -> str | None:
        """Why ``text`` has to stay out; ``None`` if it may be learned from."""
        if self._pattern is not None and self._pattern.search(text):
            return "pattern"
        if not len(self._table):
            return None
        hashes = windows(text)
        at = np.searchsorted(self._table, hashes)
        at[at == len(self._table)] = 0
        return "window" if bool((self._table[at] == hashes).any()) else None


def benchmark_texts(path: Path) -> Iterator[str]:
    """Texts of a benchmark file: every long string of each JSON line, or the file as it stands."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode("utf-8", "replace")
    if ".jsonl" not in path.name:
        yield text
        return
    seen: set[str] = set()
    for line in text.splitlines():
        for value in _strings(json.loads(line)):
            if len(value) >= WINDOW and value not in seen:
                seen.add(value)
                yield value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
