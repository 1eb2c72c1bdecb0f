"""Code of other open files that looks like the code at the cursor.

Owns the choice of snippets by similarity of line sets. Knows nothing of syntax. The choice and
its order change only when the cursor moves to other lines, not with each key, since snippets
stand first in what the engine caches.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from midfill_engine.wire import Snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midfill_lsp.documents import DocumentSnapshot

#: Lines of a snippet, and of the text around the cursor that it is compared with.
WINDOW = 24
#: Less alike than this is noise.
LEAST = 0.08
MOST = 4


def find(
    snapshot: DocumentSnapshot, neighbours: Sequence[DocumentSnapshot], room: int
) -> tuple[Snippet, ...]:
    """The most similar windows, one a document, ordered by path, ``room`` characters at most."""
    if room <= 0:
        return ()
    query = _query(snapshot)
    best = []
    for other in neighbours:
        if other.uri == snapshot.uri or other.language_id != snapshot.language_id:
            continue
        score, text = _best_window(query, other.text)
        if score >= LEAST:
            best.append((-score, other.path or other.uri, text))
    chosen = []
    for _, path, text in sorted(best)[:MOST]:
        if len(text) <= room:
            room -= len(text)
            chosen.append(Snippet(path, text))
    return tuple(sorted(chosen, key=lambda snippet: snippet.path))


def _query(snapshot: DocumentSnapshot) -> frozenset[str]:
    """Distinct lines near the cursor, of a window that moves in steps of half its size."""
    lines = snapshot.text.splitlines()
    row = snapshot.text.count("\n", 0, snapshot.offset)
    step = WINDOW // 2
    start = max(0, row // step * step - step)
    return _signature(
        [line for n, line in enumerate(lines[start : start + WINDOW], start) if n != row]
    )


def _best_window(query: frozenset[str], text: str) -> tuple[float, str]:
    scored = ((jaccard(query, signature), start) for start, signature in _windows(text))
    score, start = max(scored, key=lambda pair: (pair[0], -pair[1]))
    return score, "".join(text.splitlines(keepends=True)[start : start + WINDOW])


@lru_cache(maxsize=64)
def _windows(text: str) -> tuple[tuple[int, frozenset[str]], ...]:
    """First line and signature of each window; kept, since other files seldom change."""
    lines = text.splitlines()
    starts = range(0, max(1, len(lines) - WINDOW // 2), WINDOW // 2)
    return tuple((start, _signature(lines[start : start + WINDOW])) for start in starts)


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Common share of two sets, 0 to 1."""
    union = len(left | right)
    return len(left & right) / union if union else 0.0


def _signature(lines: Sequence[str]) -> frozenset[str]:
    """Lines that say something: brackets and blank lines are alike everywhere."""
    stripped = (line.strip() for line in lines)
    return frozenset(line for line in stripped if sum(map(str.isalnum, line)) > 2)
